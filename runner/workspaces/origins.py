"""What a base was when a workspace was made of it, though it has been changed since then.

A base is captured after the workspace is there (basing.py). Whatever in it has been changed since
is told by its ctime, which nobody can set: a file's own; for what came or went, the one of its
directory. What it was then is what the workspace's copy still has, if that was not changed either:

    copy unchanged                      as the copy has it
    copy changed, base unchanged        as the base has it
    both changed, or there is no copy   nobody knows: as the base has it now, and said to be unsure

A file that was changed within the clock's last tick before the creation counts as changed since.

Synchronous, for threads. What is not here: capturing, and what an unsure path means to a commit.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection
from contextlib import suppress

import attrs

from runner.watching import stamps
from runner.watching.columns import CTIME
from runner.watching.files import parent
from runner.watching.patterns import Rules
from runner.watching.walking import CHUNK, Walk
from runner.workspaces.comparing import compare
from runner.workspaces.listing import Entry
from runner.workspaces.lookups import change_workspace
from runner.workspaces.objects import ObjectId
from runner.workspaces.records import Json, Ref, WorkspaceRecord
from runner.workspaces.rounds import FOREIGN_TICK
from runner.workspaces.store import Store
from runner.workspaces.sync.placing import place

NAME = "base"  # of the ref that says what is unsure
# A stamp may be that of the clock's last tick: nanoseconds.
TICK = round(time.clock_getres(stamps.COARSE) * 1e9) if stamps.IS_LINUX else 0
_SIZE = 1  # in a file's state
MOST = 1000  # unsure paths that are kept


@attrs.frozen(kw_only=True)
class Origin:
    """What a base was.

    Attributes:
        root: of it.
        unsure: paths of which nobody knows what they were.
        since: how often anything had been dropped from the store before that; -1 = who knows.
    """

    root: ObjectId
    unsure: tuple[str, ...] = ()
    since: int = -1


@attrs.frozen
class Fresh:
    """What was changed in a tree since some moment.

    Attributes:
        paths: of files; of directories, with a slash at the end.
        folders: all directories that are there.
        empty: files without a byte.
    """

    paths: frozenset[str]
    folders: Collection[str]
    empty: frozenset[str] = frozenset()

    def has(self, path: str, *, is_there: bool) -> bool:
        """Whether a path may have been something else; if it is not there, its directory says."""
        if is_there:
            return path in self.paths or path + "/" in self.paths
        above = parent(path)
        while above and above not in self.folders:
            above = parent(above)
        return above in self.paths


def fresh(tree: str, rules: Rules, since: int, tick: int = TICK) -> Fresh:
    """What was changed in a tree at a moment or later; it was captured before this is called.

    Args:
        tree: a directory.
        rules: what is left out.
        since: the moment, by the clock of this machine.
        tick: how much before it a change may be stamped that came after it.
    """
    walk = Walk(tree, rules)
    try:
        while not walk.advance(CHUNK, float("inf")):
            pass
    finally:
        walk.close()
    found: set[str] = set()
    empty: set[str] = set()
    for prefix, folder in walk.tree.folders.items():
        system = walk.tree.systems.get(folder.identity[0])
        is_ours = system is None or system.local
        limit = since - (tick if is_ours else FOREIGN_TICK)
        if folder.changed >= limit:
            found.add(prefix)
        files = folder.files().items()
        found.update(prefix + name for name, state in files if state[CTIME] >= limit)
        empty.update(prefix + name for name, state in files if not state[_SIZE])
    return Fresh(frozenset(found), walk.tree.folders.keys(), frozenset(empty))


def with_cut(changed: Fresh, copy: str) -> Fresh:
    """The same, with files that are being cut off: they are empty, and their copies are not.

    The kernel stamps a file that is opened with O_TRUNC after all of it is gone: on ext4, tens of
    milliseconds after that.
    """
    return attrs.evolve(changed, paths=changed.paths | {*filter(_has_bytes(copy), changed.empty)})


def _has_bytes(tree: str) -> Callable[[str], bool]:
    def has_bytes(path: str) -> bool:
        with suppress(OSError):
            return os.lstat(f"{tree}/{path}").st_size > 0
        return False

    return has_bytes


def moment() -> int:
    """A moment after which no change has the stamp of one before it."""
    tick = stamps.coarse()
    while (now := stamps.coarse()) == tick:
        time.sleep(0.001)
    return now


def find(
    store: Store,
    base: ObjectId,
    changed: Fresh,
    copy: ObjectId | None = None,
    written: Fresh | None = None,
) -> Origin:
    """What a base was.

    Args:
        store: has both trees.
        base: as it is now.
        changed: in it, since the creation.
        copy: the workspace's tree as it is now; None = it has none of its own.
        written: in that, since it was made.
    """
    if copy is None or written is None:
        return Origin(root=base, unsure=tuple(sorted(changed.paths)))
    settled: dict[str, Entry | None] = {}
    unsure = []
    for each in compare(store.listing, base, copy):
        if not written.has(each.path, is_there=each.after is not None):
            settled[each.path] = each.after
        elif changed.has(each.path, is_there=each.before is not None):
            unsure.append(each.path)
    root, objects = place(store.listing, base, settled)
    store.put(objects)
    return Origin(root=root, unsure=tuple(unsure))


def keep(store: Store, workspace: str, origin: Origin) -> None:
    """Write down what is unsure, in the caller's transaction."""
    if origin.unsure:
        said: list[Json] = [
            os.fsencode(each).decode(errors="replace") for each in origin.unsure[:MOST]
        ]
        details = {"unsure": said}
        now = time.time_ns()
        ref = Ref(workspace=workspace, name=NAME, root=origin.root, details=details, changed_ns=now)
        store.refs.set(ref)


def settle(store: Store, record: WorkspaceRecord, found: Origin) -> ObjectId:
    """Write down what was found out, unless somebody else has: the root that counts.

    Raises:
        ObjectMissing: something of it was dropped meanwhile.
    """
    with store.transaction():  # a commit to it may have been quicker
        now = store.workspaces.get(record.id)
        if now.base_root is not None:
            return now.base_root
        store.require_whole(found.root, found.since)
        change_workspace(store, record.id, base_root=found.root)
        keep(store, record.id, found)
    return found.root


def unsure_of(store: Store, id_: str) -> tuple[str, ...]:
    """Paths of which nobody knows what they were in a workspace's base."""
    ref = store.refs.get(NAME, id_)
    if ref is None or ref.root != store.workspaces.get(id_).base_root:  # committed to since
        return ()
    said = ref.details.get("unsure")
    return tuple(map(str, said)) if isinstance(said, list) else ()
