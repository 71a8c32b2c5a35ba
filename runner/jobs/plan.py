"""A batch that can be carried out: jobs with their texts, the agent, the workspace's source.

Values only; `runner.jobs.prepare` makes them after it has checked everything.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from typing import Literal

import attrs

from runner.agents.driver import Agent
from runner.config import Document
from runner.jobs.output import Identity
from runner.jobs.spec import Batch
from runner.jobs.template import Template
from runner.messages import Isolation

ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,119}")  # it names files and directories


@attrs.frozen(kw_only=True)
class Rendered:
    """The texts of one attempt of a job."""

    prompts: tuple[str, ...]
    setup: tuple[str, ...]
    verify: tuple[str, ...]


@attrs.frozen(kw_only=True)
class Texts:
    """The templates that all jobs share."""

    prompts: tuple[Template, ...]
    setup: tuple[Template, ...]
    verify: tuple[Template, ...]

    def all(self) -> Iterator[Template]:
        """Every template."""
        yield from self.prompts
        yield from self.setup
        yield from self.verify

    def render(self, variables: Mapping[str, object]) -> Rendered:
        """The texts for these variables.

        Raises:
            TemplateFailed: one cannot be rendered.
        """
        return Rendered(
            prompts=tuple(template.render(variables) for template in self.prompts),
            setup=tuple(template.render(variables) for template in self.setup),
            verify=tuple(template.render(variables) for template in self.verify),
        )


@attrs.frozen(kw_only=True)
class Source:
    """Where the workspaces come from.

    Attributes:
        path: absolute; for a repository it may be a URL; empty for `empty`.
        ref: for a repository.
        has_history: whether they are workspaces of the project there, not only directories.
    """

    kind: Literal["copy", "repo", "empty", "in_place"]
    path: str = ""
    ref: str = ""
    has_history: bool = False

    @property
    def is_url(self) -> bool:
        """Whether the repository is elsewhere: `scheme://...` or `host:path`."""
        return bool(re.match(r"[A-Za-z][A-Za-z0-9+.-]*://|[^/]+:", self.path))


@attrs.frozen(kw_only=True)
class PlannedJob:
    """One job.

    Attributes:
        number: its place in the batch, from 1.
        index: the number of its row, from 1.
        repeat: which repetition of its row it is, from 1.
        first: the texts of its first attempt.
        digest: of its texts; part of the batch's identity.
    """

    number: int
    id: str
    index: int
    repeat: int
    row: Mapping[str, object]
    first: Rendered
    digest: str


@attrs.frozen(kw_only=True)
class Plan:
    """A batch that can be carried out.

    Attributes:
        document: the batch file, for the places of problems.
        base: the directory that the file's paths are relative to.
        isolation: what holds the jobs' programs in their workspaces; None = nothing.
        selected: the ids of the jobs to carry out this time.
    """

    batch: Batch
    document: Document
    base: str
    agent: Agent
    source: Source
    jobs: tuple[PlannedJob, ...]
    selected: frozenset[str]
    texts: Texts
    identity: Identity
    isolation: Isolation | None = None

    @property
    def concurrency(self) -> int:
        """How many jobs are carried out at a time."""
        return self.batch.limits.concurrency or min(4, os.cpu_count() or 1)

    def rendered(self, job: PlannedJob, attempt: int) -> Rendered:
        """The texts of an attempt; `prepare` has seen that all of them can be rendered."""
        if attempt == 1 or not self.uses_attempt:
            return job.first
        return self.texts.render(self.variables(job, attempt))

    @property
    def uses_attempt(self) -> bool:
        """Whether the texts differ from attempt to attempt."""
        return any("attempt" in template.uses for template in self.texts.all())

    def variables(self, job: PlannedJob, attempt: int) -> dict[str, object]:
        """What the templates of a job see."""
        return template_variables(
            batch=self.batch.name,
            row=job.row,
            index=job.index,
            repeat=job.repeat,
            job=job.id,
            attempt=attempt,
        )


def template_variables(
    *,
    batch: str,
    row: Mapping[str, object],
    index: int,
    repeat: int,
    job: str,
    attempt: int,
) -> dict[str, object]:
    """What templates see; the names are `template.VARIABLES`."""
    return {
        "batch": batch,
        "row": row,
        "index": index,
        "repeat": repeat,
        "id": job,
        "attempt": attempt,
    }
