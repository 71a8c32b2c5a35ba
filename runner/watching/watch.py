"""A tree that is kept as it is now, with the kernel's hints where to look again.

Each directory of it is watched. What is told is only which names to look at; what is there then
decides. A watch is put on a directory before it is read, so what happens while it is read is told.

    look:  read the hints ─► look at each name ─► forget directories that have gone or moved
              ▲                                        │
              └── until there are no more hints ◄── walk through those that have come

Where hints cannot be relied on, `look` says so, and everything has to be looked at again: hints
were lost (overflow), the top was moved or replaced, a file has come that has other names too (which
are not hinted at; those known from the walk are looked at each time), things change faster than we
look. A directory that cannot be watched at all (limits, another file system in it, no /proc) is
scanned.

What the kernel does not tell, so that it is seen only with the next hint for the same file, or by
a scan: a write through a shared mapping that was made before the watch and is still there, and one
through another hard link that was made outside of the directory, or was made and removed again
between two looks; and that something was mounted in the directory, or no longer is.

Everything that changes a watched tree lives here; it is synchronous, for trio's thread or another,
one at a time. `look` stops where a large directory has come: it goes on in another thread. What is
not here: which changes count, and when to look.
"""

from __future__ import annotations

import os
import stat as modes
import sys
from collections.abc import Generator
from contextlib import suppress
from typing import TypeAlias, TypeVar

import attrs

from runner.watching import inotify, stamps, walking
from runner.watching.allowance import Allowance
from runner.watching.columns import CTIME, INODE, LINKS, State, state_of
from runner.watching.files import Tree, is_below, parent
from runner.watching.inotify import Inotify, Notice
from runner.watching.patterns import Rules
from runner.watching.walking import Walk, advance_inline

# Names to look at, by directory; True: a directory of that name is not the one that was there.
Hints: TypeAlias = dict[str, dict[str, bool]]
# Work in steps, each but the first of which is one for a thread; and what comes of it.
ResultT = TypeVar("ResultT")
Steps: TypeAlias = Generator[None, None, ResultT]

_WRITTEN = inotify.MODIFY | inotify.CLOSE_WRITE
_ANOTHER = inotify.CREATE | inotify.DELETE | inotify.MOVED_FROM | inotify.MOVED_TO
# How often to look again because of what came meanwhile, before that is faster than we look.
ROUNDS = 8


@attrs.define(eq=False)
class Watch:
    """A watched tree of one directory.

    Attributes:
        directory: absolute.
        rules: which directories are not walked through, and not watched.
        allowance: what may be taken of the system's limits.
        written: files that were hinted to have been written to, until whoever gave the set takes
            them out of it: the end of a mapping says so where a file's state does not. None =
            nobody asks.
    """

    directory: str
    rules: Rules
    allowance: Allowance
    written: set[str] | None = None
    tree: Tree = attrs.field(init=False)
    _inotify: Inotify | None = None
    _prefixes: dict[int, str] = attrs.field(factory=dict)
    _device: int = 0
    _taken: int = 0
    _is_watchable: bool = True
    _is_true: bool = False  # what is kept was true when it was looked at last

    @property
    def is_true(self) -> bool:
        """Whether the tree was as it should be when it was looked at last."""
        return self._is_true

    def start(self) -> Walk | None:
        """A walk through everything, to be gone to its end; then `started`. None: not to be had."""
        if not self.allowance.take_instance():
            return None
        try:
            self._device = os.stat(self.directory).st_dev
            self._inotify = Inotify()
        except OSError:
            self.allowance.give_back(instances=1)
            return None
        walk = Walk(self.directory, self.rules, opened=self._opened)
        self.tree = walk.tree
        return walk

    def started(self) -> bool:
        """Whether all that was walked through is watched."""
        self._is_true = self._is_watchable and "" in self.tree.folders
        return self._is_true

    def close(self) -> None:
        """Watch no more. May be called again."""
        watching, self._inotify = self._inotify, None
        self._is_true = False
        if watching is not None:
            watching.close()
            self._prefixes.clear()
            self.allowance.give_back(instances=1, watches=self._taken)
            self._taken = 0

    def pending(self) -> int:
        """How much there is to look at, about: in bytes of hints."""
        return self._instance().pending() + 32 * len(self.tree.linked)

    def look(self) -> Steps[None]:
        """Look at what is hinted at, in steps: `is_true` after the last. If not so, close this."""
        known, self._is_true = self._is_true, False  # so that one that was cut short is not
        self._is_true = known and (yield from self._look())
        self.allowance.give_back(watches=self._taken - len(self._prefixes))
        self._taken = len(self._prefixes)

    # ------------------------------------------------------------ watches

    def _opened(self, prefix: str, descriptor: int) -> None:
        """A directory is about to be read: watch this very one, whatever its path leads to."""
        if not self._is_watchable:
            return
        self._is_watchable = False
        if os.fstat(descriptor).st_dev != self._device or not self.allowance.take_watch():
            return
        self._taken += 1
        with suppress(OSError):
            self._prefixes[self._instance().add(f"/proc/self/fd/{descriptor}")] = prefix
            self._is_watchable = True

    def _forget(self, gone: set[str]) -> None:
        """Forget these directories and all below them, and which watches are theirs."""
        tree = self.tree
        for prefix in [each for each in tree.folders if is_below(each, gone)]:
            del tree.folders[prefix]
        tree.closed = {each for each in tree.closed if not is_below(each, gone)}
        for path in [each for each in tree.linked if is_below(parent(each), gone)]:
            del tree.linked[path]
        for watch in [each for each, of in self._prefixes.items() if is_below(of, gone)]:
            del self._prefixes[watch]

    # ------------------------------------------------------------ looking

    def _look(self) -> Steps[bool]:
        hints = self._read()
        if hints is None:
            return False
        for path in self.tree.linked:
            at = path.rfind("/") + 1
            hints.setdefault(path[:at], {}).setdefault(path[at:], False)
        for prefix in self.tree.closed:
            hints.setdefault(parent(prefix), {})[os.path.basename(prefix[:-1])] = True
        rounds = ROUNDS
        while hints:
            rounds -= 1
            if not rounds or not (yield from self._look_at(hints)):
                return False
            hints = self._read()
            if hints is None:
                return False
        return self._is_at_its_place()

    def _is_at_its_place(self) -> bool:
        try:
            found = os.stat(self.directory)
        except OSError:
            return False
        return self.tree.folders[""].identity == (found.st_dev, found.st_ino)

    def _read(self) -> Hints | None:
        """The hints up to now; None if they cannot be relied on."""
        hints: Hints = {}
        for notice in self._instance().read():
            if not self._take(notice, hints):
                return None
        return hints

    def _take(self, notice: Notice, hints: Hints) -> bool:
        mask = notice.mask
        if mask & (inotify.OVERFLOW | inotify.UNMOUNT):
            return False
        prefix = self._prefixes.get(notice.watch)
        if prefix is None:
            return True  # of a directory that was forgotten
        if mask & (inotify.IGNORED | inotify.DELETE_SELF | inotify.MOVE_SELF):
            if not prefix:
                return False
            if mask & inotify.IGNORED:
                del self._prefixes[notice.watch]
            hints.setdefault(parent(prefix), {})[os.path.basename(prefix[:-1])] = True
        elif notice.name:
            names = hints.setdefault(prefix, {})
            another = bool(mask & inotify.ISDIR and mask & _ANOTHER)
            if self.written is not None and mask & _WRITTEN:
                self.written.add(prefix + notice.name)
            names[notice.name] = another or names.get(notice.name, False)
        return True

    def _look_at(self, hints: Hints) -> Steps[bool]:
        is_fine = self.tree.systems[self._device].fine
        looking = _Looking(sys.maxsize if is_fine else stamps.coarse())
        for prefix, names in hints.items():
            if prefix in self.tree.folders and not self._look_in(prefix, names, looking):
                return False
        had = set(self._prefixes)
        if looking.gone:
            self._forget(looking.gone)
        if not (yield from self._walk(looking)):
            return False
        for watch in had - self._prefixes.keys():  # of those that have moved out, or have ended
            self._instance().remove(watch)
        return True

    def _look_in(self, prefix: str, names: dict[str, bool], looking: _Looking) -> bool:
        """Look at names in one directory; False if not all about them can be known."""
        found: dict[str, State | None] = {}
        for name, is_another in names.items():
            path = prefix + name
            try:
                stat = os.lstat(f"{self.directory}/{path}")
            except (FileNotFoundError, NotADirectoryError):
                stat = None
            except OSError:
                return False
            is_directory = stat is not None and modes.S_ISDIR(stat.st_mode)
            if is_another or not is_directory or not self._is_the_one(path + "/", stat):
                if path + "/" in self.tree.folders or path + "/" in self.tree.closed:
                    looking.gone.add(path + "/")
                if is_directory and not self.rules.omits_directory(path):
                    looking.come.append(path + "/")
            elif stat is not None:
                self._keep_mode(path + "/", stat.st_mode)
            found[name] = state = None if stat is None or is_directory else state_of(stat)
            if state is not None and not self._is_known(path, state, looking.tick):
                return False
        try:
            changed = os.stat(f"{self.directory}/{prefix}").st_ctime_ns
        except OSError:
            changed = sys.maxsize  # it is going, as another hint will say
        self.tree.folders[prefix] = self.tree.folders[prefix].with_files(found, changed)
        return True

    def _keep_mode(self, child: str, mode: int) -> None:
        """What is said of a directory to the one that it is in: its mode may be another."""
        folder = self.tree.folders[child]
        if folder.mode != mode:
            self.tree.folders[child] = attrs.evolve(folder, mode=mode)

    def _is_known(self, path: str, state: State, tick: int) -> bool:
        """Whether all names of a file are known, if it has several."""
        if state[CTIME] >= tick:
            self.tree.fresh.add(path)
        return state[LINKS] == 1 or self.tree.linked.get(path) == state[INODE]

    def _is_the_one(self, child: str, stat: os.stat_result | None) -> bool:
        """Whether a directory is the one that is kept, and can still be read."""
        folder = self.tree.folders.get(child)
        if folder is None or stat is None or folder.identity != (stat.st_dev, stat.st_ino):
            return False
        return os.access(f"{self.directory}/{child}", os.R_OK | os.X_OK)

    def _walk(self, looking: _Looking) -> Steps[bool]:
        """Walk through directories that have come; False if not all is watched and known."""
        if not looking.come:
            return True
        known = dict(self.tree.linked)
        walk = Walk(
            root=self.directory,
            rules=self.rules,
            tree=self.tree,
            opened=self._opened,
            waiting=looking.come,
        )
        try:
            is_done = advance_inline(walk)
            while not is_done:
                yield
                is_done = walk.advance(walking.CHUNK, float("inf"))
        finally:
            walk.close()
        return self._is_watchable and known == self.tree.linked

    def _instance(self) -> Inotify:
        assert self._inotify is not None
        return self._inotify


@attrs.frozen
class _Looking:
    """What is found out in one round."""

    tick: int  # what was changed then or later is fresh
    gone: set[str] = attrs.field(factory=set)
    come: list[str] = attrs.field(factory=list)
