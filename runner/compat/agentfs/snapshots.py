"""AgentFS's `workspace.snapshot`."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from runner.compat.agentfs.houses import Place
from runner.compat.agentfs.twins import Block, Twinned, both
from runner.compat.agentfs.words import Snapshot
from runner.workspaces.diff import Diff
from runner.workspaces.workspace import Workspace as OurWorkspace

_HIDDEN = {"undo", "rescue", "temporary"}


class Snapshots(Twinned):
    """The snapshots of a workspace."""

    def __init__(self, place: Place, workspace: OurWorkspace) -> None:
        """Nothing happens yet."""
        self._place, self._workspace = place, workspace

    @both
    async def create(self, name: str | None = None, description: str = "") -> Snapshot:
        """Take a snapshot; without a name it gets one with the time in it.

        Raises:
            SnapshotExistsError: there is one of that name.
        """
        made = await self._workspace.snapshots.create(name, description=description)
        return Snapshot.of(made)

    @both
    async def list(self, *, all: bool = False) -> list[Snapshot]:  # noqa: A002 - as in a shell
        """The oldest first; with `all` also those that were taken before a restore."""
        found = await self._workspace.snapshots.list()
        return [Snapshot.of(each) for each in found if all or each.kind not in _HIDDEN]

    @both
    async def show(self, name: str) -> Snapshot:
        """One of them, or of another workspace: "workspace/snapshot".

        Raises:
            SnapshotNotFoundError: there is none of that name.
        """
        return Snapshot.of(await self._workspace.snapshots.show(name))

    @both
    async def restore(self, name: str, *, force: bool = True) -> Snapshot | None:
        """Make the files exactly what a snapshot has.

        Args:
            name: of the snapshot.
            force: False refuses it if there are changes that are in no snapshot and no commit.

        Returns:
            A snapshot of what was there before; None if nothing was different.

        Raises:
            SnapshotNotFoundError: there is none of that name.
            UncommittedChangesError: see `force`.
        """
        undo = await self._workspace.snapshots.restore(name, force=force)
        return None if undo is None else Snapshot.of(undo)

    @both
    async def delete(self, name: str) -> None:
        """Delete a snapshot.

        Raises:
            SnapshotNotFoundError: there is none of that name.
        """
        await self._workspace.snapshots.delete(name)

    @both
    async def diff(self, before: str, after: str) -> Diff:
        """What differs between two: a list of changes, with `text` and `stat`.

        Raises:
            SnapshotNotFoundError: there is none of such a name.
        """
        return await self._workspace.snapshots.diff(before, after)

    def temp(self) -> Block[Snapshot]:
        """A snapshot for as long as the block lasts."""
        return Block(self._place, self._temp)

    @asynccontextmanager
    async def _temp(self) -> AsyncGenerator[Snapshot, None]:
        async with self._workspace.snapshots.temp() as taken:
            yield Snapshot.of(taken)
