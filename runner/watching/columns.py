"""The states of many files as bytes: a column for each number, and the names.

    how many (4 bytes) │ inodes │ sizes │ mtimes │ ctimes │ modes │ links │ the names, NUL between

A time is two columns, seconds and nanoseconds, as the kernel gives it. So what a system call wrote
becomes a part of a folder (files.py) by slices, without an object for each file, and equal files
in the same order have equal bytes. States are made of it only where single files are asked for.

What is not here: looking (statx.py), and what parts are for.
"""

from __future__ import annotations

import operator
import os
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeAlias

import attrs

State: TypeAlias = tuple[int, int, int, int, int, int]
INODE, CTIME, LINKS = 0, 3, 5

state_of: Callable[[os.stat_result], State] = operator.attrgetter(
    "st_ino", "st_size", "st_mtime_ns", "st_ctime_ns", "st_mode", "st_nlink"
)

# How `array` writes the numbers of each column: inode, size, mtime, ctime, mode, links.
FORMATS = ("Q", "q", "q", "I", "q", "I", "H", "I")
_WIDTHS = tuple(array(each).itemsize for each in FORMATS)
_HEAD = 4
_SECOND = 1_000_000_000


@attrs.frozen
class Columns:
    """The files of a directory, or some of them, in an order.

    Attributes:
        names: of the files.
        numbers: the bytes of each column.
    """

    names: Sequence[str]
    numbers: tuple[bytes, ...]

    def encode(self, start: int = 0, stop: int | None = None) -> bytes:
        """These files, or those of a slice, as one piece."""
        names, numbers = self.names, self.numbers
        if start or stop is not None:
            names = names[start:stop]
            numbers = tuple(
                column[width * start : width * (start + len(names))]
                for width, column in zip(_WIDTHS, numbers, strict=True)
            )
        head = len(names).to_bytes(_HEAD, "little")
        return b"".join((head, *numbers, os.fsencode("\0".join(names))))

    def states(self) -> Iterator[State]:
        """What the names are, in their order."""
        inodes, sizes, *times, modes, links = map(_numbers, FORMATS, self.numbers)
        return zip(inodes, sizes, _ns(*times[:2]), _ns(*times[2:]), modes, links, strict=True)

    def changed(self) -> list[int]:
        """Their ctimes."""
        return _ns(_numbers("q", self.numbers[4]), _numbers("I", self.numbers[5]))

    def have_one_name(self) -> bool:
        """Whether none of them has another name too."""
        return max(_numbers("I", self.numbers[7]), default=1) == 1


def columns(files: Mapping[str, State]) -> Columns:
    """The same of states by name."""
    if not files:
        return NOTHING
    inodes, sizes, mtimes, ctimes, modes, links = zip(*files.values(), strict=True)
    times = [
        [stamp // _SECOND for stamp in mtimes],
        [stamp % _SECOND for stamp in mtimes],
        [stamp // _SECOND for stamp in ctimes],
        [stamp % _SECOND for stamp in ctimes],
    ]
    numbers = zip(FORMATS, (inodes, sizes, *times, modes, links), strict=True)
    return Columns(list(files), tuple(array(*column).tobytes() for column in numbers))


NOTHING = Columns((), (b"",) * len(FORMATS))


def joined(pieces: Sequence[Columns]) -> Columns:
    """All of them, one after the other."""
    if len(pieces) == 1:
        return pieces[0]
    names = [name for piece in pieces for name in piece.names]
    together = zip(NOTHING.numbers, *(piece.numbers for piece in pieces), strict=True)
    return Columns(names, tuple(map(b"".join, together)))


def decode(data: bytes) -> dict[str, State]:
    """The files that were encoded, by name."""
    count = int.from_bytes(data[:_HEAD], "little")
    if not count:
        return {}
    at, numbers = _HEAD, []
    for width in _WIDTHS:
        numbers.append(data[at : at + width * count])
        at += width * count
    names = os.fsdecode(data[at:]).split("\0")
    return dict(zip(names, Columns(names, tuple(numbers)).states(), strict=True))


def _numbers(format_: str, column: bytes) -> list[int]:
    found: array[int] = array(format_)
    found.frombytes(column)
    return found.tolist()


def _ns(seconds: list[int], parts: list[int]) -> list[int]:
    return [_SECOND * second + part for second, part in zip(seconds, parts, strict=True)]
