"""One workspace and its remote: pushing, pulling, and what becomes of changes of both sides.

    push   remote has what we had in common ──► our tree is the next version
           remote has another version       ──► pull first, then push what came of it
    pull   theirs and ours are merged, path by path, against what we had in common; the live tree
           becomes that (what it was is kept as an undo snapshot)

A path that both sides changed is a conflict, and is settled by somebody's choice for it, or by the
strategy; if neither does, nothing at all is applied, on either side.

Rules: objects are there before anything names them; a version is swapped in by comparison; what is
written down (`Settings`) is what is so. So whatever is cut off, wherever, can be tried again, and a
remote that cannot be reached costs nothing but time.

Everything that changes what is in common lives here. When it is done is said elsewhere (actor.py).
"""

from __future__ import annotations

import os
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from functools import partial

import attrs

from runner.errors import (
    RemoteDamaged,
    SnapshotNotFound,
    SyncError,
    WorkspaceChanged,
)
from runner.workspaces.comparing import Change, compare, is_same_tree
from runner.workspaces.listing import EMPTY, Entry
from runner.workspaces.merging import Conflict, Favour, merge
from runner.workspaces.names import near
from runner.workspaces.objects import ObjectId
from runner.workspaces.records import Ref, WorkspaceRecord
from runner.workspaces.store import Store
from runner.workspaces.sync.placing import place
from runner.workspaces.sync.remote import Remote
from runner.workspaces.sync.settings import REF, Settings, Side
from runner.workspaces.sync.transfer import InThread, download, upload
from runner.workspaces.sync.versions import Named, Version, decode, encode

TRIES = 8  # of a push while others push, and of a pull while files are written
LARGEST_TEXT = 1 << 20
THEIRS = "sync theirs"  # under which the store keeps what was fetched last


@attrs.frozen(kw_only=True)
class Synced:
    """What came of a push or a pull.

    Attributes:
        changes: what is different now, there (push) or here (pull).
        objects: how many were sent or fetched.
        version: the number of the version that both sides have in common now.
    """

    changes: tuple[Change, ...] = ()
    objects: int = 0
    version: int = 0


@attrs.define(eq=False, kw_only=True)
class Syncing:
    """One workspace and its remote.

    Attributes:
        store: of the project.
        record: the workspace.
        remote: open.
        settings: what is known; changed here, and kept by `save`.
        save: keeps the settings, with what else is to be kept in the same transaction.
        look: the root of the live tree as it is now.
        apply: makes the live tree that of another root, if it still is the first one; else
            `WorkspaceChanged`.
        in_thread: for the store.
    """

    store: Store
    record: WorkspaceRecord
    remote: Remote
    settings: Settings
    save: Callable[[Settings], None]
    look: Callable[[], Awaitable[ObjectId]]
    apply: Callable[[ObjectId, ObjectId], Awaitable[object]]
    in_thread: InThread

    async def push(self, *, force: bool = False) -> Synced:
        """Make the live tree the remote's newest version.

        Args:
            force: also where the remote has a version that we do not; it stays among the older.

        Raises:
            SyncError: there are conflicts; nothing was changed, here or there.
        """
        for _ in range(TRIES):
            newest = await self.remote.get_ref(self.settings.under)
            if newest not in {None, self.settings.version} and not force:
                await self._merge(newest)
            root = await self.look()
            before = None if newest is None else await self._version(newest)
            snapshots = await self.in_thread(self._snapshots)
            is_ours = newest == self.settings.version  # then its objects are here
            if (
                before is not None
                and before.snapshots == snapshots
                and (before.root == root or (is_ours and await self._is_same(before.root, root)))
            ):
                await self._keep(newest, before.root)
                return Synced(version=before.number)
            common = [before.root] if before and is_ours else []
            sent = await self._send([root, *(each.root for each in snapshots)], common)
            version = encode(
                Version(
                    workspace=self.settings.under,
                    root=root,
                    previous=newest,
                    number=version_number(before),
                    device=self.settings.device,
                    created_ns=time.time_ns(),
                    snapshots=snapshots,
                )
            )
            await self.remote.put([version])
            if await self.remote.swap_ref(self.settings.under, newest, version.id):
                old = before.root if before else EMPTY.id
                changes = await self.in_thread(partial(self._changes, old, root, known=before))
                await self._keep(version.id, root)
                return Synced(changes=changes, objects=sent, version=version_number(before))
        raise SyncError(f"{self.settings.url}: others push all the time; try again later")

    async def pull(self) -> Synced:
        """Take over what the remote has and the live tree does not.

        Raises:
            SyncError: there are conflicts; nothing was changed.
        """
        newest = await self.remote.get_ref(self.settings.under)
        if newest is None or newest == self.settings.version:
            await self._keep(self.settings.version, None)
            return Synced()
        return await self._merge(newest)

    async def fetch(self, *, at: datetime | None = None, snapshot: str | None = None) -> ObjectId:
        """Get an older tree from the remote into the store; what is in common stays as it is.

        Args:
            at: the newest version that is not newer.
            snapshot: one that the remote has, by its name.

        Raises:
            SnapshotNotFound: it has none of that name.
            SyncError: it has no version that old.
        """
        id_ = await self.remote.get_ref(self.settings.under)
        if id_ is None:
            raise SyncError(f"{self.settings.url} has no workspace {self.settings.under!r}")
        version = await self._version(id_)
        if snapshot is not None:
            root = self._named(version, snapshot)
        else:
            root = (await self._as_of(version, at)).root if at is not None else version.root
        await download(self.store, self.remote, root, (), self.in_thread)
        await self.in_thread(partial(self._ref, THEIRS, root))
        return root

    async def pending(self) -> int:
        """How many paths are not as they were when both sides had the same."""
        return len(await self.in_thread(partial(self._changes, self._common(), await self.look())))

    async def _is_same(self, one: ObjectId, other: ObjectId) -> bool:
        """Whether two roots are the same tree: machines number hard links each in its own way."""
        return await self.in_thread(partial(is_same_tree, self.store.listing, one, other))

    # ------------------------------------------------------------ merging

    async def _merge(self, newest: ObjectId | None) -> Synced:
        assert newest is not None
        version = await self._version(newest)
        common = self._common()
        got = await download(self.store, self.remote, version.root, [common], self.in_thread)
        await self.in_thread(partial(self._ref, THEIRS, version.root))
        for _ in range(TRIES):
            ours = await self.look()
            try:
                root = await self.in_thread(partial(self._merged, common, ours, version, newest))
            except SyncError as exc:
                await self._keep_conflicts(exc, newest)  # noqa: ASYNC120 - cancelled, nobody asks
                raise
            if not await self._is_same(ours, root):
                try:
                    await self.apply(ours, root)
                except WorkspaceChanged:
                    continue
            changes = await self.in_thread(partial(self._changes, ours, root))
            await self._keep(newest, version.root)
            return Synced(changes=changes, objects=got, version=version.number)
        raise SyncError(f"the workspace {self.record.name!r} is written to all the time")

    def _merged(
        self, common: ObjectId, ours: ObjectId, version: Version, newest: ObjectId
    ) -> ObjectId:
        """The root that comes of both sides; its objects are in the store."""
        strategy = self.settings.strategy
        favour: Favour | None = {"local": "ours", "remote": "theirs"}.get(strategy)  # type: ignore[assignment]
        read = partial(self.store.read, limit=LARGEST_TEXT) if strategy == "merge" else None
        found = merge(self.store.listing, common, ours, version.root, read=read, favour=favour)
        settled: dict[str, Entry | None] = {}
        left = []
        for each in found.conflicts:
            side = self._side(each, version, newest)
            if side is None:
                left.append(each)
            else:
                settled[each.path] = each.ours if side == "local" else each.theirs
        if left:
            what = f"{self.settings.url} and the workspace {self.record.name!r} both changed"
            raise SyncError(what, left)
        self.store.put(found.objects)
        root, objects = place(self.store.listing, found.root, settled)
        self.store.put(objects)
        return root

    def _side(self, conflict: Conflict, version: Version, newest: ObjectId) -> Side | None:
        choice = self.settings.choices.get(conflict.path)
        if choice is not None and self.settings.against == newest:
            return choice
        if self.settings.strategy != "last-write-wins":
            return None
        if conflict.ours is None or conflict.theirs is None:
            return "local" if conflict.theirs is None else "remote"  # nobody's work is deleted
        path = os.path.join(self.record.tree, conflict.path)
        try:
            ours_ns = os.lstat(path).st_mtime_ns
        except OSError:
            return None
        return "local" if ours_ns > version.created_ns else "remote"

    # ------------------------------------------------------------ parts of it

    async def _send(self, roots: Sequence[ObjectId], common: Sequence[ObjectId]) -> int:
        sent = 0
        for at, root in enumerate(roots):
            known = [*common, *roots[:at]]
            sent += await upload(self.store, self.remote, root, known, self.in_thread)
        return sent

    async def _version(self, id_: ObjectId) -> Version:
        (found,) = await self.remote.get([id_])
        return decode(id_, found.data)

    async def _as_of(self, version: Version, at: datetime) -> Version:
        wanted = int(at.timestamp() * 1_000_000_000)
        while version.created_ns > wanted:
            if version.previous is None:
                raise SyncError(f"{self.settings.url} has no version as old as {at.isoformat()}")
            before = await self._version(version.previous)
            if before.number >= version.number:
                raise RemoteDamaged(f"{self.settings.url}: its versions lead nowhere")
            version = before
        return version

    def _named(self, version: Version, name: str) -> ObjectId:
        known = {each.name: each.root for each in version.snapshots}
        if name not in known:
            raise SnapshotNotFound(name, self.settings.under, near(name, [*known]))
        return known[name]

    def _snapshots(self) -> tuple[Named, ...]:
        return tuple(
            Named(
                name=each.name,
                description=each.description,
                root=each.root,
                created_ns=each.created_ns,
            )
            for each in self.store.snapshots.list(self.record.id)
            if each.kind == "user"
        )

    def _common(self) -> ObjectId:
        """The tree that both sides had in common last."""
        found = self.store.refs.get(REF, self.record.id)
        return EMPTY.id if found is None or self.settings.version is None else found.root

    def _changes(
        self, before: ObjectId, after: ObjectId, known: object = True
    ) -> tuple[Change, ...]:
        """What is different; of a tree that we do not have, nothing is known."""
        if not known or self.store.missing([before]):
            before = EMPTY.id
        return tuple(compare(self.store.listing, before, after))

    async def _keep(self, version: ObjectId | None, root: ObjectId | None) -> None:
        """Write down what is in common now."""
        settings = attrs.evolve(
            self.settings,
            version=version,
            last_sync_ns=time.time_ns(),
            trouble="",
            conflicts=(),
            against=None,
            choices={},
        )

        def keep() -> None:
            with self.store.transaction():
                if root is not None:
                    self._ref(REF, root)
                self.save(settings)

        await self.in_thread(keep)
        self.settings = settings

    async def _keep_conflicts(self, error: SyncError, newest: ObjectId) -> None:
        """Write down what is to be decided; what was decided before for the same stays so."""
        old = self.settings
        settings = attrs.evolve(
            old,
            conflicts=tuple((each.path, str(each)) for each in error.conflicts),
            against=newest,
            choices=old.choices if old.against == newest else {},
        )
        await self.in_thread(partial(self.save, settings))
        self.settings = settings

    def _ref(self, name: str, root: ObjectId) -> None:
        now = time.time_ns()
        self.store.refs.set(Ref(workspace=self.record.id, name=name, root=root, changed_ns=now))


def version_number(before: Version | None) -> int:
    """Of the version that comes after another."""
    return 1 if before is None else before.number + 1
