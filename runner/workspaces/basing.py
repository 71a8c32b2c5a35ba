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
from collections import defaultdict

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

    def find(self, record: WorkspaceRecord) -> Origin:
        """What a workspace's base was when that was made; see origins.py."""
        now, base = self.look(record), record.base.path
        made = self._made.get(record.id)
        changed = origins.fresh(base, self._ignore, record.created_ns)
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
        return found

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
            finally:
                capture.close()
