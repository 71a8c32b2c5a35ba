"""One workspace and its remote: pushing, pulling, and what becomes of changes of both sides.

    push   remote has what we had in common ──► our tree is the next version
           remote has another version       ──► pull first, then push what came of it
    pull   theirs and ours are merged, path by path, against what we had in common; the live tree
           becomes that (what it was is kept as an undo snapshot)

A path that both sides changed is a conflict, and is settled by somebody's choice for it, or by the
strategy; if neither does, nothing at all is applied, on either side.

Rules: objects are there before anything names them; a version is swapped in by comparison, and is
written down before it is; what is written down (`Settings`) is what is so. So whatever is cut off,
wherever, can be tried again; a version of ours that arrived though nobody told us is found to be
ours; and a remote that cannot be reached costs nothing but time.

Everything that changes what is in common lives here. When it is done is said elsewhere (actor.py).
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from functools import partial

import attrs

from runner.errors import RemoteDamaged, SyncError, WorkspaceChanged
from runner.workspaces.comparing import Change, compare, is_same_tree
from runner.workspaces.listing import EMPTY
from runner.workspaces.objects import ObjectId
from runner.workspaces.records import WorkspaceRecord
from runner.workspaces.store import Store
from runner.workspaces.sync.deciding import Decision
from runner.workspaces.sync.lineage import Lineage
from runner.workspaces.sync.remote import Remote
from runner.workspaces.sync.settings import REF, SENT, THEIRS, Settings
from runner.workspaces.sync.transfer import InThread, download, upload
from runner.workspaces.sync.versions import Named, Version, encode

TRIES = 8  # of a push while others push, and of a pull while files are written


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
        settings: what is known; changed here.
        save: keeps them, and trees by name.
        look: the root of the live tree as it is now.
        apply: makes the live tree that of another root, if it still is the first one; else
            `WorkspaceChanged`.
        in_thread: for the store.
    """

    store: Store
    record: WorkspaceRecord
    remote: Remote
    settings: Settings
    save: Callable[[Settings, Mapping[str, ObjectId]], None]
    look: Callable[[], Awaitable[ObjectId]]
    apply: Callable[[ObjectId, ObjectId], Awaitable[object]]
    in_thread: InThread
    _past: Lineage = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._past = Lineage(self.remote, self.settings.url, self.settings.under)

    async def push(self, *, force: bool = False) -> Synced:
        """Make the live tree the remote's newest version.

        Args:
            force: also where the remote has a version that we do not; it stays among the older.

        Raises:
            SyncError: there are conflicts; nothing was changed, here or there.
        """
        for _ in range(TRIES):
            newest = await self._newest(is_known=not force)
            if newest not in {None, self.settings.version} and not force:
                await self._merge(newest)
            root = await self.look()
            before = None if newest is None else await self._past.version(newest)
            snapshots = await self.in_thread(self._snapshots)
            is_ours = newest == self.settings.version  # then its objects are here
            if (
                before is not None
                and before.snapshots == snapshots
                and (before.root == root or (is_ours and await self._is_same(before.root, root)))
            ):
                await self._keep(newest, before)
                return Synced(version=before.number)
            common = [before.root] if before and is_ours else []
            sent = await self._send([root, *(each.root for each in snapshots)], common)
            version = self._next(newest, before, root, snapshots)
            if await self._swap(newest, version):
                old = before.root if before else EMPTY.id
                changes = await self.in_thread(partial(self._changes, old, root, known=before))
                return Synced(changes=changes, objects=sent, version=version.number)
        raise SyncError(f"{self.settings.url}: others push all the time; try again later")

    async def pull(self) -> Synced:
        """Take over what the remote has and the live tree does not.

        Raises:
            SyncError: there are conflicts; nothing was changed.
        """
        newest = await self._newest()
        if newest is None or newest == self.settings.version:
            await self._keep(self.settings.version)
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
        root = await self._past.root_of(at=at, snapshot=snapshot)
        await download(self.store, self.remote, root, (), self.in_thread)
        await self._write(self.settings, {THEIRS: root})
        return root

    async def pending(self) -> int:
        """How many paths are not as they were when both sides had the same."""
        common = common_root(self.store, self.record.id, self.settings)
        return len(await self.in_thread(partial(self._changes, common, await self.look())))

    async def _is_same(self, one: ObjectId, other: ObjectId) -> bool:
        """Whether two roots are the same tree: machines number hard links each in its own way."""
        return await self.in_thread(partial(is_same_tree, self.store.listing, one, other))

    # ------------------------------------------------------------ what is there

    async def _newest(self, *, is_known: bool = True) -> ObjectId | None:
        """The remote's newest version; one of ours whose arrival we never heard of is known now.

        Args:
            is_known: whether it must have come of what we had in common.

        Raises:
            RemoteDamaged: it has not: the remote was set back.
        """
        newest, known = await self._past.newest(), self.settings
        ours = [each for each in (known.version, known.sent) if each is not None]
        if newest is None or newest == known.version or not ours:
            return newest
        found = None
        if is_known or newest == known.sent:
            found = await self._past.find(newest, ours, known.number)
        if found is not None and found == known.sent:
            await self._keep(found, await self._past.version(found))
        elif found is None and is_known and known.version is not None:
            there = (await self._past.version(newest)).number
            raise RemoteDamaged(
                f"{known.url}: its newest version of {known.under!r} is number {there}, and does"
                f" not come of number {known.number}, which was there: it was set back, or is"
                " another one. A push by force makes what is here its newest version; to have what"
                " is there, disable the sync and enable it again"
            )
        return newest

    def _next(
        self,
        newest: ObjectId | None,
        before: Version | None,
        root: ObjectId,
        snapshots: tuple[Named, ...],
    ) -> Version:
        return Version(
            workspace=self.settings.under,
            root=root,
            previous=newest,
            number=1 if before is None else before.number + 1,
            device=self.settings.device,
            created_ns=time.time_ns(),
            snapshots=snapshots,
        )

    async def _swap(self, newest: ObjectId | None, version: Version) -> bool:
        """Make a version the newest one; what is to be is written down before it can be so."""
        made = encode(version)
        await self.remote.put([made])
        await self._write(attrs.evolve(self.settings, sent=made.id), {SENT: version.root})
        done = await self.remote.swap_ref(self.settings.under, newest, made.id)
        if done:
            await self._keep(made.id, version)
        return done

    # ------------------------------------------------------------ merging

    async def _merge(self, newest: ObjectId | None) -> Synced:
        assert newest is not None
        version = await self._past.version(newest)
        common = common_root(self.store, self.record.id, self.settings)
        got = await download(self.store, self.remote, version.root, [common], self.in_thread)
        await self._write(self.settings, {THEIRS: version.root})
        decide = Decision(self.store, self.record, self.settings, common, newest, version).root
        for _ in range(TRIES):
            ours = await self.look()
            try:
                root = await self.in_thread(partial(decide, ours))
            except SyncError as exc:
                await self._keep_conflicts(exc, newest)  # noqa: ASYNC120 - cancelled, nobody asks
                raise
            if not await self._is_same(ours, root):
                try:
                    await self.apply(ours, root)
                except WorkspaceChanged:
                    continue
            changes = await self.in_thread(partial(self._changes, ours, root))
            await self._keep(newest, version)
            return Synced(changes=changes, objects=got, version=version.number)
        raise SyncError(f"the workspace {self.record.name!r} is written to all the time")

    # ------------------------------------------------------------ parts of it

    async def _send(self, roots: Sequence[ObjectId], common: Sequence[ObjectId]) -> int:
        sent = 0
        for at, root in enumerate(roots):
            known = [*common, *roots[:at]]
            sent += await upload(self.store, self.remote, root, known, self.in_thread)
        return sent

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

    def _changes(
        self, before: ObjectId, after: ObjectId, known: object = True
    ) -> tuple[Change, ...]:
        """What is different; of a tree that we do not have, nothing is known."""
        if not known or self.store.missing([before]):
            before = EMPTY.id
        return tuple(compare(self.store.listing, before, after))

    async def _keep(self, id_: ObjectId | None, version: Version | None = None) -> None:
        """Write down what is in common now; without a version it is what it was."""
        old = self.settings
        settings = attrs.evolve(
            old,
            version=id_,
            number=old.number if version is None else version.number,
            sent=old.sent if id_ == old.version else None,  # it may arrive yet
            last_sync_ns=time.time_ns(),
            trouble="",
            conflicts=(),
            against=None,
            choices={},
        )
        await self._write(settings, {} if version is None else {REF: version.root})

    async def _keep_conflicts(self, error: SyncError, newest: ObjectId) -> None:
        """Write down what is to be decided; what was decided before for the same stays so."""
        old = self.settings
        settings = attrs.evolve(
            old,
            conflicts=tuple((each.path, str(each)) for each in error.conflicts),
            against=newest,
            choices=old.choices if old.against == newest else {},
        )
        await self._write(settings, {})

    async def _write(self, settings: Settings, refs: Mapping[str, ObjectId]) -> None:
        await self.in_thread(partial(self.save, settings, refs))
        self.settings = settings


def common_root(store: Store, workspace: str, settings: Settings) -> ObjectId:
    """The tree that both sides had in common last."""
    found = store.refs.get(REF, workspace)
    return EMPTY.id if found is None or settings.version is None else found.root
