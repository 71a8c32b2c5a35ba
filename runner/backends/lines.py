"""Windows of lines: from the middle of a large file in the memory of the window.

Model. A file is seen as a size and a way to read pieces of it. Counting its lines once leaves a
`LineIndex`: for every so many bytes, how many lines end before them. With it a window is found by
one search in the index and one piece of the file. `LineIndexes` keeps them while their files are
unchanged (device, inode, size, times), bounded in number and in size; not of a file that changed
within the last `TICK`: another change may get the same time, and would not be seen.

Lines end in LF. What is longer than asked for is cut where a UTF-8 character ends. A file that
changes while it is read gives what stands there; its index is not kept then.

It is not done by mmap: a file that shrinks meanwhile would end the process (SIGBUS).
"""

from __future__ import annotations

import os
import threading
import time
from array import array
from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Callable
from itertools import accumulate
from typing import TypeAlias

import attrs

from runner.backends.threads import breathe
from runner.messages import Lines, ReadLines

GRAIN = 64 * 1024  # bytes between two marks, and of a piece that is looked through
PIECE = 2 << 20  # bytes that are read to be counted; with less, threads hand over too often
MOST_MARKS = 1 << 16  # of one file: half a megabyte; for larger ones the grain is coarser
MOST_FILES = 64
TICK = 20_000_000  # ns; the times of files go by the kernel's tick: 10 ms at most (CONFIG_HZ=100)

Take: TypeAlias = Callable[[int, int], bytes]  # count, offset -> bytes; fewer only at the end
Key: TypeAlias = tuple[int, int, int, int, int]


@attrs.frozen
class LineIndex:
    """Where the lines of a file are.

    Attributes:
        total: how many lines there are.
        marks: how many lines end before each `grain` bytes.
    """

    total: int
    grain: int
    marks: array[int]

    def near(self, ends: int) -> tuple[int, int]:
        """A place (a multiple of the grain) shortly before that many lines end; how many do."""
        mark = bisect_left(self.marks, ends) - 1
        return mark * self.grain, self.marks[mark]


class Counting:
    """The lines of one file, being counted: in one thread, or in several beside each other.

    Each takes the next stretch of the file that nobody has. Reading it lets the others run, and
    counting does not; so two take the time of counting alone, and more are of no use.
    """

    def __init__(self, take: Take, size: int) -> None:
        """Nothing is counted yet."""
        self._take, self._size, self._grain = take, size, GRAIN
        while size > self._grain * MOST_MARKS:
            self._grain *= 2
        self._counts = array("Q", [0]) * -(-size // self._grain)
        self._stretch = max(PIECE // self._grain, 1) * self._grain
        self._starts = iter(range(0, size, self._stretch))
        self._error: OSError | None = None

    def work(self) -> None:
        """Count until nothing is left."""
        try:
            for start in self._starts:  # the next of an iterator is given once, in any thread
                self._count(start, min(start + self._stretch, self._size))
        except OSError as error:
            self._error = error

    def _count(self, start: int, end: int) -> None:
        grain, counts = self._grain, self._counts  # nobody else counts in this stretch
        for place in range(start, end, PIECE):
            piece = self._take(min(PIECE, end - place), place)
            for at in range(0, len(piece), grain):
                counts[(place + at) // grain] += piece.count(b"\n", at, at + grain)
            breathe()

    def index(self) -> LineIndex:
        """The index, when all work has been done; raises OSError if a part cannot be read."""
        if self._error is not None:
            raise self._error
        *marks, ends = accumulate(self._counts, initial=0)
        last = self._take(1, self._size - 1) if self._size else b""
        return LineIndex(ends + (last not in {b"", b"\n"}), self._grain, array("Q", marks))


def index_of(take: Take, size: int) -> LineIndex:
    """Count the lines of a file."""
    counting = Counting(take, size)
    counting.work()
    return counting.index()


class LineIndexes:
    """The indexes of the files that were read last; used by several threads."""

    def __init__(self) -> None:
        """None yet."""
        self._kept: OrderedDict[Key, LineIndex] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._kept)

    def known(self, status: os.stat_result) -> LineIndex | None:
        """The index of a file, if it is there and the file is unchanged."""
        key = _key(status)
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
            return self._kept.get(key)

    def of(self, fd: int, status: os.stat_result) -> LineIndex:
        """The index of an open file, counted if it is not known."""
        found = self.known(status)
        if found is None:
            settled = is_settled(fd, status)
            found = index_of(lambda count, offset: os.pread(fd, count, offset), status.st_size)
            if settled:
                self.keep(fd, status, found)
        return found

    def keep(self, fd: int, status: os.stat_result, index: LineIndex) -> None:
        """Keep the index of an open file that was settled, if it has not changed since."""
        if _key(os.fstat(fd)) == _key(status):
            with self._lock:
                self._kept[_key(status)] = index
                while len(self._kept) > MOST_FILES:
                    self._kept.popitem(last=False)


def is_settled(fd: int, status: os.stat_result) -> bool:
    """Whether every change of an open file from now on will be seen in its times."""
    now = time.time_ns()
    return _key(os.fstat(fd)) == _key(status) and now - status.st_ctime_ns > TICK


def _key(status: os.stat_result) -> Key:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def window(
    take: Take, size: int, message: ReadLines, index: Callable[[], LineIndex], *, known: bool
) -> Lines:
    """The answer to `ReadLines`.

    Args:
        take: reads the file.
        size: of the file.
        message: what is asked for.
        index: gives the index of the file, at the price of counting it.
        known: that the price is paid already.
    """
    if message.total or known:
        return _indexed(take, size, message, index())
    if message.offset >= 0:
        start, skipped = _forward(take, size, message.offset)
        first, total = message.offset + 1, None
        if start >= size:
            total = skipped
        lines, end = _lines(take, size, start, message)
        if total is None and end >= size:
            total = message.offset + len(lines.texts)
        return _answer(lines, first, total)
    start, there = _backward(take, size, -message.offset)
    total = there if start == 0 else None
    first = message.offset if total is None else 1
    lines, _ = _lines(take, size, start, message)
    found = _answer(lines, first, total)
    if total is None:
        found = attrs.evolve(found, after=-message.offset - len(lines.texts))
    return found


def window_of(content: bytes, message: ReadLines) -> Lines:
    """The answer to `ReadLines` for a content that is at hand."""

    def take(count: int, offset: int) -> bytes:
        return content[offset : offset + count]

    size = len(content)
    return window(take, size, message, lambda: index_of(take, size), known=False)


def _indexed(take: Take, size: int, message: ReadLines, index: LineIndex) -> Lines:
    skip = message.offset
    if skip < 0:
        skip = max(index.total + skip, 0)
    if skip >= index.total:
        return _answer(_Found([], [], ended=True), skip + 1, index.total)
    start = 0
    if skip:
        near, ends = index.near(skip)
        start = (
            near + _forward(lambda count, at: take(count, near + at), size - near, skip - ends)[0]
        )
    lines, _ = _lines(take, size, start, message)
    return _answer(lines, skip + 1, index.total)


@attrs.frozen
class _Found:
    texts: list[bytes]
    cut: list[int]  # which of them
    ended: bool


def _answer(found: _Found, first: int, total: int | None) -> Lines:
    before = first - 1 if first > 0 else None
    if total is not None and before is not None:
        before = min(before, total)
    return Lines(
        lines=tuple([each.decode("utf-8", "surrogateescape") for each in found.texts]),
        first=first,
        total=total,
        before=before,
        after=None if total is None else max(total - first + 1 - len(found.texts), 0),
        cut=tuple([first + each for each in found.cut]),
        ended=found.ended,
    )


def _forward(take: Take, size: int, ends: int, place: int = 0) -> tuple[int, int]:
    """Where that many lines have ended from a place on (or the size), and how many lines have."""
    count = 0
    last = b"\n"
    while place < size and count < ends:
        piece = take(min(GRAIN, size - place), place)
        if not piece:
            break
        here = piece.count(b"\n")
        if count + here >= ends:
            rest = piece.split(b"\n", ends - count)[-1]
            return place + len(piece) - len(rest), ends
        count += here
        place += len(piece)
        last = piece[-1:]
        breathe()
    if count < ends:
        return size, count + (last != b"\n")
    return place, count


def _backward(take: Take, size: int, wanted: int) -> tuple[int, int]:
    """Where the last `wanted` lines begin, and how many there are."""
    place, ends = size, 0
    while place > 0:
        count = min(GRAIN, place)
        piece = take(count, place - count)
        if place == size and not piece.endswith(b"\n"):
            ends += 1  # the last line has no end, and is one
        here = piece.count(b"\n")
        if ends + here > wanted:
            rest = piece.rsplit(b"\n", wanted - ends + 1)
            return place - count + len(rest[0]) + 1, wanted
        ends += here
        place -= count
        breathe()
    return 0, ends


def _lines(take: Take, size: int, place: int, message: ReadLines) -> tuple[_Found, int]:
    """Up to `limit` lines from a place on, and where the reading stopped."""
    limit, longest = message.limit, message.longest
    texts: list[bytes] = []
    cut: list[int] = []

    def add(line: bytes) -> None:
        if len(line) > longest:
            cut.append(len(texts))
            line = whole_characters(line[:longest])
        texts.append(line)

    begun: bytes | None = None  # of a line that goes on in the next piece, as much as is needed
    while len(texts) < limit and place < size:
        piece = take(min(GRAIN, size - place), place)
        if not piece:
            break
        place += len(piece)
        *whole, rest = piece.split(b"\n", limit - len(texts))
        if whole and begun is not None:
            whole[0] = begun + whole[0]
            begun = None
        for each in whole:
            add(each)
        if len(texts) >= limit:
            return _Found(texts, cut, ended=True), place - len(rest)
        if rest:
            begun = ((begun or b"") + rest)[: longest + 1]
        breathe()
    if begun is not None:
        add(begun)
    return _Found(texts, cut, ended=begun is None), place


def whole_characters(piece: bytes) -> bytes:
    """Without the beginning of a UTF-8 character at its end, whose rest was cut off."""
    for back in range(1, min(3, len(piece)) + 1):
        byte = piece[-back]
        if byte >= 0xC0:  # begins a character of 2, 3 or 4 bytes
            length = 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4
            return piece[:-back] if back < length else piece
        if byte < 0x80:
            break
    return piece
