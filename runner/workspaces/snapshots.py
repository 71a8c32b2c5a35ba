"""The snapshots of a workspace: the caller's handle. Nothing happens before it is used.

A snapshot is what the live tree had, exactly, when it was taken: after all effects and programs
that were asked for before. (That of a session's turn, which is over, does not wait for programs of
others.) It stays when the workspace goes.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING

import trio

from runner.errors import RunnerError
from runner.scopes.who import NOBODY, Who
from runner.workspaces.diff import Diff
from runner.workspaces.ignoring import Taken
from runner.workspaces.lookups import find_snapshot, remove_snapshot, stamped
from runner.workspaces.messages import Restore, Snap
from runner.workspaces.names import check_name
from runner.workspaces.records import SnapshotRecord
from runner.workspaces.selecting import everything

if TYPE_CHECKING:
    from runner.workspaces.records import WorkspaceRecord
    from runner.workspaces.shared import Shared
    from runner.workspaces.store import Store

LEAVING = 10.0  # seconds to remove a temporary snapshot when its block is cancelled


class Snapshots:
    """The snapshots of a workspace; `Workspace.snapshots`."""

    def __init__(
        self, shared: Shared, record: WorkspaceRecord, workspace: object, who: Who = NOBODY
    ) -> None:
        """Make a handle.

        Args:
            shared: the project.
            record: the workspace.
            workspace: its handle, for hooks.
            who: on whose behalf it is used.
        """
        self._shared, self._record, self._workspace = shared, record, workspace
        self._who = who

    async def create(
        self, name: str | None = None, *, description: str = "", verify: bool = False
    ) -> SnapshotRecord:
        """Take a snapshot.

        Args:
            name: unique in the workspace; None = one with the time in it.
            description: for people.
            verify: whether every file is looked at, whatever hints there are: also one that a
                program has mapped into its memory, and writes without closing it.

        Returns:
            What it is called, its root, and what is not in it (`skipped`) or was changed while it
            was read (`unstable`).

        Raises:
            InvalidName: no snapshot can have that name.
            SnapshotExists: there is one of that name.
            WorkspaceBusy: another process has the workspace.

        Cancellation: there is none, or all of it.
        """
        chosen = stamped("snapshot") if name is None else check_name(name, "snapshot")
        message = Snap(name=chosen, description=description, verify=verify, who=self._who)
        return await self._take(message)

    async def _take(self, message: Snap) -> SnapshotRecord:
        taken = await self._ask(message)
        await self._tell(taken)
        return taken

    async def _ask(self, message: Snap) -> SnapshotRecord:
        await self._shared.before("snapshot", self._record, self._workspace, message.name)
        return await self._shared.ask(self._record, message)

    async def _tell(self, taken: SnapshotRecord) -> None:
        await self._shared.after("snapshot", self._record, self._workspace, taken)

    async def list(self) -> list[SnapshotRecord]:
        """All of them, the oldest first; also those that were taken before a restore."""
        return await self._shared.do(lambda store: [*store.snapshots.list(self._record.id)])

    async def show(self, name: str) -> SnapshotRecord:
        """One of them.

        Raises:
            SnapshotNotFound: there is none of that name.
        """
        return await self._find(name)

    async def delete(self, name: str) -> None:
        """Remove one; what only it has goes with the next `Project.collect`.

        Raises:
            SnapshotNotFound: there is none of that name.
        """
        found = await self._find(name)
        who = self._shared.whose(self._record, self._who)
        await self._shared.do(partial(remove_snapshot, snapshot=found, who=who))

    async def diff(
        self,
        before: str,
        after: str,
        *,
        select: Callable[[str], bool] | None = None,
        gitignore: bool = False,
    ) -> Diff:
        """What differs between two: of this workspace, or "workspace/snapshot".

        Args:
            before: the one.
            after: the other.
            select: of which paths; None = of all. It is called in a thread.
            gitignore: whether that is left out which the first does not have, and the `.gitignore`
                files of the second ignore.

        Raises:
            SnapshotNotFound: there is none of such a name.
        """
        one, other = await self._find(before), await self._find(after)

        def work(store: Store) -> Diff:
            taken = Taken(store, one.root, other.root) if gitignore else everything
            wanted = everything if select is None else select
            return Diff(store, one.root, other.root, select=lambda at: wanted(at) and taken(at))

        return await self._shared.do(work)

    async def restore(self, name: str, *, force: bool = False) -> SnapshotRecord | None:
        """Make the live tree exactly what a snapshot has.

        Runs after all that was asked for before. If this process is killed meanwhile, it is
        finished when the workspace is used next.

        Args:
            name: of this workspace, or "workspace/snapshot".
            force: whether changes may be replaced that are in no snapshot and no commit. They are
                in the undo snapshot all the same.

        Returns:
            The undo snapshot: what was there before. None if the tree was that already.

        Raises:
            SnapshotNotFound: there is none of that name.
            UncommittedChanges: there are such changes; nothing was done.
            ReadOnly: nothing may be changed in the workspace.
            WorkspaceBusy: another process has the workspace.

        Cancellation: the tree is as it was, or all of it was restored.
        """
        found = await self._find(name)
        shared, record = self._shared, self._record
        await shared.before("restore", record, self._workspace, found)
        message = Restore(root=found.root, what=found.name, force=force, who=self._who)
        undo = await shared.ask(record, message)
        await shared.after("restore", record, self._workspace, found)
        return undo

    @asynccontextmanager
    async def temp(self) -> AsyncGenerator[SnapshotRecord, None]:
        """A snapshot for as long as the block lasts."""
        message = Snap(name=stamped("temporary"), kind="temporary", who=self._who)
        taken = await self._ask(message)
        try:
            await self._tell(taken)
            yield taken
        finally:
            with trio.move_on_after(LEAVING, shield=True), suppress(RunnerError):
                who = self._shared.whose(self._record, self._who)
                await self._shared.do(partial(remove_snapshot, snapshot=taken, who=who))

    async def _find(self, name: str) -> SnapshotRecord:
        find = partial(find_snapshot, reference=name, workspace=self._record)
        return await self._shared.do(find)

    def __repr__(self) -> str:
        return f"<Snapshots of {self._record.name!r}>"
