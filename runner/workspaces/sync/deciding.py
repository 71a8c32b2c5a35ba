"""What a workspace is to be, of what is here and what a remote has; and who decides a conflict.

Each path is merged against what both sides had in common. What both changed is settled by the
choice that somebody made for this version of the remote; else by the strategy; else by nobody, and
then nothing at all is to be done.
"""

from __future__ import annotations

import os
from functools import partial

import attrs

from runner.errors import SyncError
from runner.workspaces.listing import Entry
from runner.workspaces.merging import Conflict, Favour, merge
from runner.workspaces.objects import ObjectId
from runner.workspaces.records import WorkspaceRecord
from runner.workspaces.store import Store
from runner.workspaces.sync.placing import place
from runner.workspaces.sync.settings import Settings, Side
from runner.workspaces.sync.versions import Version

LARGEST_TEXT = 1 << 20
FAVOURS: dict[str, Favour] = {"local": "ours", "remote": "theirs"}


@attrs.frozen
class Decision:
    """What becomes of one version of a remote; for a thread.

    Attributes:
        store: has all of both trees, and gets what comes of them.
        record: the workspace.
        settings: the strategy, and what was chosen.
        common: the tree that both sides had in common last.
        newest: the remote's version.
        theirs: that.
    """

    store: Store
    record: WorkspaceRecord
    settings: Settings
    common: ObjectId
    newest: ObjectId
    theirs: Version

    def root(self, ours: ObjectId) -> ObjectId:
        """The tree that comes of both sides; its objects are in the store.

        Raises:
            SyncError: nobody has decided what becomes of its `conflicts`.
        """
        strategy, listing = self.settings.strategy, self.store.listing
        found = merge(
            listing,
            self.common,
            ours,
            self.theirs.root,
            read=partial(self.store.read, limit=LARGEST_TEXT) if strategy == "merge" else None,
            favour=FAVOURS.get(strategy),
        )
        settled: dict[str, Entry | None] = {}
        left = []
        for each in found.conflicts:
            side = self._side(each)
            if side is None:
                left.append(each)
            else:
                settled[each.path] = each.ours if side == "local" else each.theirs
        if left:
            what = f"{self.settings.url} and the workspace {self.record.name!r} both changed"
            raise SyncError(what, left)
        self.store.put(found.objects)
        root, objects = place(listing, found.root, settled)
        self.store.put(objects)
        return root

    def _side(self, conflict: Conflict) -> Side | None:
        choice = self.settings.choices.get(conflict.path)
        if choice is not None and self.settings.against == self.newest:
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
        return "local" if ours_ns > self.theirs.created_ns else "remote"
