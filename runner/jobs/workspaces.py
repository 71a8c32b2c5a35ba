"""A workspace for each attempt, of the project on the batch's source.

    make ──► setup ──► turns, the end of each a snapshot ──► patch: turn 0 to the last ──► verify
         ──► keep: put away, to be looked at by `runner workspace` · drop: gone with its snapshots

An attempt's workspace has the files of the directory, or of the commit that the batch began at. It
is named for people, and found again by its tags (naming.py). What a run that was killed has left is
removed when the batch goes on, but for what stays by the batch's rule.

Several processes may have batches on one project; in one output directory there is one at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Literal

import attrs

from runner.agents.driver import agent_name
from runner.errors import RunnerError, WorkspaceError, WorkspaceExists
from runner.jobs.bench import Bench
from runner.jobs.naming import attempt_of, names, tags
from runner.jobs.outcome import touched
from runner.jobs.patch import Patches
from runner.jobs.plan import Plan
from runner.jobs.workplace import Kept, Stays
from runner.messages.isolation import Decided
from runner.scopes.scope import Scope
from runner.scopes.who import Who
from runner.sessions.turn import Turn
from runner.workspaces.records import WorkspaceRecord
from runner.workspaces.tenant import snapshot_name
from runner.workspaces.workspace import Workspace


@attrs.define(eq=False, kw_only=True)
class WorkspaceOfAttempt:
    """Where one attempt works: a workspace; a `Workplace`.

    Attributes:
        workspace: its handle.
        job: whose.
        patches: of the batch.
    """

    workspace: Workspace
    job: str
    patches: Patches
    scope: Scope = attrs.field(init=False)
    snapshots: Literal["turn"] = "turn"
    is_compared: bool = True

    def __attrs_post_init__(self) -> None:
        self.scope = self.workspace.scope()

    async def before_setup(self) -> None:
        """The setup commands are about to run."""

    async def after_setup(self) -> None:
        """The setup commands have run: the first turn's snapshot has what they did."""

    async def write_patch(self, turns: Sequence[Turn]) -> bool:
        """Write the job's patch; whether there is one.

        Raises:
            WorkspaceError, OSError: it could not be made.
        """
        last, paths = turns[-1], touched(turns)
        if not last.snapshot:
            raise WorkspaceError(f"there is no snapshot of the last turn: {last.snapshot_note}")
        first = snapshot_name(last.session_id, 0)
        diff = await self.workspace.snapshots.diff(
            first, last.snapshot, select=paths.__contains__, gitignore=True
        )
        return await self.patches.keep(self.job, diff.patches())


class Workspaces:
    """Makes and removes the workspaces of one batch; its `Workplaces`."""

    is_shared = False

    def __init__(
        self, plan: Plan, bench: Bench, patches: Patches, revision: str | None, mark: str
    ) -> None:
        """Begin; nothing is made yet.

        Args:
            plan: of the batch.
            bench: has the project.
            patches: of the batch.
            revision: the commit that the workspaces begin at; None = at the directory's files.
            mark: tells the batch's output directory from every other.

        Raises:
            ConfigError: there can be no project on the source.
        """
        self._plan, self._patches = plan, patches
        self._revision, self._mark = revision, mark
        self._project = bench.project(plan.source.path)
        self._agent = agent_name(plan.agent)
        self._made: dict[tuple[str, int], WorkspaceRecord] = {}

    async def make(self, job: str, attempt: int, decided: Decided) -> WorkspaceOfAttempt:
        """Make an attempt's workspace.

        Raises:
            WorkspaceError: it could not be made.
        """
        made = await self._create(job, attempt, decided)
        self._made[job, attempt] = made.record
        return WorkspaceOfAttempt(workspace=made, job=job, patches=self._patches)

    async def _create(self, job: str, attempt: int, decided: Decided) -> Workspace:
        plan, taken = self._plan, WorkspaceExists("")
        batch = plan.batch.name
        for name in names(batch, job, attempt, self._mark):
            try:
                return await self._project.create(
                    name,
                    tags=tags(batch, job, attempt, self._mark),
                    ref=self._revision,
                    agent_id=self._agent,
                    env=plan.batch.env,
                    isolation=plan.isolation,
                    decided=decided,
                    who=self._whose(job),
                )
            except WorkspaceExists as exc:  # of another batch, or ours and in use
                taken = exc
        raise taken

    def _whose(self, job: str) -> Who:
        return Who(job=job, agent=self._agent)

    async def keep(self, job: str, attempt: int) -> Kept | None:
        """What an attempt's workspace is called; it is unmounted, and free."""
        record = self._made.pop((job, attempt), None)
        if record is None:  # it could not be made
            return None
        with suppress(RunnerError):  # somebody is in it: it stays mounted for them
            await self._project.put_away(record)
        return Kept(path=record.tree, name=record.name, project=self._project.path)

    async def drop(self, job: str, attempt: int) -> None:
        """Remove an attempt's workspace, with its snapshots.

        Raises:
            WorkspaceError: it could not be removed.
        """
        record = self._made.pop((job, attempt), None)
        if record is not None:
            await self._project.drop(record, who=self._whose(job))

    async def sweep(self, stays: Stays) -> None:
        """Remove the workspaces that a run was killed before it could remove."""
        for record in await self._project.list():
            found = attempt_of(record.tags, self._mark)
            if found is not None and not stays(*found):
                with suppress(WorkspaceError):  # somebody looks at it: then it is theirs to remove
                    await self._project.drop(record, who=self._whose(found[0]))

    def close(self) -> None:
        """There is nothing to remove: what is not dropped stays."""
