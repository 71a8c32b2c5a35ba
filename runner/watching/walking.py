"""Walking through a directory: each file looked at once, by the descriptor of its directory.

A walk can be continued: one directory is open at a time, the others wait. What vanishes meanwhile
is left out; a directory that cannot be read is noted as closed. What is not here: which files do
not count (who asks leaves them out; directories that do not count are not walked through).
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Protocol

import attrs

from runner.watching import stamps
from runner.watching.columns import INODE, LINKS, Columns, joined
from runner.watching.files import Tree, make_folder
from runner.watching.patterns import Rules
from runner.watching.statx import MOST, look

# What is done inline before a thread is worth its hop (50 us and more, measured).
INLINE_ENTRIES = 512
INLINE_SECONDS = 0.002
# How many entries a thread looks at between two questions whether it is cancelled.
CHUNK = 4096

_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


class Entries(Protocol):
    """What `os.scandir` gives."""

    def __iter__(self) -> Iterator[os.DirEntry[str]]:
        """The entries in no order."""
        ...

    def close(self) -> None:
        """Let the directory go."""
        ...


@attrs.define(eq=False)
class _Reading:
    """A directory that is being read."""

    prefix: str
    descriptor: int
    entries: Entries
    found: list[Columns] = attrs.field(factory=list)
    is_whole: bool = True

    def close(self) -> None:
        self.entries.close()
        os.close(self.descriptor)


@attrs.define(eq=False)
class Walk:
    """A walk through a directory, or a part of it.

    Attributes:
        root: absolute.
        rules: which directories are not walked through.
        tree: what has been found.
        tick: when it began: files that were changed then or later are fresh, where stamps are not
            fine.
        opened: told of each directory, its path and descriptor, before it is read.
        waiting: directories that are still to be walked through.
    """

    root: str
    rules: Rules
    tree: Tree = attrs.field(factory=Tree, kw_only=True)
    tick: int = attrs.field(factory=stamps.coarse, kw_only=True)
    opened: Callable[[str, int], None] | None = attrs.field(default=None, kw_only=True)
    waiting: list[str] = attrs.field(factory=lambda: [""], kw_only=True)
    _reading: _Reading | None = None

    def advance(self, count: int, until: float) -> bool:
        """Look at so many entries more, or until so late; whether the walk is done."""
        left = count
        while (reading := self._reading or self._open_next()) is not None:
            left -= self._read(reading, left)
            if left <= 0 or time.perf_counter() > until:
                return self._reading is None and not self.waiting
        return True

    def close(self) -> None:
        """Leave it where it is."""
        if self._reading is not None:
            self._reading.close()
            self._reading = None

    def _open_next(self) -> _Reading | None:
        while self.waiting:
            prefix = self.waiting.pop()
            try:
                flags = _FLAGS | os.O_NOFOLLOW if prefix else _FLAGS
                descriptor = os.open(f"{self.root}/{prefix}", flags)
            except (FileNotFoundError, NotADirectoryError):
                continue
            except OSError:
                self.tree.closed.add(prefix)
                continue
            try:
                if self.opened is not None:
                    self.opened(prefix, descriptor)
                self._reading = _Reading(prefix, descriptor, os.scandir(descriptor))
            except BaseException:
                os.close(descriptor)
                raise
            return self._reading
        return None

    def _read(self, reading: _Reading, most: int) -> int:
        """Look at entries of the open directory; how many. Flat, as it runs once per file."""
        most, names, number = min(most, MOST), [], 0
        try:
            for entry in islice(reading.entries, most):
                number += 1
                if entry.is_dir(follow_symlinks=False):
                    path = reading.prefix + entry.name
                    if not self.rules.omits_directory(path):
                        self.waiting.append(path + "/")
                else:
                    names.append(entry.name)
            reading.found.append(look(reading.descriptor, names))
        except OSError:
            reading.is_whole = False
        if number < most or not reading.is_whole:
            self._end(reading)
        return number

    def _end(self, reading: _Reading) -> None:
        # Before the directory's own stamp is read, which must not be older than what was found.
        stat = os.fstat(reading.descriptor)
        self.close()
        if not reading.is_whole:
            self.tree.closed.add(reading.prefix)
            return
        device = stat.st_dev
        if device not in self.tree.systems:
            where = f"{self.root}/{reading.prefix}"
            self.tree.systems[device] = stamps.file_system(where)
        files = joined(reading.found)
        self.tree.folders[reading.prefix] = make_folder(
            (device, stat.st_ino),
            stat.st_ctime_ns,
            files,
            by_hash=self.opened is not None,
            mode=stat.st_mode,
        )
        self._note(reading.prefix, files, is_fine=self.tree.systems[device].fine)

    def _note(self, prefix: str, files: Columns, *, is_fine: bool) -> None:
        """Note what is special about files: few are."""
        if not is_fine:
            changed = zip(files.names, files.changed(), strict=True)
            self.tree.fresh.update(prefix + name for name, ctime in changed if ctime >= self.tick)
        if self.opened is not None and not files.have_one_name():
            found = zip(files.names, files.states(), strict=True)
            self.tree.linked.update(
                (prefix + name, state[INODE]) for name, state in found if state[LINKS] > 1
            )


def advance_inline(walk: Walk) -> bool:
    """Go as far as is worth no thread; whether the walk is done."""
    return walk.advance(INLINE_ENTRIES, time.perf_counter() + INLINE_SECONDS)
