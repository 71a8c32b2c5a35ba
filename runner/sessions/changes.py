"""Which files a turn changed: a directory's tree before it, compared with the tree after it.

    created    a path that was not there
    deleted    a path that is there no more
    modified   a path with another state: also an edit that restores the mtime (the ctime shows it),
               also a change of its mode only, also a file put in its place by a rename
    renamed    a path that is gone, and a new one with its inode, size and mtime. The last two as
               well, since file systems give the inode of a removed file to the next new one; so
               a file that was renamed *and* edited is one deleted and one created.

Who changed something before the turn began does not count, even where the tree before the turn is
an older one: the kernel stamps each file with the time of its last change, and each directory with
that of its last coming or going, and nobody else can set these stamps. A path counts unless all
stamps say that it was before. So a deletion counts, in doubt, if its directory has changed in the
turn too. Stamps are not asked where they are another machine's, or the clock was set (stamps.py).

What cannot be read is not known: nothing is said of a directory that was closed before or after.
What is not here: who made a change. Two trees surround the turn.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import PurePosixPath

import attrs
import trio

from runner.sessions.places import Places
from runner.watching import stamps, walking
from runner.watching.columns import CTIME, State
from runner.watching.files import Folder, Tree, differing, is_below, parent
from runner.watching.patterns import DEFAULT_IGNORE, Rules, make_rules
from runner.watching.walking import Walk, advance_inline

NO_RULES = make_rules(())


@attrs.frozen(kw_only=True)
class Changes:
    """What a turn did to the files of its directory; paths are relative to it, sorted.

    Attributes:
        shared: whether another session was at work there in the same time: it may have been it.
    """

    created: tuple[PurePosixPath, ...] = ()
    modified: tuple[PurePosixPath, ...] = ()
    deleted: tuple[PurePosixPath, ...] = ()
    renamed: tuple[tuple[PurePosixPath, PurePosixPath], ...] = ()
    shared: bool = False


NOTHING = Changes()


@attrs.define(eq=False)
class Scanner:
    """Looks at one directory.

    Attributes:
        directory: absolute.
        limiter: of the threads that look.
        ignore: patterns of paths that are left out (watching/patterns.py).
        places: what all sessions' directories have in common.
        watch: whether the kernel may be asked for hints, where that is less work than to look.
        own: a file that we write ourselves, absolute, which does not count; empty = none.
        state: the directory of our own records, absolute: nothing in it counts; empty = none.
    """

    directory: str
    limiter: trio.CapacityLimiter
    ignore: Sequence[str] = DEFAULT_IGNORE
    places: Places = attrs.field(factory=Places)
    watch: bool = True
    own: str = ""
    state: str = ""
    rules: Rules = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.rules = make_rules(self.ignore)
        if self.own:
            own = os.path.relpath(_real(self.own), os.path.realpath(self.directory))
            self.rules = attrs.evolve(self.rules, own=own)
        if state := _inside(self.state, self.directory):
            self.rules = attrs.evolve(self.rules, below=self.rules.below | {state})

    async def scan(self) -> Tree:
        """The tree as it is now.

        Cancellation: a thread that scans is waited for, which takes milliseconds.
        """
        walk = self.start_walk()
        try:
            if not advance_inline(walk):
                await trio.to_thread.run_sync(finish, walk, limiter=self.limiter)
        finally:
            walk.close()
        return walk.tree

    def start_walk(self, opened: Callable[[str, int], None] | None = None) -> Walk:
        """A walk that has not begun; `opened` is told of each directory before it is read."""
        return Walk(self.directory, self.rules, opened=opened)

    async def compare(
        self, before: Tree, after: Tree, since: stamps.Moment | None = None
    ) -> Changes:
        """What changed between two trees, and not before `since`."""
        stamp = since.stamp if since is not None and since.is_comparable() else None
        if before.count + after.count <= 4 * walking.INLINE_ENTRIES:
            return compare(before, after, stamp, self.rules)
        return await trio.to_thread.run_sync(
            compare, before, after, stamp, self.rules, limiter=self.limiter
        )


@functools.lru_cache(maxsize=64)  # short sessions in one directory are begun again and again
def _inside(path: str, directory: str) -> str:
    """The path in a directory that leads to another one; empty if it is not in there."""
    top = os.path.realpath(directory).rstrip("/") + "/"
    real = os.path.realpath(path)
    return real.removeprefix(top) if path and real.startswith(top) else ""


def _real(path: str) -> str:
    """Where a file is to be, links in its directory's path followed."""
    directory, name = os.path.split(path)
    return os.path.join(os.path.realpath(directory), name)


def finish(walk: Walk) -> None:
    """Go to the end, in a thread of trio's."""
    while not walk.advance(walking.CHUNK, float("inf")):
        trio.from_thread.check_cancelled()


def compare(
    before: Tree, after: Tree, since: int | None = None, rules: Rules = NO_RULES
) -> Changes:
    """What changed between two trees.

    Args:
        before: the tree before.
        after: the tree after.
        since: what is stamped with an earlier time does not count; None = all counts.
        rules: which files do not count.
    """
    old, new = _differences(before, after, rules)
    created = {path for path in new if path not in old}
    deleted = {path for path in old if path not in new}
    modified = {path for path, state in new.items() if old.get(path, state) != state}
    if not (created or deleted or modified):
        return NOTHING
    renamed = _find_renamed(old, new, created, deleted)
    created.difference_update(to for _, to in renamed)
    deleted.difference_update(source for source, _ in renamed)
    if since is not None:
        told = _Told(before, after, new, since)
        created = {path for path in created if told.counts(path)}
        modified = {path for path in modified if told.counts(path)}
        deleted = {path for path in deleted if told.counts_gone(path)}
        renamed = [(source, to) for source, to in renamed if told.counts(to)]
    return Changes(
        created=_as_paths(created),
        modified=_as_paths(modified),
        deleted=_as_paths(deleted),
        renamed=tuple((PurePosixPath(source), PurePosixPath(to)) for source, to in renamed),
    )


def _differences(
    before: Tree, after: Tree, rules: Rules
) -> tuple[dict[str, State], dict[str, State]]:
    """The files of all that is not plainly equal, by path, before and after."""
    old: dict[str, State] = {}
    new: dict[str, State] = {}
    closed = before.closed | after.closed
    for prefix in before.folders.keys() | after.folders.keys():
        one, other = before.folders.get(prefix), after.folders.get(prefix)
        if one is other or (one is not None and other is not None and one.parts == other.parts):
            continue
        if is_below(prefix, closed):
            continue
        for files, found in zip((old, new), differing(one, other), strict=True):
            for name, state in found.items():
                path = prefix + name
                if not rules.omits_file(path):
                    files[path] = state
    return old, new


def _find_renamed(
    old: dict[str, State], new: dict[str, State], created: set[str], deleted: set[str]
) -> list[tuple[str, str]]:
    if not created or not deleted:
        return []
    gone = {old[path][:3]: path for path in sorted(deleted, reverse=True)}
    renamed = []
    for to in sorted(created):
        source = gone.pop(new[to][:3], None)  # each source once: further hard links are created
        if source is not None:
            renamed.append((source, to))
    return sorted(renamed)


def _as_paths(paths: Iterable[str]) -> tuple[PurePosixPath, ...]:
    return tuple(map(PurePosixPath, sorted(paths)))


@attrs.frozen
class _Told:
    """Tells what happened since a moment from what happened before it, by the kernel's stamps."""

    before: Tree
    after: Tree
    files: dict[str, State]
    since: int

    def counts(self, path: str) -> bool:
        """Whether a file that is there may have come, or changed, since then.

        A file gets a stamp when it is made, changed, linked, and renamed; not when a directory
        above it is renamed, so that has to be asked too.
        """
        prefix = path[: path.rfind("/") + 1]
        if self.files[path][CTIME] >= self.since:
            return True
        return not (self._is_ours(self.after.folders.get(prefix)) and self._was_here(prefix))

    def counts_gone(self, path: str) -> bool:
        """Whether a file that is not there may have gone since then."""
        prefix = path[: path.rfind("/") + 1]
        while prefix and prefix not in self.after.folders:
            prefix = parent(prefix)  # gone with its directory, of which this one has lost the name
        folder = self.after.folders.get(prefix)
        if folder is None or folder.changed >= self.since:
            return True
        return not (self._is_ours(folder) and self._was_here(prefix))

    def _is_ours(self, folder: Folder | None) -> bool:
        """Whether it was this machine that stamped it."""
        system = None if folder is None else self.after.systems.get(folder.identity[0])
        return system is None or system.local

    def _was_here(self, prefix: str) -> bool:
        """Whether a directory had this path before the moment."""
        folder, earlier = self.after.folders.get(prefix), self.before.folders.get(prefix)
        if folder is None:
            return False
        if earlier is not None and earlier.identity == folder.identity:
            return True
        if not prefix or folder.changed >= self.since:
            return False
        above = self.after.folders.get(parent(prefix))
        devices = {each.identity[0] for each in (earlier, folder, above) if each is not None}
        # What is mounted somewhere, or is no more, has no stamp of that.
        return len(devices) == 1 and self._was_here(parent(prefix))
