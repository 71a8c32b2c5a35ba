"""What bases were: their roots, found out after the workspaces on them were made.

To look at a base takes longer than to make a workspace of it. So it is captured in the time of the
workspace's actor, once for all workspaces of the project: what is known of its files is kept in the
store, and a second look hashes nothing that did not change.

Synchronous, for threads.
"""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections import defaultdict

import attrs

from runner.errors import StoreError
from runner.watching.allowance import Allowance
from runner.watching.patterns import Rules
from runner.workspaces import origins
from runner.workspaces.capturing import Capture
from runner.workspaces.looking import Looker
from runner.workspaces.objects import ObjectId
from runner.workspaces.origins import Origin
from runner.workspaces.records import WorkspaceRecord
from runner.workspaces.store import Store
from runner.workspaces.uppers import Upper
from runner.workspaces.ways import Place, Way


@attrs.frozen
class _Seen:
    """What a look at a base came to: since a moment, before it began, nothing changed in it."""

    began: int  # on the monotonic clock
    since: int  # on the wall clock
    root: ObjectId
    changed: origins.Fresh
    drops: int


class Bases:
    """The bases of a project.

    Args:
        store: of the project.
        ignore: what is in no snapshot.
        watch: whether live trees may be watched.
        allowance: how many watches there may be.
    """

    def __init__(
        self, store: Store, ignore: Rules, *, watch: bool = True, allowance: Allowance | None = None
    ) -> None:
        self._store, self._ignore, self._watch = store, ignore, watch
        self._allowance = Allowance() if allowance is None else allowance
        self._locks: dict[str, threading.Lock] = defaultdict(threading.Lock)
        self._made: dict[str, int] = {}  # of copies whose bases are not known yet
        self._finding: dict[str, threading.Lock] = defaultdict(threading.Lock)
        self._seen: dict[str, _Seen] = {}  # the last look at each base that had not changed

    def capture(self, record: WorkspaceRecord, tree: str) -> Looker:
        """What looks at a workspace's live tree; of an overlay, the base has to be known."""
        if record.way == Way.OVERLAY and record.base_root is not None:
            place = Place.at(os.path.dirname(record.tree))
            return Upper(
                place.upper,
                tree,
                self._store,
                record.id,
                base=record.base_root,
                ignore=self._ignore,
            )
        return Capture(
            tree,
            self._store,
            record.id,
            ignore=self._ignore,
            watch=self._watch,
            allowance=self._allowance,
        )

    def capture_new(self, record: WorkspaceRecord) -> ObjectId:
        """The root of a live tree that was made just now."""
        capture = self.capture(record, record.tree)
        try:
            return capture.take().root
        finally:
            capture.close()

    def settled(self, id_: str) -> None:
        """A copy has just been made; whoever changes it does so from now on."""
        self._made[id_] = origins.moment()

    def find(self, record: WorkspaceRecord, asked: int | None = None) -> Origin:
        """What a workspace's base was when that was made; see origins.py.

        Of many workspaces that were made at a time, one looks, and the others take what it saw.

        Args:
            record: the workspace.
            asked: when it was there already, on the monotonic clock in nanoseconds; None = now.
        """
        made = self._made.get(record.id)
        now, changed, since = self._look_once(
            record, time.monotonic_ns() if asked is None else asked
        )
        if made is not None and record.way != Way.OVERLAY:
            changed = origins.with_cut(changed, record.tree)
        if not changed.paths:
            found = Origin(root=now)
        elif record.way == Way.OVERLAY or made is None:
            found = origins.find(self._store, now, changed)
        else:
            copy = Capture(record.tree, self._store, None, ignore=self._ignore, watch=False)
            root = copy.take().root
            written = origins.fresh(record.tree, self._ignore, made, tick=0)
            found = origins.find(self._store, now, changed, root, written)
        self._made.pop(record.id, None)
        return attrs.evolve(found, since=since)

    def _look_once(
        self, record: WorkspaceRecord, asked: int
    ) -> tuple[ObjectId, origins.Fresh, int]:
        """The base's root, what has changed in it since the workspace was made, and `since`."""
        base = record.base.path
        with self._finding[base]:
            seen = self._seen.get(base)
            # A look that began later than the workspace, and found nothing changed for longer.
            if seen is not None and seen.began > asked and seen.since <= record.created_ns:
                return seen.root, seen.changed, seen.drops
            drops = self._store.drops()
            began, root = time.monotonic_ns(), self.look(record)
            changed = origins.fresh(base, self._ignore, record.created_ns)
            if not changed.paths:
                self._seen[base] = _Seen(began, record.created_ns, root, changed, drops)
            return root, changed, drops

    def look(self, record: WorkspaceRecord) -> ObjectId:
        """The root of a workspace's base, as it is now."""
        path = record.base.path
        if not os.path.isdir(path):
            raise StoreError("it is gone, so nobody knows what was changed", path)
        key = "base-" + hashlib.sha256(os.fsencode(path)).hexdigest()[:32]
        with self._locks[path]:
            capture = Capture(path, self._store, key, ignore=self._ignore, watch=False)
            try:
                return capture.take().root
            except OSError as exc:
                raise StoreError(f"it cannot be read: {exc.strerror}", path) from exc
            finally:
                capture.close()
