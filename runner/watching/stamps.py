"""What the times of a directory's files can be trusted with: facts of its file system and clocks.

    local   this machine stamps its files, with this machine's clock; and tells of each change
    fine    a file that was looked at gets a stamp of its own with its next change: Linux 6.13 and
            later on ext4, xfs, btrfs and tmpfs. Elsewhere stamps are those of the clock's last
            tick (1 to 10 ms), and two changes within one tick look the same; git calls a file that
            was changed within the tick in which it was looked at "racily clean"

What is not known (a network's file system, FUSE, 9p, another system) is neither.

Source: Documentation/filesystems/multigrain-ts.rst of Linux; statfs(2).
"""

from __future__ import annotations

import ctypes
import functools
import os
import re
import sys
import time

import attrs

_EXT, _XFS, _BTRFS, _TMPFS = 0xEF53, 0x58465342, 0x9123683E, 0x01021994
_OTHERS = {
    0xF2F52010: "f2fs",
    0x794C7630: "overlayfs",
    0x2FC12FC1: "zfs",
    0xCA451A4E: "bcachefs",
    0x858458F6: "ramfs",
}
_FINE = frozenset({_EXT, _XFS, _BTRFS, _TMPFS})
_LOCAL = _FINE | _OTHERS.keys()
_FINE_SINCE = (6, 13)

# What a step of the clock may be unnoticed; stamps are told apart with that much less sharpness.
STEP = 1_000_000


@attrs.frozen
class FileSystem:
    """What is known of a directory's file system; see the module's text."""

    local: bool
    fine: bool


def file_system(path: str) -> FileSystem:
    """The facts of the file system that a directory is on."""
    return _known(_kind(path))


@attrs.frozen
class Moment:
    """A moment, as the stamps of files have it.

    Attributes:
        stamp: whatever changes from now on is stamped with this, or later: nanoseconds.
        offset: of the wall's clock to one that nobody sets.
    """

    stamp: int
    offset: int

    def is_comparable(self) -> bool:
        """Whether nobody has set the clock since then."""
        return abs(_offset() - self.offset) < STEP


def now() -> Moment:
    """This moment."""
    return Moment(coarse() - STEP, _offset())


def coarse() -> int:
    """The clock's last tick, in nanoseconds: what a change would be stamped with."""
    return time.clock_gettime_ns(COARSE) if IS_LINUX else time.time_ns()


IS_LINUX = sys.platform == "linux"
COARSE = 5  # Linux's CLOCK_REALTIMECOARSE, which `time` has no name for


def _offset() -> int:
    clock = time.CLOCK_BOOTTIME if IS_LINUX else time.CLOCK_MONOTONIC
    return time.time_ns() - time.clock_gettime_ns(clock)


@functools.cache
def _known(kind: int | None) -> FileSystem:
    return FileSystem(local=kind in _LOCAL, fine=kind in _FINE and _is_kernel_fine())


@functools.cache
def _is_kernel_fine() -> bool:
    found = re.match(r"(\d+)\.(\d+)", os.uname().release)
    return found is not None and (int(found[1]), int(found[2])) >= _FINE_SINCE


@functools.cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None)


_Statfs = ctypes.c_long * 64  # `struct statfs` is 120 bytes; its kind is the first of them


def _kind(path: str) -> int | None:
    if not IS_LINUX:
        return None
    answer = _Statfs()
    if _libc().statfs(os.fsencode(path), answer) != 0:
        return None
    return answer[0] & 0xFFFFFFFF
