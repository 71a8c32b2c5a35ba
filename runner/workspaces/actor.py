"""The actor of a workspace: captures its live tree, restores it, takes it away; one at a time.

Its place in the order is the live tree, beside the workers of the scopes in it (they share one
order): a restore never runs beside an operation there, and a snapshot has what was asked for before
it, whole.

It owns the workspace's lock while it is there (live.py), and finds out in its own time what the
base was when the workspace was made (base_root.py).

What is not here: operations on files (the scopes' workers), and rows that need no live tree.
"""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any, TypeVar

import attrs
import trio

from runner.actors.child_spec import ChildSpec, Handle
from runner.errors import (
    ObjectMissing,
    ReadOnly,
    UncommittedChanges,
    WorkspaceChanged,
    WorkspaceError,
)
from runner.messages import Message
from runner.workspaces.base_root import BaseRoot, FindBase
from runner.workspaces.capturing import Captured
from runner.workspaces.comparing import Change, compare, is_same_tree
from runner.workspaces.live import Live
from runner.workspaces.lookups import add_snapshot, change_workspace, stamped, tell
from runner.workspaces.making import Attached
from runner.workspaces.messages import (
    AskBase,
    Attach,
    Delete,
    Look,
    Offer,
    Rebased,
    Restore,
    Snap,
    Unmount,
    lane_of,
)
from runner.workspaces.objects import ObjectId
from runner.workspaces.planning import plan
from runner.workspaces.records import SnapshotKind, SnapshotRecord
from runner.workspaces.restoring import restore
from runner.workspaces.writing_down import keep_writing_down

T = TypeVar("T")
LEAVING = 10.0  # seconds for what is known of the tree to be written down


@attrs.define(eq=False, kw_only=True)
class WorkspaceActor:
    """What a workspace's actor is and does.

    Attributes:
        live: which workspace.
        find_base: what a workspace's base was when that was made, and since when it is there; in a
            thread.
        limiter: of threads.
        beside: carried out whenever the workspace has come into use.
        idle_after: seconds without a message, or a holder, until it frees what it owns.
        spec: how it is run.
    """

    live: Live
    find_base: FindBase
    limiter: trio.CapacityLimiter
    beside: Callable[[], Awaitable[object]] = trio.lowlevel.checkpoint
    idle_after: float = 60.0
    spec: ChildSpec = attrs.field(init=False)
    _looking: trio.Lock = attrs.field(factory=trio.Lock)
    _moving: trio.Lock = attrs.field(factory=trio.Lock)
    _base: BaseRoot = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._base = BaseRoot(self.live, self.find_base, self.limiter)
        self.spec = ChildSpec(
            key=("workspace", self.live.place),
            open=self.open,
            lane=lane_of,
            place=tuple(map(sys.intern, os.path.realpath(self.live.tree).split("/")[1:])),
            idle_after=self.idle_after,
            holds=lambda _handle: bool(self.live.holders) or self._base.is_sought,
        )

    @asynccontextmanager
    async def open(self) -> AsyncGenerator[Handle, None]:
        """Be there, until reaped."""
        live = self.live
        await self._in_thread(live.enter)
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._base.find_soon)
                nursery.start_soon(self.beside)
                nursery.start_soon(keep_writing_down, live.trail, self._in_thread)
                yield self._handle
                nursery.cancel_scope.cancel(reason="the workspace's actor has ended")
        finally:
            if not live.holders:
                with trio.move_on_after(LEAVING, shield=True):
                    await self._in_thread(live.leave)

    def _handle(self, message: Message[Any]) -> object:  # noqa: PLR0911 - one for each message
        self.live.require()
        match message:
            case Attach():
                return self._here()
            case AskBase():
                return self._base.ask()
            case Look():
                return self._look(verify=message.verify)
            case Offer():
                return self._offer()
            case Rebased():
                return self._rebased()
            case Snap():
                return self._snap(message)
            case Restore():
                return self._restore(message)
            case Delete():
                return self._delete(message)
            case Unmount():
                return self._unmount()
            case _:
                raise TypeError(f"{message!r} is none")  # pragma: no cover - it would have no lane

    # ------------------------------------------------------------ what it carries out

    async def _here(self) -> Attached:
        """The tree, whole: what could not be finished is finished before anything else is done."""
        while self.live.attached is None:
            async with self._moving:
                await self._in_thread(self.live.enter)
        return self.live.attached

    async def _look(self, *, verify: bool = False) -> Captured:
        async with self._looking:
            await self._here()
            if self.live.looking.is_overlay:  # what was changed is what is not as in the base
                await self._base.ask()
            return await self._in_thread(partial(self.live.capture, verify=verify))

    async def _offer(self) -> ObjectId:
        captured = await self._look()
        await self._base.ask()
        return captured.root

    async def _rebased(self) -> None:
        async with self._looking:
            if self.live.looking.is_overlay:
                await self._in_thread(self.live.looking.look_anew)

    async def _snap(self, message: Snap) -> SnapshotRecord:
        def add(captured: Captured) -> SnapshotRecord:
            return add_snapshot(
                self.live.store,
                self.live.id,
                self.live.name,
                message.name,
                captured,
                description=message.description,
                kind=message.kind,
                session=message.session,
                turn=message.turn,
                who=self.live.whose(message.who),
            )

        captured = await self._look(verify=message.verify)
        return await self._kept(captured, add)

    async def _restore(self, message: Restore) -> SnapshotRecord | None:
        if (await self._in_thread(self.live.record)).read_only:
            what = f"the workspace {self.live.name!r} is for reading only"
            raise ReadOnly("restore", ".", what)
        captured = await self._look()
        if message.expect is not None and not await self._is_same(message.expect, captured.root):
            raise WorkspaceChanged(f"the workspace {self.live.name!r} was written to meanwhile")
        if await self._in_thread(partial(self._is_exactly, captured.root, message.root)):
            await self._in_thread(partial(self._tell_of_restore, message, ""))
            return None
        if not message.force:
            await self._require_kept(captured.root, f"restoring {message.what} would lose changes")
        name, done = stamped("undo"), list[SnapshotRecord]()

        def work() -> None:
            live = self.live
            assert live.attached is not None
            live.trail.beside.spoil()

            def also() -> None:  # in the transaction that decides it
                why = f"before {message.what} was restored"
                done.append(self._keep(captured, name, why, "undo"))
                live.store.require_whole(message.root, captured.since)
                change_workspace(live.store, live.id, root=message.root)
                self._tell_of_restore(message, name)

            restore(
                live.store,
                live.id,
                live.attached.root,
                captured.root,
                message.root,
                place=live.place,
                also=also,
            )

        try:
            await self._in_thread(work)
        except BaseException:
            self.live.unsettle()
            raise
        return done[-1]

    async def _delete(self, message: Delete) -> SnapshotRecord | None:
        live, rescue = self.live, None
        if message.rescue or not message.force:
            captured = await self._look()
            base = await self._base.ask_if_known(or_else=message.force)
            if base is None or not await self._is_same(base, captured.root):
                if not message.force and base is not None:
                    changes = await self._in_thread(partial(self._changes, base, captured.root))
                    what = f"the workspace {live.name!r} has changes that are in no commit"
                    raise UncommittedChanges(f"{what}: `force` deletes it all the same", changes)
                name, why = stamped(f"rescue-{live.name}"), f"before {live.name} was deleted"
                keep = partial(self._keep, name=name, description=why, kind="rescue")
                rescue = await self._kept(captured, keep)
        live.is_deleted = True
        try:
            for each in list(live.holders):
                await each.aclose()
            await self._in_thread(partial(live.unmount, in_use=not message.rescue))
            with trio.CancelScope(shield=True):  # bounded by the tree: it is to be gone
                rescued = "" if rescue is None else rescue.name
                await self._in_thread(partial(live.discard, message.who, rescued))
        except BaseException:
            live.is_deleted = live.is_gone
            raise
        return rescue

    async def _unmount(self) -> None:
        live = self.live
        for each in list(live.holders):
            if not each.holds():
                await each.aclose()
        async with self._moving:
            # One synchronous block: whoever asks for the tree from here on gets it anew.
            if live.holders:
                what = f"the tree of the workspace {live.name!r} cannot be unmounted"
                raise WorkspaceError(f"{what}: programs or sessions of this process are in it")
            live.attached = None
            await self._in_thread(live.unmount)

    # ------------------------------------------------------------ parts of it

    async def _kept(
        self, captured: Captured, keep: Callable[[Captured], SnapshotRecord]
    ) -> SnapshotRecord:
        """Have a snapshot of what was captured; anew, if something of it was dropped since."""
        with suppress(ObjectMissing):
            return await self._in_thread(partial(keep, captured))
        captured = await self._look()
        return await self._in_thread(partial(keep, captured))

    def _keep(
        self, captured: Captured, name: str, description: str, kind: SnapshotKind
    ) -> SnapshotRecord:
        """Add a snapshot of ours."""
        live = self.live
        return add_snapshot(
            live.store, live.id, live.name, name, captured, description=description, kind=kind
        )

    def _tell_of_restore(self, message: Restore, undo: str) -> None:
        about = {"name": message.what, "root": message.root.hex(), "undo": undo}
        tell(self.live.store, self.live.id, "restore", self.live.whose(message.who), **about)

    async def _require_kept(self, root: ObjectId, what: str) -> None:
        """Raise UncommittedChanges if a tree is in no snapshot, and is not the base."""
        live = self.live
        kept = await self._in_thread(lambda: live.store.snapshots.list(live.id))
        for each in {each.root for each in kept}:
            if await self._is_same(each, root):
                return
        base = await self._base.ask()
        if not await self._is_same(base, root):
            since = kept[-1].root if kept else base
            changes = await self._in_thread(partial(self._changes, since, root))
            raise UncommittedChanges(f"{what}: `force` restores it all the same", changes)

    async def _is_same(self, one: ObjectId, other: ObjectId) -> bool:
        """Whether two roots are the same tree, however their hard links are numbered."""
        work = partial(is_same_tree, self.live.store.listing, one, other)
        return one == other or await self._in_thread(work)

    def _is_exactly(self, one: ObjectId, other: ObjectId) -> bool:
        """Whether that is so, and the same names share a file as well."""
        listing = self.live.store.listing
        return one == other or (
            is_same_tree(listing, one, other) and not plan(listing, one, other).steps
        )

    def _changes(self, before: ObjectId, after: ObjectId) -> list[Change]:
        return list(compare(self.live.store.listing, before, after))

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await trio.to_thread.run_sync(work, limiter=self.limiter)
