"""A workspace as this process has it: its lock, its live tree, and what is known of that tree.

    away ──► enter: lock, journal rolled forward, tree attached ──► here ──► leave ──► away
                                                                     └──► gone (deleted)

Rules:

1. Whoever is to use the files holds it (`holders`); the actor that entered it is not reaped
   meanwhile, so the tree stays attached and the lock is kept.
2. A crash of the actor gives nothing back that others hold: its next life finds it here.
3. What was deleted is gone for good: every operation on it says so, also through handles and
   scopes that were made before.
4. A tree that is mounted for all to see stays so when it is left, and when the runner is: somebody
   who holds nothing may work in it. It is unmounted when the workspace is deleted, or when that is
   asked for. One that only its holder's programs see goes when it is left.

`enter`, `capture` and `leave` take long, and are carried out in threads, one at a time; the rest is
a word each, in trio's thread.
"""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

import attrs

from runner.errors import (
    StoreError,
    WorkspaceBusy,
    WorkspaceError,
    WorkspaceNotFound,
)
from runner.scopes.who import NOBODY, Who
from runner.watching.patterns import Rules, make_rules
from runner.workspaces.capturing import Captured
from runner.workspaces.glancing import Glancer
from runner.workspaces.journal import roll_forward
from runner.workspaces.locking import Lock, is_gone
from runner.workspaces.looking import Looker, Looking
from runner.workspaces.lookups import change_workspace, tell
from runner.workspaces.making import Attached, attach, detach, remove
from runner.workspaces.records import WorkspaceRecord
from runner.workspaces.settling import settle
from runner.workspaces.store import Store
from runner.workspaces.trail import Trail
from runner.workspaces.ways import Way
from runner.workspaces.witness import Witness

HANDOVER = 2.0  # seconds in which the lock of a process that has just ended is free
_PAUSE = 0.01


class Holder(Protocol):
    """Whoever uses the files of a live tree."""

    def holds(self) -> bool:
        """Whether something runs, or is open, in it on their behalf."""
        ...

    async def aclose(self) -> None:
        """Let go of them."""
        ...


MakeCapture = Callable[[WorkspaceRecord, str], Looker]


@attrs.define(eq=False, kw_only=True)
class Live:
    """A workspace in this process.

    Attributes:
        id: the workspace's.
        name: what it is called, for errors.
        place: its own directory, in which its tree is.
        store: of its project.
        make_capture: looks at its tree.
        audited: whether it is written down what is done to it.
        rules: which files are in no snapshot.
        holders: those who use its files now.
        is_deleted: rule 3; also while it is being deleted, which may fail until it is
        is_gone: said to be deleted in the store.
        attached: where its files are reached; None while it is away.
        looking: what is seen of its files.
        trail: where it is written down what is done in it.
        witness: looks at files for that; None while the tree is away.
    """

    id: str
    name: str
    place: str
    store: Store
    make_capture: MakeCapture
    audited: bool = True
    rules: Rules = attrs.field(factory=lambda: make_rules(()))
    holders: set[Holder] = attrs.field(factory=set)
    is_deleted: bool = False
    is_gone: bool = False
    attached: Attached | None = None
    looking: Looking = attrs.field(init=False)
    trail: Trail = attrs.field(init=False)
    witness: Witness | None = None
    _lock: Lock | None = None
    _mounted: Attached | None = None

    def __attrs_post_init__(self) -> None:
        self.trail = Trail(self.store, self.id)
        self.looking = Looking(self.store, self.rules, self.place, self.tree, self.name)

    @property
    def tree(self) -> str:
        """The live tree, where it stands for everybody."""
        return os.path.join(self.place, "tree")

    @property
    def is_here(self) -> bool:
        """Whether this process has it, and so no other."""
        return self._lock is not None

    def require(self) -> None:
        """Raise WorkspaceNotFound if it was deleted."""
        if self.is_deleted:
            raise WorkspaceNotFound(self.name)

    def enter(self) -> None:
        """Be here: nobody else changes the tree from now on, and what was cut off is finished.

        Raises:
            WorkspaceNotFound: there is none any more.
            WorkspaceBusy: another process has it.
            StoreError: the store, or the tree, cannot be used.
        """
        if self.attached is not None and self.attached.alive:
            return
        self.record()
        had, self._lock = self._lock, self._lock or self._take()
        try:
            record = self.record()  # as it is now that nobody else changes it
            attached = self._attach(record)
            roll_forward(self.store, self.id, attached.root, self.place)
            self.witness = self.witness or Witness(attached.root)
            self.looking.root, self.looking.is_overlay = attached.root, record.way == Way.OVERLAY
            self.looking.make = self._make_looker
            settle(self.trail, self.witness, Glancer(self.looking, self.witness))
            self.attached = attached
        except BaseException:
            if had is None:
                self._lock.release()
            self._lock = had
            raise

    def unsettle(self) -> None:
        """What was begun was not finished: it is at the next `enter`, before anything else."""
        self.attached = None

    def _attach(self, record: WorkspaceRecord) -> Attached:
        mounted = self._mounted
        if mounted is None or not mounted.alive:
            mounted = self._mounted = attach(self.place, record.way, record.base.path or None)
        return mounted

    def record(self) -> WorkspaceRecord:
        """Its row.

        Raises:
            WorkspaceNotFound: there is none, or it is not whole.
        """
        self.require()
        try:
            record = self.store.workspaces.get(self.id)
        except WorkspaceNotFound:
            raise WorkspaceNotFound(self.name) from None  # by the name, not by the id
        if record.state != "ready":
            raise WorkspaceNotFound(self.name)
        self.name = self.looking.name = record.name
        return record

    def whose(self, who: Who, record: WorkspaceRecord | None = None) -> Who | None:
        """On whose behalf an act is written down; None = it is not."""
        if not self.audited:
            return None
        return who.within(Who(agent=(record or self.record()).agent_id))

    def _take(self) -> Lock:
        until = time.monotonic() + HANDOVER
        while True:
            try:
                return Lock.take(os.path.join(self.place, "lock"), self.name)
            except WorkspaceBusy as busy:
                if not is_gone(busy.pid) or time.monotonic() > until:
                    raise
                time.sleep(_PAUSE)
            except FileNotFoundError:
                raise WorkspaceNotFound(self.name) from None
            except OSError as exc:
                what = f"the workspace {self.name!r} cannot be locked: {exc.strerror}"
                raise StoreError(what, self.place) from exc

    def capture(self, *, verify: bool = False) -> Captured:
        """The root of its tree; its objects are in the store.

        Raises:
            WorkspaceError: the tree cannot be read.
            StoreError: the store cannot keep it.
        """
        assert self.attached is not None
        self.trail.write_down()  # the audit has what was done before what is to be done
        if self.looking.looker is None:
            self.looking.looker = self.make_capture(self.record(), self.attached.root)
        return self.looking.take(verify=verify)

    def _make_looker(self) -> Looker | None:
        record = self.record()
        if self.looking.is_overlay and record.base_root is None:
            return None  # what is below is not known yet
        return self.make_capture(record, self.looking.root)

    def leave(self) -> None:
        """Be away; what is known of the tree is kept for the next time."""
        self.attached = None
        try:
            self._stop_looking()
            if self._mounted is not None and not self._mounted.stays:
                mounted, self._mounted = self._mounted, None
                mounted.detach()
        finally:
            self._unlock()

    def unmount(self, *, in_use: bool = False) -> None:
        """Have the tree away from its place; nobody holds it any more.

        Args:
            in_use: also from under other programs, who lose what they write from then on.

        Raises:
            WorkspaceError: somebody still uses it; nothing was changed.
        """
        self._stop_looking()
        self.attached = None
        try:
            self._detach(in_use=in_use)
        except WorkspaceError:
            gc.collect()  # an error that somebody has kept may hold a descriptor of the tree
            self._detach(in_use=in_use)
        self._mounted = None

    def _detach(self, *, in_use: bool) -> None:
        if self._mounted is not None:
            self._mounted.detach(in_use=in_use)
        detach(self.place, in_use=in_use)  # what a run before us has left mounted

    def release(self) -> None:
        """Have the tree away from its place, although it cannot be entered.

        Raises:
            WorkspaceBusy: another process has it.
            WorkspaceError: somebody uses it.
        """
        lock = self._take()
        try:
            self.unmount()
        finally:
            lock.release()

    def discard(self, who: Who = NOBODY, rescue: str = "") -> None:
        """Take it away with all that is in it, and its row.

        Args:
            who: on whose behalf.
            rescue: the name of a snapshot of it.

        Raises:
            WorkspaceBusy: another process has it.
            WorkspaceError: something of it is in use, or cannot be removed: that is tried again
                when the project is opened.
        """
        try:
            if self._lock is None and os.path.isdir(self.place):
                self._lock = self._take()
            self.unmount()
            self._decide_to_go(who, rescue)
            self.is_deleted = self.is_gone = True
            remove(self.place)
            self.store.workspaces.remove(self.id)
            self.trail.remove()
        except OSError as exc:
            what = f"what is left of the workspace {self.name!r} cannot be removed: {exc.strerror}"
            raise WorkspaceError(f"{what} ({self.place!r})") from exc
        finally:
            if self.is_gone:
                self.forget()

    def _decide_to_go(self, who: Who, rescue: str) -> None:
        with self.store.transaction():
            record = self.store.workspaces.get(self.id)
            if record.state != "deleting":
                change_workspace(self.store, self.id, state="deleting")
                whose = self.whose(who, record)
                tell(self.store, self.id, "delete", whose, name=record.name, rescue=rescue)

    def forget(self) -> None:
        """Its tree was taken away."""
        self.attached = self._mounted = None
        self._unlock()

    def _stop_looking(self) -> None:
        self.trail.close()
        witness, self.witness = self.witness, None
        if witness is not None:
            witness.close()
        with suppress(StoreError):  # the next one looks at each file once more
            self.looking.look_anew()

    def _unlock(self) -> None:
        lock, self._lock = self._lock, None
        if lock is not None:
            lock.release()
