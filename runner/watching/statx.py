"""Looking at many names of an open directory: statx(2), a call for each, and no object for any.

Python's own way makes an entry, a result of 20 numbers and six of them again for each file: as much
work as the kernel's. Here the kernel writes all answers into one piece of memory, of which the
columns are slices. It is asked for what `os.lstat` asks for: where stamps are fine (stamps.py), a
file gets a stamp of its own with its next change because its stamps were asked for.

Where there is no statx, or one of the names cannot be looked at, `os.stat` does it.

Source: statx(2); linux/stat.h, "struct statx", which is the same on all machines.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from contextlib import suppress
from itertools import repeat
from typing import Any

import attrs

from runner.watching.columns import FORMATS, NOTHING, Columns, columns, state_of

# How many names at once: what is written for them stays in the processor's caches.
MOST = 512

_NOFOLLOW, _NO_AUTOMOUNT, _BASIC_STATS = 0x100, 0x800, 0x7FF  # linux/fcntl.h, linux/stat.h
_FLAGS = _NOFOLLOW | _NO_AUTOMOUNT
# An answer has 256 bytes, but what we want is in the first half: the next is written over the rest.
_ANSWER, _WANTED = 256, 128
# Where the columns' numbers are in an answer: of stx_ino, _size, _mtime, _ctime, _mode, _nlink.
_PLACES = (32, 40, 112, 120, 96, 104, 28, 16)

_statx: Callable[..., int] | None = getattr(ctypes.CDLL(None), "statx", None)


@attrs.frozen
class _Desk:
    """Memory for answers, in which each has its place; used by one thread at a time."""

    places: list[Any]
    views: list[tuple[memoryview, int, int]]  # of all of it, where the first number is, and how far


_desks: list[_Desk] = []  # that nobody uses; taking and giving back are one step each


def look(directory: int, names: list[str]) -> Columns:
    """What names in an open directory are; those that are gone are left out.

    Args:
        directory: its descriptor.
        names: not more than MOST.

    Raises:
        OSError: of one of them it cannot be known.
    """
    if not names:
        return NOTHING
    if _statx is not None and (found := _look_at_all(_statx, directory, names)) is not None:
        return found
    return _look_at_each(directory, names)


def _look_at_all(statx: Callable[..., int], directory: int, names: list[str]) -> Columns | None:
    """None: one of them was refused, or is gone."""
    desk = _desks.pop() if _desks else _make_desk()
    try:
        words = os.fsencode("\0".join(names)).split(b"\0")
        given = repeat(directory), words, repeat(_FLAGS), repeat(_BASIC_STATS), desk.places
        if any(map(statx, *given)):
            return None
        count = len(names)
        numbers = [view[at : step * count : step].tobytes() for view, at, step in desk.views]
        return Columns(names, tuple(numbers))
    finally:
        _desks.append(desk)


def _look_at_each(directory: int, names: list[str]) -> Columns:
    found = {}
    for name in names:
        with suppress(FileNotFoundError):
            found[name] = state_of(os.stat(name, dir_fd=directory, follow_symlinks=False))
    return columns(found)


def _make_desk() -> _Desk:
    memory = (ctypes.c_char * (_WANTED * MOST + _ANSWER))()
    everything = memoryview(memory).cast("B")
    views = []
    for at, format_ in zip(_PLACES, FORMATS, strict=True):
        view = everything.cast(format_)  # type: ignore[call-overload]  # of any format
        views.append((view, at // view.itemsize, _WANTED // view.itemsize))
    return _Desk([ctypes.byref(memory, _WANTED * number) for number in range(MOST)], views)
