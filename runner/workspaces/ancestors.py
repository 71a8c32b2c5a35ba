"""What a workspace and its base both began with, where that was changed when nobody looked.

A path of which nobody knows what it was (origins.py) may have been changed by both: if the
workspace changed it, that is a conflict, unless it is said whose it is to be. Synchronous.
"""

from __future__ import annotations

from collections.abc import Sequence

from runner.errors import CommitError
from runner.workspaces.comparing import Change
from runner.workspaces.git_index import Strategy
from runner.workspaces.merging import Conflict
from runner.workspaces.objects import ObjectId
from runner.workspaces.origins import Origin, keep, unsure_of
from runner.workspaces.records import CommitRecord, WorkspaceRecord
from runner.workspaces.store import Store
from runner.workspaces.sync.placing import place


def ancestor(
    store: Store,
    record: WorkspaceRecord,
    before: ObjectId,
    changes: Sequence[Change],
    strategy: Strategy,
) -> ObjectId:
    """The tree that both were made of.

    Args:
        store: of the project.
        record: the workspace.
        before: its base, as far as is known.
        changes: that are to be committed.
        strategy: what becomes of paths that both changed.

    Raises:
        CommitError: nobody knows, and it is not said whose such a path is to be.
    """
    unsure = {*unsure_of(store, record.id)}
    hit = [each for each in changes if each.path in unsure]
    if not hit or strategy == "ours":
        return before
    if strategy == "theirs":  # nothing was there: both have added it
        root, objects = place(store.listing, before, {each.path: None for each in hit})
        store.put(objects)
        return root
    what = f"the base {record.base.path!r} was changed when the workspace was made"
    raise CommitError(f"{what}, and so was that; nothing was applied", [*map(_conflict, hit)])


def forget_unsure(store: Store, id_: str, done: CommitRecord) -> None:
    """What was committed is known from then on; in the transaction of it, before its new root."""
    left = tuple(each for each in unsure_of(store, id_) if each not in done.paths)
    keep(store, id_, Origin(root=done.base_after, unsure=left))


def _conflict(change: Change) -> Conflict:
    return Conflict(
        path=change.path,
        kind="both added" if change.before is None else "both modified",
        base=None,
        ours=change.after,
        theirs=change.before,
    )
