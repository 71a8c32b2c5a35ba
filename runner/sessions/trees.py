"""Which trees a turn is compared by: the one before it, and the one after it.

The tree after a turn is kept, and is the tree before the next; so a directory is walked through
once a turn and not twice. What came in between is told apart by stamps (changes.py), which are as
sharp as the clock's ticks; a small tree that is not followed by a turn directly is looked at twice.

A directory that takes more than a moment to walk through is watched (watch.py), where that can be
had: then what came in between is seen before the turn, and only what is hinted at is looked at.

Where a file's next change may look like its last one, because the clock has not ticked in between
(stamps.py), the turn waits for that tick: 10 ms at most, and only if a file was changed that late.

What is not here: looking at directories, and what has changed.
"""

from __future__ import annotations

import os
import stat as modes
from contextlib import suppress

import attrs
import trio

from runner.sessions.changes import Changes, Scanner, finish
from runner.sessions.places import Stay
from runner.watching import stamps
from runner.watching.columns import CTIME, State, state_of
from runner.watching.files import Tree
from runner.watching.walking import advance_inline
from runner.watching.watch import Steps, Watch

# A tree that takes more than this many bytes is not kept: about a million files.
LARGE_TREE = 64 << 20
# A tree of so many files is looked at in less time than the start of a process takes.
SMALL_TREE = 1000
# How much there may be to look at, in bytes of hints, before a thread is worth its hop.
INLINE_HINTS = 8192
_PLACE: int = os.O_RDONLY | os.O_CLOEXEC | getattr(os, "O_PATH", 0)
# Ticks to wait for, at most; a file that is never still is looked at as it is.
TICKS = 20


@attrs.frozen
class Before:
    """What was there when a turn began.

    Attributes:
        tree: how it was then, or earlier.
        since: when the turn began; None if stamps do not tell.
    """

    tree: Tree
    since: stamps.Moment | None = None


@attrs.define(eq=False)
class Trees:
    """The trees of one session's directory."""

    scanner: Scanner
    _kept: Tree | None = None  # how it was after the last turn
    _began: float = 0.0  # when that was looked at
    _watch: Watch | None = None
    _is_watchable: bool = True
    _stay: Stay | None = None

    @property
    def is_watching(self) -> bool:
        """Whether the kernel gives hints where to look."""
        return self._watch is not None

    async def before(self, asked: float | None = None) -> Before:
        """A turn begins: what is there. `compare` or `give_up` follows.

        Args:
            asked: when the turn was asked for, on trio's clock; None if that is not known.
        """
        self.give_up()
        self._stay = self.scanner.places.enter(self._real())
        tree = self._kept
        if tree is None or self.is_watching or self._is_worth_it(tree, asked):
            tree = await self._look()
        await self._settle(tree)
        is_local = stamps.file_system(self.scanner.directory).local
        since = stamps.now() if is_local else None
        return Before(tree.copy() if self.is_watching else tree, since)

    async def compare(self, before: Before) -> Changes:
        """What the turn that is over has changed."""
        self._began = trio.current_time()
        tree = await self._look()
        self._kept = tree if tree.size <= LARGE_TREE else None
        changes = await self.scanner.compare(before.tree, tree, before.since)
        if self._stay is not None and self._stay.shared:
            changes = attrs.evolve(changes, shared=True)
        self.give_up()
        return changes

    def _is_worth_it(self, kept: Tree, asked: float | None) -> bool:
        """Whether to look twice."""
        follows_directly = asked is not None and asked <= self._began
        return not follows_directly and kept.count <= SMALL_TREE

    def _real(self) -> str:
        """Its path without links, which the kernel says in half the time of `realpath`."""
        with suppress(OSError):  # it is not there, or we may not, or this is no Linux
            directory = os.open(self.scanner.directory, _PLACE)
            try:
                return os.readlink(f"/proc/self/fd/{directory}")
            finally:
                os.close(directory)
        return os.path.realpath(self.scanner.directory)

    def give_up(self) -> None:
        """No turn goes on."""
        if self._stay is not None:
            self.scanner.places.leave(self._stay)
            self._stay = None

    def forget(self) -> None:
        """Keep nothing, and watch nothing: it is not known whether a turn follows."""
        self.give_up()
        self._kept = None
        self._is_watchable = True
        self._unwatch()

    def _unwatch(self) -> None:
        watch, self._watch = self._watch, None
        if watch is not None:
            watch.close()

    # ------------------------------------------------------------ looking

    async def _look(self) -> Tree:
        """How it is now."""
        watch = self._watch
        if watch is None:
            return await self._walk()
        steps = watch.look()
        try:
            if watch.pending() > INLINE_HINTS or has_more(steps):
                await trio.to_thread.run_sync(go_on, steps, limiter=self.scanner.limiter)
        finally:
            steps.close()
            if not watch.is_true:
                self._unwatch()
        return watch.tree if watch.is_true else await self._walk()

    async def _walk(self) -> Tree:
        walk = self.scanner.start_walk()
        try:
            if advance_inline(walk):
                return walk.tree
            tree = await self._walk_watching()
            if tree is not None:
                return tree
            await trio.to_thread.run_sync(finish, walk, limiter=self.scanner.limiter)
            return walk.tree
        finally:
            walk.close()

    async def _walk_watching(self) -> Tree | None:
        """The same from the start, with watches; None if they are not to be had."""
        local = stamps.file_system(self.scanner.directory).local
        if not (self._is_watchable and self.scanner.watch and local):
            return None
        watch = Watch(self.scanner.directory, self.scanner.rules, self.scanner.places.allowance)
        walk = watch.start()
        if walk is None:
            return None
        self._watch = watch
        try:
            await trio.to_thread.run_sync(finish, walk, limiter=self.scanner.limiter)
            self._is_watchable = watch.started()
        finally:
            walk.close()
            if not watch.is_true:
                self._unwatch()
        return watch.tree

    async def _settle(self, tree: Tree) -> None:
        """Look again at files that were changed too late to see their next change."""
        for _ in range(TICKS):
            tick = stamps.coarse()
            if not tree.fresh:
                return
            _look_again(self.scanner.directory, tree, tick)
            await trio.sleep(0.001 if tree.fresh else 0)


def has_more(steps: Steps[None]) -> bool:
    """Take the first step; whether there are more."""
    return next(steps, True) is None


def go_on(steps: Steps[None]) -> None:
    """Take all steps that there are, in a thread of trio's."""
    for _ in steps:
        trio.from_thread.check_cancelled()


def _look_again(directory: str, tree: Tree, tick: int) -> None:
    found: dict[str, dict[str, State | None]] = {}
    fresh, tree.fresh = tree.fresh, set()
    for path in fresh:
        at = path.rfind("/") + 1
        if path[:at] not in tree.folders:
            continue
        try:
            stat = os.lstat(f"{directory}/{path}")
        except OSError:
            continue
        if modes.S_ISDIR(stat.st_mode):
            continue
        state = state_of(stat)
        found.setdefault(path[:at], {})[path[at:]] = state
        if state[CTIME] >= tick:
            tree.fresh.add(path)
    for prefix, names in found.items():
        folder = tree.folders[prefix]
        tree.folders[prefix] = folder.with_files(names, folder.changed)
