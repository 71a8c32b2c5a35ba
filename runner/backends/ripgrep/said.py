"""What ripgrep says, piece by piece: which lines of which files. Pure.

Model. Its output is one block for each file: `./path`, NUL, then lines `NUMBER:OFFSET:TEXT` (a `-`
for the lines around a match), then an empty line. `Sighting` takes it in pieces of any size and
keeps the first hits in order of their paths, and how many more there were. Of a file in which it
meets a NUL byte after a match, ripgrep says so in a last line: that file is binary, and dropped.

What it says stays bytes until it is needed: hundreds of thousands of lines pass here.
"""

from __future__ import annotations

import itertools
import operator
import re
from collections.abc import Callable
from typing import TypeAlias

import attrs

from runner.messages import Grep, Match

# Line number, offset, text with a CR perhaps.
Hit: TypeAlias = tuple[bytes, bytes, bytes]

_HIT = re.compile(rb"^(\d+):(\d+):(.*)", re.MULTILINE)
_AROUND = re.compile(rb"^(\d+)[:-](\d+)[:-](.*)", re.MULTILINE)
_MATCHING = re.compile(rb"^\d+:", re.MULTILINE)
_WARNING = b": WARNING: stopped searching binary file after match "
_BINARY = re.compile(re.escape(_WARNING) + rb"[^\n]*\n?\Z")
_LONG = 1 << 20  # bytes of a block that is not complete; then what is there is taken already
_TAIL = 1 << 13  # of those, what might be the beginning of the last line: a path is shorter


@attrs.define
class Seen:
    """What was seen of one file.

    Attributes:
        names: its path, from where ripgrep runs.
        lines: how many lines match.
        kept: how many of them are here.
        full: the rest is not kept.
        standing: what of them stands there, once that was looked at.
    """

    names: tuple[str, ...]
    lines: int = 0
    kept: int = 0
    full: bool = False
    standing: list[Match] | None = None
    _said: list[bytes] = attrs.field(factory=list)

    def add(self, block: bytes, count: int) -> None:
        """Keep some lines, in which that many match."""
        self._said.append(block)
        self.kept += count

    def plain(self) -> str | None:
        """What was said, if it is plain ASCII without a CR: then it can be read in one go."""
        said = self._said[0] if len(self._said) == 1 else b"\n".join(self._said)
        return said.decode("ascii") if said.isascii() and b"\r" not in said else None

    def settle(self, standing: list[Match]) -> None:
        """Keep what stands there instead of what was said."""
        self.standing = standing
        self._said.clear()

    def hits(self) -> list[Hit]:
        """The lines that match, in order."""
        return [hit for block in self._said for hit in _HIT.findall(block)][: self.kept]

    def all(self) -> list[Hit]:
        """The lines that match and those around them, in order."""
        return [hit for block in self._said for hit in _AROUND.findall(block)]


names_of = operator.attrgetter("names")


class Sighting:
    """What ripgrep has said so far."""

    def __init__(self, message: Grep, takes: Callable[[str], bool]) -> None:
        """Start with nothing seen; `takes` says which files count."""
        self._takes = takes
        self._by_lines = message.output == "lines"
        self._around = bool(message.before or message.after) and self._by_lines
        self._limit = message.limit
        per_file = message.limit if message.per_file is None else message.per_file
        # One hit is enough to know a file by; and one is needed, to know that it is true.
        self._most = min(per_file, message.limit) if self._by_lines else 1
        self._after = message.after if self._by_lines else 0
        self._rest = b""
        self._path: bytes | None = None
        self._file: Seen | None = None
        self._seen: list[Seen] = []
        self._fresh: list[Seen] = []
        self._kept = 0
        self._dropped_lines = 0
        self._dropped_files = 0

    @property
    def is_overfull(self) -> bool:
        """Whether more is kept than will be answered."""
        return self._kept > self._limit

    def feed(self, data: bytes) -> list[Seen]:
        """Take a piece of its output; which files are complete with it."""
        self._fresh = []
        rest = self._rest + data if self._rest else data
        place = 0
        while True:
            if self._path is None:
                nul = rest.find(b"\0", place)
                if nul < 0:
                    break
                self._begin(rest[place:nul])
                place = nul + 1
            end = self._end(rest, place)
            if end < 0:
                if len(rest) - place > _LONG:
                    cut = rest.rfind(b"\n", place, len(rest) - _TAIL) + 1
                    if cut > place:
                        self._lines(rest[place:cut])
                        place = cut
                break
            self._lines(rest[place:end], last=True)
            place = end + 2
        self._rest = rest[place:]
        return self._fresh

    def finish(self) -> tuple[list[Seen], int, int]:
        """All files in order, and how many lines, and files, were dropped meanwhile."""
        if self._path is not None:
            self._lines(self._rest, last=True)
        self._prune()
        return self._seen, self._dropped_lines, self._dropped_files

    def _begin(self, path: bytes) -> None:
        self._path = path
        text = path.removeprefix(b"./").decode("utf-8", "surrogateescape")
        self._file = Seen(tuple(text.split("/"))) if self._takes(text) else None

    def _end(self, rest: bytes, place: int) -> int:
        end = rest.find(b"\n\n", place)
        path = self._path or b""
        if b"\n\n" in path:
            # Then its last line looks like the end of the block. No other line begins with `./`.
            warning = rest.find(b"\n./", place, end)
            if warning >= 0:
                end = rest.find(b"\n\n", warning + 1 + len(path))
        return end

    def _lines(self, block: bytes, *, last: bool = False) -> None:
        file, path = self._file, self._path or b""
        if last:
            self._path, self._file = None, None
            binary = _BINARY.search(block) if _WARNING in block else None
            # A line that matches begins with its number, and never with the path.
            if binary is not None and block[: binary.start()].endswith(b"\n" + path):
                return
        if file is None:
            return
        matching = self._count(block)
        file.lines += matching
        room = self._most - file.kept
        if file.full:
            pass
        elif matching <= room:
            file.add(block, matching)
        else:
            file.add(self._first(block, room), room)
            file.full = True
        if last and file.lines:
            self._seen.append(file)
            self._fresh.append(file)
            self._kept += file.kept
            if self._kept > 2 * self._limit + 10_000:
                self._prune()

    def _count(self, block: bytes) -> int:
        """How many lines in it match."""
        if self._around:
            return len(_MATCHING.findall(block))
        return block.count(b"\n") + (block != b"" and not block.endswith(b"\n"))

    def _first(self, block: bytes, count: int) -> bytes:
        """The first so many lines that match, with all that stands before the next one."""
        # Lines that match may stand after the last one that counts, and are then of those around.
        last = count + self._after
        following = next(itertools.islice(_MATCHING.finditer(block), last, None), None)
        return block if following is None else block[: following.start()]

    def _prune(self) -> None:
        """Keep what the first `limit` lines, or files, need."""
        self._seen.sort(key=names_of)
        left = self._limit
        for number, each in enumerate(self._seen):
            if left <= 0:
                dropped = self._seen[number:]
                self._dropped_lines += sum([file.lines for file in dropped])
                self._dropped_files += len(dropped)
                del self._seen[number:]
                break
            left -= each.kept
        self._kept = sum([each.kept for each in self._seen])
