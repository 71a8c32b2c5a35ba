"""Which files a turn changed: a directory's tree before it, compared with the tree after it.

A tree maps each path to its file's state: (inode, size, mtime, ctime, mode). Links are themselves,
directories only lead to files. Then:

    created    a path that was not there
    deleted    a path that is there no more
    modified   a path with another state: also an edit that restores the mtime (the ctime shows it),
               also a change of its mode only, also a file put in its place by a rename
    renamed    a path that is gone, and a new one with its inode, size and mtime. The last two as
               well, since file systems give the inode of a removed file to the next new one; so
               a file that was renamed *and* edited is one deleted and one created.

A tiny tree is scanned inline, the rest of a larger one in a thread, which notices cancellation.
What is not known here: who made a change. A scan before and a scan after surround the turn.

A limit: where the kernel stamps files by its tick (before Linux 6.13), an edit that keeps the size
within the same tick (up to 10 ms) as the scan before it is not seen; git calls it "racily clean".
"""

from __future__ import annotations

import contextlib
import functools
import operator
import os
import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import PurePosixPath
from typing import Protocol, TypeAlias

import attrs
import trio

State: TypeAlias = tuple[int, int, int, int, int]
Tree: TypeAlias = dict[str, State]

DEFAULT_IGNORE = (".git/**",)

# Our own files that stand beside those that an atomic write is about to replace.
TEMPORARY = ".runner-tmp-"

_state: Callable[[os.stat_result], State] = operator.attrgetter(
    "st_ino", "st_size", "st_mtime_ns", "st_ctime_ns", "st_mode"
)

# What is done inline before a thread is worth its hop (50 us and more, measured).
INLINE_ENTRIES = 512
INLINE_SECONDS = 0.002
# How many entries a thread looks at between two questions whether it is cancelled.
CHUNK = 4096


@attrs.frozen(kw_only=True)
class Changes:
    """What a turn did to the files of its directory; paths are relative to it, sorted."""

    created: tuple[PurePosixPath, ...] = ()
    modified: tuple[PurePosixPath, ...] = ()
    deleted: tuple[PurePosixPath, ...] = ()
    renamed: tuple[tuple[PurePosixPath, PurePosixPath], ...] = ()


NOTHING = Changes()


@attrs.define(eq=False)
class Scanner:
    """Scans one directory.

    Attributes:
        directory: absolute.
        ignore: patterns of paths that are left out: `*`, `?`, `[...]`, `**` as in a shell with
            globstar; a pattern without a slash is one for names at any depth; `name/**` leaves out
            all that is below.
        limiter: of the threads that scan.
    """

    directory: str
    limiter: trio.CapacityLimiter
    ignore: Sequence[str] = DEFAULT_IGNORE
    _rules: _Rules = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._rules = _make_rules(tuple(self.ignore))

    async def scan(self) -> Tree:
        """The tree as it is now. What vanishes meanwhile, or cannot be read, is left out.

        Cancellation: a thread that scans is waited for, which takes milliseconds.
        """
        walk = _Walk(self.directory, self._rules)
        try:
            if not walk.advance(INLINE_ENTRIES, time.perf_counter() + INLINE_SECONDS):
                await trio.to_thread.run_sync(_finish, walk, limiter=self.limiter)
        finally:
            walk.close()
        return walk.tree

    async def compare(self, before: Tree, after: Tree) -> Changes:
        """What changed between two scans."""
        if len(before) + len(after) <= 4 * INLINE_ENTRIES:
            return compare(before, after)
        return await trio.to_thread.run_sync(compare, before, after, limiter=self.limiter)


def compare(before: Tree, after: Tree) -> Changes:
    """What changed between two trees."""
    if before == after:
        return NOTHING
    created = {path for path in after if path not in before}
    deleted = {path for path in before if path not in after}
    modified = [path for path, state in after.items() if before.get(path, state) != state]
    renamed = _find_renamed(before, after, created, deleted)
    return Changes(
        created=_as_paths(created.difference(to for _, to in renamed)),
        modified=_as_paths(modified),
        deleted=_as_paths(deleted.difference(source for source, _ in renamed)),
        renamed=tuple((PurePosixPath(source), PurePosixPath(to)) for source, to in renamed),
    )


def _find_renamed(
    before: Tree, after: Tree, created: set[str], deleted: set[str]
) -> list[tuple[str, str]]:
    if not created or not deleted:
        return []
    gone = {before[path][:3]: path for path in sorted(deleted, reverse=True)}
    renamed = []
    for to in sorted(created):
        source = gone.pop(after[to][:3], None)  # each source once: further hard links are created
        if source is not None:
            renamed.append((source, to))
    return sorted(renamed)


def _as_paths(paths: Iterable[str]) -> tuple[PurePosixPath, ...]:
    return tuple(map(PurePosixPath, sorted(paths)))


# ---------------------------------------------------------------- the walk


class Entries(Protocol):
    """What `os.scandir` gives."""

    def __iter__(self) -> Iterator[os.DirEntry[str]]:
        """The entries in no order."""
        ...

    def close(self) -> None:
        """Let the directory go."""
        ...


@attrs.define(eq=False)
class _Walk:
    """A walk that can be continued: one directory is open at a time, the others wait."""

    root: str
    rules: _Rules
    tree: Tree = attrs.field(factory=dict)
    _waiting: list[str] = attrs.field(factory=lambda: [""])
    _prefix: str = ""
    _entries: Entries | None = None

    def advance(self, count: int, until: float) -> bool:
        """Look at so many entries more, or until so late; whether the walk is done."""
        left = count
        while self._entries is not None or self._open_next():
            left -= self._read(left)
            if left <= 0 or time.perf_counter() > until:
                return self._entries is None and not self._waiting
        return True

    def close(self) -> None:
        if self._entries is not None:
            self._entries.close()
            self._entries = None

    def _open_next(self) -> bool:
        while self._waiting:
            self._prefix = self._waiting.pop()
            try:
                self._entries = os.scandir(f"{self.root}/{self._prefix}")
            except OSError:
                continue
            return True
        return False

    def _read(self, count: int) -> int:
        """Look at entries of the open directory; how many. Flat, as it runs once per file."""
        tree, prefix, files = self.tree, self._prefix, self.rules.files
        assert self._entries is not None
        number = 0
        with contextlib.suppress(OSError):  # a directory that cannot be read any further is done
            for entry in self._entries:
                number += 1
                name = entry.name
                if name.startswith(TEMPORARY):
                    pass
                elif entry.is_dir(follow_symlinks=False):
                    if not self.rules.omits_directory(prefix + name):
                        self._waiting.append(f"{prefix}{name}/")
                elif files is None or not files.fullmatch(prefix + name):
                    try:  # noqa: SIM105 - `suppress` would cost as much as the entry
                        tree[prefix + name] = _state(entry.stat(follow_symlinks=False))
                    except OSError:
                        pass  # it has vanished since it was listed
                if number >= count:
                    return number
        self.close()
        return number


def _finish(walk: _Walk) -> None:
    while not walk.advance(CHUNK, float("inf")):
        trio.from_thread.check_cancelled()


# ---------------------------------------------------------------- what is left out


@attrs.frozen
class _Rules:
    """Patterns, sorted by what can be asked of them cheaply."""

    below: frozenset[str]  # directories by their plain path: nearly always all there is
    directories: re.Pattern[str] | None
    files: re.Pattern[str] | None

    def omits_directory(self, path: str) -> bool:
        return path in self.below or (
            self.directories is not None and self.directories.fullmatch(path) is not None
        )


@functools.lru_cache(maxsize=64)  # most sessions have the same
def _make_rules(patterns: tuple[str, ...]) -> _Rules:
    below = [pattern.removesuffix("/**") for pattern in patterns if pattern.endswith("/**")]
    plain = [path for path in below if not set(path) & set("*?[\\{!")]
    others = [pattern for pattern in patterns if not pattern.endswith("/**")]
    return _Rules(
        below=frozenset(plain),
        directories=_make_regex([path for path in below if path not in plain] + others),
        files=_make_regex(others),
    )


def _make_regex(patterns: Sequence[str]) -> re.Pattern[str] | None:
    if not patterns:
        return None
    from wcmatch import glob  # noqa: PLC0415 - not needed for the default patterns

    flags = glob.GLOBSTAR | glob.DOTGLOB | glob.BRACE | glob.MATCHBASE
    found, _ = glob.translate(list(patterns), flags=flags)
    return re.compile("|".join(f"(?:{each})" for each in found))
