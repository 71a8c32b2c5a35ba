"""What a batch file says, as records; the loader is `runner.config`, the meaning is `prepare`'s.

Durations are seconds, or texts such as "90s", "30m", "2h". Templates are Jinja's; the names that
they can use are `row`, `id`, `index`, `attempt`, `repeat` and `batch`; index, attempt and repeat
count from 1. Paths are relative to the batch file's directory.

This module holds values only: no I/O.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import attrs

from runner.agents.driver import Agent, McpServer
from runner.errors import ConfigError
from runner.holding import AtLeastOne, AtLeastZero, Holding, holding_of
from runner.strict import Seconds
from runner.watching.patterns import DEFAULT_IGNORE, make_rules

Keep: TypeAlias = Literal["always", "changed", "failed", "never"]


def one_of(**choices: object) -> None:
    """Check that exactly one of the choices is given.

    Raises:
        ValueError: none or several are.
    """
    given = [name for name, value in choices.items() if value is not None]
    if not given:
        raise ValueError(f"needs one of {', '.join(choices)}")
    if len(given) > 1:
        raise ValueError(f"takes only one of {' and '.join(given)}")


@attrs.frozen(kw_only=True)
class Data:
    """Where the rows come from: exactly one of csv, jsonl, glob, rows.

    Attributes:
        csv: a CSV file with a header line; all values are texts.
        jsonl: a file with a JSON object on each line.
        glob: a pattern (`**`, braces); a row for each file, with `path` (relative to `root`),
            `name` and `stem`, sorted by path.
        root: the directory that `glob` looks in.
        rows: the rows themselves.
    """

    csv: str | None = None
    jsonl: str | None = None
    glob: str | None = None
    root: str = "."
    rows: tuple[dict[str, object], ...] | None = None

    def __attrs_post_init__(self) -> None:
        one_of(csv=self.csv, jsonl=self.jsonl, glob=self.glob, rows=self.rows)
        if self.root != "." and self.glob is None:
            raise ValueError("root is only for glob")


@attrs.frozen(kw_only=True)
class Workspace:
    """Where each job works: exactly one of copy, repo, empty, in_place.

    Attributes:
        isolation: how attempts are kept apart: "directory" = each has a directory of its own in the
            output directory; "workspace" = each has a workspace of the project on `copy` or `repo`,
            made by the fastest way, with snapshots, diff, commit and audit (`runner workspace`).
        copy: a directory; each attempt gets a copy of it.
        repo: a git repository, its path or URL; each attempt gets a clone of it.
        ref: the commit, branch or tag of `repo` to begin at.
        empty: each attempt gets an empty directory.
        in_place: a directory in which all jobs work themselves. They share it: nothing is isolated,
            nothing is undone before another attempt, and there are no patches.
        ignore: patterns of files whose changes a turn does not tell, as in a shell with globstar;
            one without a slash is for names at any depth.
        watch: whether a large one may be watched for changes; if not, it is walked through.
    """

    copy: str | None = None
    repo: str | None = None
    ref: str = "HEAD"
    empty: bool = False
    in_place: str | None = None
    isolation: Literal["directory", "workspace"] = "directory"
    ignore: tuple[str, ...] = DEFAULT_IGNORE
    watch: bool = True

    def __attrs_post_init__(self) -> None:
        one_of(copy=self.copy, repo=self.repo, empty=self.empty or None, in_place=self.in_place)
        if self.ref != "HEAD" and self.repo is None:
            raise ValueError("ref is only for repo")
        if self.isolation == "workspace" and self.copy is None and self.repo is None:
            raise ValueError('isolation = "workspace" needs copy or repo: what workspaces are of')
        try:
            make_rules(self.ignore)
        except ConfigError as error:
            raise ValueError(str(error)) from None


@attrs.frozen(kw_only=True)
class Limits:
    """Limits; 0 means none, for those of turns the runner's own (`session`).

    Attributes:
        concurrency: jobs that are carried out at a time; 0 = one per processor, 4 at most.
        turn_timeout: for one turn of an agent.
        silence: how long an agent's program may give no sign of life in a turn.
        max_park: how long a turn may wait in all for a provider that limits it and says until when;
            what is left then is `retry`'s.
        command_timeout: for one setup or verify command.
        job_timeout: for a job with all its attempts and the pauses between them; it begins anew
            when the batch is resumed.
    """

    concurrency: AtLeastZero = 0
    turn_timeout: Seconds = 1800.0
    silence: Seconds = 0.0
    max_park: Seconds = 0.0
    command_timeout: Seconds = 600.0
    job_timeout: Seconds = 7200.0


@attrs.frozen(kw_only=True)
class Retry:
    """How many more attempts a job gets, by what the last one came to.

    A refused key, a bad request and a spent budget are never tried again.

    Attributes:
        verify: after a verify command failed.
        agent: after the agent failed.
        infra: after trouble that is not the agent's: an overloaded or limited provider, the
            network, a crashed program, a setup command that failed.
        backoff: the pause before the first attempt after infra trouble; it doubles each time.
        max_backoff: the longest such pause.
        max_wait: the longest pause when a provider says when it will take more; beyond, the job
            ends as infra.
    """

    verify: AtLeastZero = 0
    agent: AtLeastZero = 0
    infra: AtLeastZero = 2
    backoff: Seconds = 1.0
    max_backoff: Seconds = 60.0
    max_wait: Seconds = 3600.0


@attrs.frozen(kw_only=True)
class Batch:
    """Jobs handed in together: one for each row and repetition.

    Attributes:
        name: the batch's name.
        agent: a built-in agent's name, the path of an agent's TOML file, or a table with its `kind`
            and options; without it, the runner's default agent.
        prompt: the prompt of a job with one turn, a template.
        prompts: the prompts of a job with several turns in one session, templates.
        prompt_file: a file with the prompt, a template.
        data: where the rows come from; without it there is one job, with an empty row.
        id: a template for the jobs' ids, which name files; the default is the number and the first
            text of the row. With `repeat`, `-r1`, `-r2`... are appended unless it uses `repeat`.
        repeat: how many jobs are made of each row.
        workspace: where the jobs work; the default is an empty directory each.
        setup: shell commands to prepare a workspace, templates; one that fails is infra trouble.
        verify: shell commands, templates; the job is verified if all of them exit with 0.
        env: environment variables for the workspace: setup, agent and verify.
        isolation: what holds the programs of a workspace inside it, setup, agent and verify;
            without it nothing does.
        servers: of tools (MCP), which the agent's program is handed besides those of its record.
        limits: timeouts and concurrency.
        retry: how often to try again.
        keep: which attempts' workspaces are kept: all, those of jobs in which the last attempt's
            turns changed files, those of jobs that are not ok, none.
        mixed_versions: whether attempts may go on with another build of the agent's program, should
            it have changed.
    """

    name: str
    agent: str | Agent | None = None
    prompt: str | None = None
    prompts: tuple[str, ...] | None = None
    prompt_file: str | None = None
    data: Data | None = None
    id: str | None = None
    repeat: AtLeastOne = 1
    workspace: Workspace = Workspace(empty=True)
    setup: tuple[str, ...] = ()
    verify: tuple[str, ...] = ()
    env: dict[str, str] = attrs.field(factory=dict)
    isolation: Holding | None = attrs.field(default=None, converter=holding_of)
    servers: tuple[McpServer, ...] = ()
    limits: Limits = Limits()
    retry: Retry = Retry()
    keep: Keep = "failed"
    mixed_versions: bool = False

    def __attrs_post_init__(self) -> None:
        one_of(prompt=self.prompt, prompts=self.prompts or None, prompt_file=self.prompt_file)
        if not self.name.strip():
            raise ValueError("name must not be empty")

    @property
    def max_attempts(self) -> int:
        """How many attempts a job can come to at most."""
        return 1 + self.retry.verify + self.retry.agent + self.retry.infra
