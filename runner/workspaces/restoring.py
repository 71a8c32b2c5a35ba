"""A live tree made what it was, and changes applied to a base: exact, and all or nothing.

Model. Both are acts of the journal (journal.py) from one root to another. A restore goes from the
whole tree as it was captured to the whole tree as it is to be; what neither of them has (what the
capture leaves out, files that came since) is not touched, unless it stands in the way.

An application of changes knows some paths only: its roots are trees in which just these are, with
the directories above them. It first looks whether each of them is what is expected, and changes
nothing if one is not.

What this does not do: capture; decide what to apply (committing does); wait for programs at work in
the tree.
"""

from __future__ import annotations

import os
import stat
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

import attrs

from runner.backends.beneath import READING, Names, UnusablePath, parse
from runner.backends.descent import Descent
from runner.backends.failures import Answers
from runner.errors import CommitError, InvalidPath
from runner.workspaces.examining import entry_at, is_as
from runner.workspaces.journal import (
    Done,
    decide,
    details_of,
    nothing,
    prepared,
    roll_forward_base,
)
from runner.workspaces.listing import EMPTY, MODES, Entry, EntryType, encode
from runner.workspaces.objects import ObjectId
from runner.workspaces.planning import plan
from runner.workspaces.records import Act
from runner.workspaces.staging import opened, place_beside

if TYPE_CHECKING:
    from runner.workspaces.store import Store

_NEW_DIRECTORY = 0o755  # the mode of one above a new file, if nothing else says it


def restore(
    store: Store,
    workspace: str,
    tree: str,
    before: ObjectId,
    after: ObjectId,
    *,
    place: str | None = None,
    durable: bool = False,
    also: Callable[[], None] = nothing,
) -> Done:
    """Make a live tree another one; the caller has the workspace's lock.

    Args:
        store: has both roots.
        workspace: its id.
        tree: its live tree, an absolute path.
        before: what it is: captured just now.
        after: what it is to be.
        place: where to make contents ready; None = in `staging`, beside the tree.
        durable: whether all of it is to outlast a power failure.
        also: writes to the store what is to be true if and only if this is done; in a transaction.

    Raises:
        OperationError: before it was decided: nothing was changed; else its hint says that it is
            finished when the workspace is opened again.
        StoreError: the store lacks something of `after`; nothing was changed.
    """
    made = plan(store.listing, before, after)
    if not made.steps:
        with store.transaction():
            also()
        return Done(None)
    place = place_beside(tree) if place is None else place
    with Answers("restore", ".", tree), opened(tree) as top:
        staging = prepared(store, top, place, made.contents)
        act = Act(
            workspace=workspace,
            kind="restore",
            tree=tree,
            before=before,
            after=after,
            details=details_of(staging, place, durable=durable),
            created_ns=time.time_ns(),
        )
        return decide(store, act, top, staging, made.steps, also=also)


@attrs.frozen(kw_only=True)
class Application:
    """What one path is to become.

    Attributes:
        path: relative to the base, with surrogate escapes.
        before: what has to be there now; None: nothing.
        after: what is to be there; None: nothing. Of a directory, only its mode counts: what is in
            it is said by paths of its own; it is removed if nothing else is in it.
    """

    path: str
    before: Entry | None
    after: Entry | None


@attrs.frozen(kw_only=True)
class Unexpected:
    """A path that is not what it should be.

    Attributes:
        path: relative to the base.
        why: in a sentence.
    """

    path: str
    why: str


def apply(
    store: Store,
    workspace: str,
    base: str,
    applications: Iterable[Application],
    *,
    place: str,
    durable: bool = False,
    also: Callable[[], None] = nothing,
) -> Done:
    """Apply changes to a base; the caller has the base's lock.

    What another process had decided about this base and could not finish is finished first.

    Args:
        store: has the contents.
        workspace: the id of the one that they come from.
        base: a directory, an absolute path.
        applications: at most one for a path.
        place: where to make contents ready, if that is on the base's mount.
        durable: whether all of it is to outlast a power failure.
        also: writes to the store what is to be true if and only if this is done; in a transaction.

    Raises:
        CommitError: something is not what it should be: `conflicts` has all that is not; nothing
            was changed.
        OperationError, StoreError: as `restore`.
    """
    roll_forward_base(store, base)
    wanted = {_names(each.path): each for each in applications}
    with Answers("commit", ".", base), opened(base) as top:
        _require(top, wanted)
        before, after = _roots(store, top, wanted)
        made = plan(store.listing, before, after)
        if not made.steps:
            with store.transaction():
                also()
            return Done(None)
        staging = prepared(store, top, place, made.contents)
        try:
            _require(top, wanted)  # again: making contents ready may have taken long
        except BaseException:
            staging.remove()
            raise
        act = Act(
            workspace=workspace,
            kind="commit",
            tree=base,
            before=before,
            after=after,
            details=details_of(staging, place, durable=durable),
            created_ns=time.time_ns(),
        )
        return decide(store, act, top, staging, made.steps, also=also)


def _names(path: str) -> Names:
    try:
        route = parse(path)
    except UnusablePath as error:
        raise InvalidPath("commit", path, str(error)) from None
    if route.absolute or route.directory or ".." in route.names:
        raise InvalidPath("commit", path, "it is no path of an entry, relative to the base")
    return route.names


def _require(base: int, wanted: Mapping[Names, Application]) -> None:
    """Raise CommitError unless everything is as is expected."""
    at = Descent(base)
    try:
        found = [
            Unexpected(path=each.path, why=why)
            for names, each in wanted.items()
            if (why := _unexpected(at, names, each, wanted))
        ]
    finally:
        at.close()
    if found:
        raise CommitError("the base was changed meanwhile; nothing was applied", found)


def _unexpected(
    at: Descent, names: Names, each: Application, wanted: Mapping[Names, Application]
) -> str:
    """Why a path is not as is expected; empty if it is."""
    for depth in range(1, len(names)):
        above = entry_at(at, names[:depth])
        if above is None:
            break
        if not stat.S_ISDIR(above[1].st_mode) and names[:depth] not in wanted:
            return f"{'/'.join(names[:depth])} is no directory"
    there = entry_at(at, names)
    if each.before is None:
        return "" if there is None else "something is there"
    if there is None:
        return "it is gone"
    if not is_as(there[0], names[-1], each.before):
        return "it is not as it was"
    if each.before.type is EntryType.DIRECTORY and not (
        each.after is not None and each.after.type is EntryType.DIRECTORY
    ):
        others = [each for each in _inside(at, names) if (*names, each) not in wanted]
        if others:
            return f"{others[0]!r} is in it, and is not to be removed"
    return ""


def _inside(at: Descent, names: Names) -> list[str]:
    fd = at.open(names, READING)
    try:
        return os.listdir(fd)
    finally:
        os.close(fd)


def _roots(
    store: Store, base: int, wanted: Mapping[Names, Application]
) -> tuple[ObjectId, ObjectId]:
    """The trees of just these paths, before and after, with the directories above them."""
    before = {names: each.before for names, each in wanted.items() if each.before is not None}
    after = {names: each.after for names, each in wanted.items() if each.after is not None}
    at = Descent(base)
    try:
        for names in wanted:
            for depth in range(1, len(names)):
                above = names[:depth]
                if above in wanted:
                    continue
                there = entry_at(at, above)
                if there is not None:
                    before[above] = after[above] = _directory(there[1].st_mode & MODES)
                elif names in after:
                    after[above] = _directory(_NEW_DIRECTORY)
    finally:
        at.close()
    with store.transaction():
        return _put(store, before), _put(store, after)


def _directory(mode: int) -> Entry:
    return Entry(b".", EntryType.DIRECTORY, mode, EMPTY.id)


def _put(store: Store, tree: Mapping[Names, Entry]) -> ObjectId:
    """Put the listings of a tree into the store; the root."""
    inside: defaultdict[Names, list[Entry]] = defaultdict(list)
    listings = []
    for names in sorted(tree, key=len, reverse=True):
        entry = attrs.evolve(tree[names], name=os.fsencode(names[-1]))
        if entry.type is EntryType.DIRECTORY:
            listing = encode(inside.pop(names, ()))
            listings.append(listing)
            entry = attrs.evolve(entry, id=listing.id)
        inside[names[:-1]].append(entry)
    top = encode(inside.pop((), ()))
    if inside:
        names = next(iter(inside))
        raise ValueError(f"{'/'.join(names)} is no directory, and is to have something in it")
    store.put([*listings, top])
    return top.id
