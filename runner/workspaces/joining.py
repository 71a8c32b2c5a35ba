"""One workspace's changes in the live tree of another: a merge, or the commit to a workspace.

    what both began with ──► merged, path by path ──► a restore, with an undo snapshot

What both began with is what the one was made of the other; else what the source was made from, or
what was merged of it last. The live tree is looked at, and changed only if it is still that: what
is written to it meanwhile is looked at again.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import trio

from runner.errors import CommitError, ReadOnly, WorkspaceChanged
from runner.scopes.who import Who
from runner.workspaces.diff import Diff
from runner.workspaces.directory_base import merged, without_groups
from runner.workspaces.git_index import Strategy
from runner.workspaces.listing import EMPTY
from runner.workspaces.lookups import change_workspace, tell
from runner.workspaces.merging import Favour
from runner.workspaces.messages import Look, Offer, Rebased, Restore
from runner.workspaces.objects import ObjectId
from runner.workspaces.records import Ref, WorkspaceRecord
from runner.workspaces.store import Store
from runner.workspaces.sync.placing import place

if TYPE_CHECKING:
    from runner.workspaces.shared import Shared

TRIES = 8  # of a merge while files are written
_MOST_PATHS = 1000  # in the audit


async def merge_into(
    shared: Shared, target: WorkspaceRecord, source: WorkspaceRecord, strategy: Strategy, who: Who
) -> Diff:
    """Merge a workspace into another one; see `Workspace.merge`."""
    if target.id == source.id:
        raise CommitError(f"the workspace {target.name!r} cannot be merged into itself")
    root = await shared.ask(source, Offer())
    name = f"merged {source.id}"

    def find(store: Store) -> ObjectId:
        here, there = store.workspaces.get(target.id), store.workspaces.get(source.id)
        if here.base.workspace == there.id and here.base_root is not None:
            return here.base_root
        last = None if there.base.workspace == here.id else store.refs.get(name, target.id)
        if last is not None:
            return last.root
        assert there.base_root is not None, "an offer waits for it"
        return there.base_root

    ancestor = await shared.do(find)
    what = f"the merge of {source.name!r}"
    before, after = await join(
        shared, target, ancestor=ancestor, root=root, strategy=strategy, what=what, who=who
    )

    def settle(store: Store) -> Diff:
        with store.transaction():
            here, there = store.workspaces.get(target.id), store.workspaces.get(source.id)
            if here.base.workspace == there.id:  # what the source has is its base from now on
                change_workspace(store, here.id, base_root=root)
            elif there.base.workspace == here.id:  # it is as if it had been committed
                change_workspace(store, there.id, base_root=root)
            now = time.time_ns()
            store.refs.set(Ref(workspace=target.id, name=name, root=root, changed_ns=now))
            made = Diff(store, before, after)
            tell(
                store,
                target.id,
                "merge",
                shared.whose(target, who),
                source=source.name,
                strategy=strategy,
                paths=[each.path for each in made[:_MOST_PATHS]],
                count=len(made),
            )
        return made

    with trio.CancelScope(shield=True):
        made = await shared.do(settle)
        for each in (target, source):
            await shared.ask(each, Rebased())
    return made


async def join(
    shared: Shared,
    target: WorkspaceRecord,
    *,
    ancestor: ObjectId,
    root: ObjectId,
    strategy: Strategy,
    what: str,
    who: Who,
    flip: bool = False,
    dry_run: bool = False,
) -> tuple[ObjectId, ObjectId]:
    """Bring what makes one tree another into a live tree; what that was, and is.

    Args:
        shared: the project.
        target: whose live tree.
        ancestor: the one tree.
        root: the other.
        strategy: what becomes of paths that both changed.
        what: it is called, for the undo snapshot.
        who: on whose behalf.
        flip: whether `root` is "ours", and the live tree "theirs".
        dry_run: whether only to look if it can be done.

    Raises:
        CommitError: there are conflicts; nothing was changed.
    """
    if target.read_only:
        raise ReadOnly("merge", ".", f"the workspace {target.name!r} is for reading only")
    store = await shared.open()
    favour: Favour | None = strategy if strategy in {"ours", "theirs"} else None
    for _ in range(TRIES):
        looked = (await shared.ask(target, Look(verify=True))).root
        sides = (root, looked) if flip else (looked, root)

        def work(sides: tuple[ObjectId, ObjectId] = sides, looked: ObjectId = looked) -> ObjectId:
            said = f"the workspace {target.name!r} has changed the same; nothing was merged"
            texts = strategy == "merge"
            store.put([EMPTY])
            found = merged(store, ancestor, *sides, texts=texts, favour=favour, what=said)
            alone = without_groups(store.listing, looked, found.root)
            to_be, objects = place(store.listing, found.root, alone)
            store.put(objects)
            return to_be

        to_be = await shared.means.in_thread(work)
        if to_be == looked or dry_run:
            return looked, to_be
        try:
            await shared.ask(
                target, Restore(root=to_be, what=what, force=True, expect=looked, who=who)
            )
        except WorkspaceChanged:
            continue
        return looked, to_be
    raise CommitError(f"the workspace {target.name!r} is written to all the time; try again")
