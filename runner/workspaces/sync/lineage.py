"""The versions that a remote has of a workspace: the newest one, and those that came before it.

Each version says which one it replaced, also one that was pushed by force. So a remote whose newest
version does not lead back to one that it had before is not what it was: somebody has put an older
copy of it in its place, or it is another one.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

import attrs

from runner.errors import RemoteDamaged, SnapshotNotFound, SyncError
from runner.workspaces.names import near
from runner.workspaces.objects import ObjectId
from runner.workspaces.sync.remote import Remote
from runner.workspaces.sync.versions import Named, Version, decode

FAR = 1000  # versions that are looked at, one after the other, for one that we know


@attrs.define(eq=False)
class Lineage:
    """The versions that a remote has of a workspace.

    Attributes:
        remote: open.
        url: of it, for errors.
        under: the workspace's name there.
    """

    remote: Remote
    url: str
    under: str
    _known: dict[ObjectId, Version] = attrs.field(factory=dict, init=False)

    async def newest(self) -> ObjectId | None:
        """The newest version, as the remote says now; None = it has none."""
        return await self.remote.get_ref(self.under)

    async def version(self, id_: ObjectId) -> Version:
        """A version."""
        if id_ not in self._known:
            (found,) = await self.remote.get([id_])
            self._known[id_] = decode(id_, found.data)
        return self._known[id_]

    async def find(
        self, newest: ObjectId, wanted: Collection[ObjectId], floor: int
    ) -> ObjectId | None:
        """The first of some versions on the way back; None = none of them is there.

        Args:
            newest: where the way begins.
            wanted: some versions.
            floor: the least number that one of them can have.

        Raises:
            RemoteDamaged: the versions lead nowhere.
            SyncError: they are further back than is looked.
        """
        id_: ObjectId | None = newest
        for _ in range(FAR):
            if id_ is None or id_ in wanted:
                return id_
            version = await self.version(id_)
            if version.number <= floor:
                return None
            id_ = await self._before(version)
        what = f"{self.url} has more than {FAR} versions that are not known here"
        raise SyncError(f"{what}: disable the sync and enable it again, to begin anew")

    async def root_of(self, *, at: datetime | None, snapshot: str | None) -> ObjectId:
        """An older tree.

        Args:
            at: of the newest version that is not newer.
            snapshot: of one that the newest version has, by its name.

        Raises:
            SnapshotNotFound: there is none of that name.
            SyncError: there is no version that old.
        """
        id_ = await self.newest()
        if id_ is None:
            raise SyncError(f"{self.url} has no workspace {self.under!r}")
        version = await self.version(id_)
        if snapshot is not None:
            return self._named(version.snapshots, snapshot)
        return version.root if at is None else (await self._as_of(version, at)).root

    async def _as_of(self, version: Version, at: datetime) -> Version:
        wanted = int(at.timestamp() * 1_000_000_000)
        while version.created_ns > wanted:
            before = await self._before(version)
            if before is None:
                raise SyncError(f"{self.url} has no version as old as {at.isoformat()}")
            version = await self.version(before)
        return version

    async def _before(self, version: Version) -> ObjectId | None:
        if version.previous is None:
            return None
        before = await self.version(version.previous)
        if before.number >= version.number:
            raise RemoteDamaged(f"{self.url}: its versions lead nowhere")
        return version.previous

    def _named(self, snapshots: Collection[Named], name: str) -> ObjectId:
        known = {each.name: each.root for each in snapshots}
        if name not in known:
            raise SnapshotNotFound(name, self.under, near(name, [*known]))
        return known[name]
