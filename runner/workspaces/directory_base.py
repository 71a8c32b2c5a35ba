"""Changes of a workspace applied to the directory that it was made from: all of them, or none.

    what it was ──► merged, path by path, with what it is by now ──► what it is to be ──► journal

Whoever calls this has the base's lock. What another process had decided and did not finish is
finished first; then the base is looked at as it is now, and what would be changed is looked at once
more when the contents are ready (restoring.py): what came there meanwhile is a conflict, and
nothing is lost.

Synchronous, for a thread.
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial

import attrs

from runner.backends.descent import Descent
from runner.backends.failures import Answers
from runner.errors import CommitError, RunnerError
from runner.workspaces.base_locks import lock_base
from runner.workspaces.comparing import Listing, is_same
from runner.workspaces.journal import roll_forward_base
from runner.workspaces.listing import EMPTY, Entry, EntryType
from runner.workspaces.merging import Favour, Merged, merge
from runner.workspaces.merging_texts import LARGEST
from runner.workspaces.objects import ObjectId
from runner.workspaces.restoring import Application, apply
from runner.workspaces.staging import opened, sweep
from runner.workspaces.store import Store

logger = logging.getLogger("runner.workspaces.commits")
COMMITS = "commits"  # the directory in a project's where contents are made ready
_OPAQUE = "user.overlay.opaque"


def place_of(directory: str, base: str) -> str:
    """Where commits to a base are made ready.

    Args:
        directory: of the project.
        base: the base's path.
    """
    name = hashlib.sha256(os.fsencode(base)).hexdigest()[:16]
    return os.path.join(directory, COMMITS, name)


def merged(
    store: Store,
    before: ObjectId,
    ours: ObjectId,
    theirs: ObjectId,
    *,
    texts: bool = False,
    favour: Favour | None = None,
    what: str,
) -> Merged:
    """Merge two trees that were made of one; what came of it is in the store.

    Raises:
        CommitError: there are conflicts.
    """
    read = partial(store.read, limit=LARGEST) if texts else None
    found = merge(store.listing, before, ours, theirs, read=read, favour=favour)
    if found.conflicts:
        raise CommitError(what, found.conflicts)
    store.put([EMPTY, *found.objects])
    return found


def apply_to(
    store: Store,
    workspace: str,
    base: str,
    before: ObjectId,
    after: ObjectId,
    *,
    look: Callable[[], ObjectId],
    place: str,
    also: Callable[[], None],
    texts: bool = False,
    favour: Favour | None = None,
    dry_run: bool = False,
) -> None:
    """Apply what makes one tree another to a base that may have changed meanwhile.

    Args:
        store: has the trees.
        workspace: the id of the one that they come from.
        base: the directory.
        before: what the base was when both were the same.
        after: what the workspace has made of that.
        look: the base as it is now.
        place: where contents are made ready (`place_of`).
        also: writes to the store what is true if and only if this is done; in a transaction.
        texts: whether texts that both changed are merged by their lines.
        favour: who wins where both changed the same; None = nobody, it is a conflict.
        dry_run: whether only to look if it can be done.

    Raises:
        CommitError: both changed the same; nothing was applied.
        OperationError, StoreError: as `restoring.apply`.
    """
    if not dry_run:
        roll_forward_base(store, base)
        kept = [str(each.details["name"]) for each in store.journal.list()]
        with Answers("commit", ".", base), opened(base) as top:
            sweep(top, place, kept)
    now = look()
    what = f"the base {base!r} has changed meanwhile, and so has the workspace; nothing was applied"
    to_be = merged(store, before, after, now, texts=texts, favour=favour, what=what)
    if not dry_run:
        wanted = list(differences(store.listing, now, to_be.root))
        os.makedirs(place, mode=0o700, exist_ok=True)
        apply(store, workspace, base, wanted, place=place, also=also)


def differences(listing: Listing, before: ObjectId, after: ObjectId) -> Iterator[Application]:
    """Every path that is another one, directories too; linked names of one file are no matter."""
    pending: list[tuple[str, ObjectId, ObjectId]] = [("", before, after)]
    while pending:
        prefix, old_id, new_id = pending.pop()
        if old_id == new_id:
            continue
        olds, news = _entries(listing, old_id), _entries(listing, new_id)
        for name in sorted(olds.keys() | news.keys()):
            was, is_ = olds.get(name), news.get(name)
            if is_same(was, is_):
                continue
            path = prefix + os.fsdecode(name)
            is_kept = _is_directory(was) and _is_directory(is_)
            if not (is_kept and was is not None and is_ is not None and was.mode == is_.mode):
                old = None if was is None else attrs.evolve(was, group=0)
                yield Application(path=path, before=old, after=is_)
            pending.append((path + "/", _below(was), _below(is_)))


def without_groups(listing: Listing, before: ObjectId, after: ObjectId) -> dict[str, Entry]:
    """What came from another tree with other names of its own: each is a file alone then."""
    return {
        each.path: attrs.evolve(each.after, group=0)
        for each in differences(listing, before, after)
        if each.after is not None and each.after.group
    }


def seal(upper: str, listing: Listing, before: ObjectId, after: ObjectId) -> None:
    """Let directories that are new in an overlay stay its own, though the base gets them as well.

    The base's would shine through them from the next mount on: what is removed in them until then
    would be there again.
    """
    made = [
        tuple(each.path.split("/"))
        for each in differences(listing, before, after)
        if _is_directory(each.after) and not _is_directory(each.before)
    ]
    with opened(upper) as top:
        at = Descent(top)
        try:
            for names in made:
                with suppress(OSError):  # it is gone by now, or shut, or is on no such file system
                    fd = at.open(names, os.O_RDONLY)
                    try:
                        os.setxattr(fd, _OPAQUE, b"y")
                    finally:
                        os.close(fd)
        finally:
            at.close()


def finish_commits(store: Store, directory: str) -> None:
    """Finish what a killed process had decided about bases; somebody else's is left to them.

    Args:
        store: of the project.
        directory: of the project.
    """
    bases: Sequence[str] = sorted({each.tree for each in store.acts() if each.kind == "commit"})
    for base in bases:
        try:
            fd = lock_base(base, place_of(directory, base))
            if fd is None:
                continue
            try:
                roll_forward_base(store, base)
            finally:
                os.close(fd)
        except (RunnerError, OSError) as error:
            logger.warning("a commit to %r cannot be finished yet: %s", base, error)


def _entries(listing: Listing, id_: ObjectId) -> dict[bytes, Entry]:
    return {} if id_ == EMPTY.id else {each.name: each for each in listing(id_)}


def _is_directory(entry: Entry | None) -> bool:
    return entry is not None and entry.type is EntryType.DIRECTORY


def _below(entry: Entry | None) -> ObjectId:
    return entry.id if entry is not None and entry.type is EntryType.DIRECTORY else EMPTY.id
