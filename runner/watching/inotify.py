"""Linux's inotify: one descriptor, a watch per directory, and what it tells. Nothing else.

Why not a package: those that are kept up either read in a thread of their own or belong to
asyncio, and what is needed of the kernel is three calls. Nobody waits on the descriptor: what has
happened is kept by the kernel until it is asked for, up to a limit beyond which it says that it has
forgotten.

Source: inotify(7).
"""

from __future__ import annotations

import ctypes
import fcntl
import functools
import os
import struct
import sys
import termios
from collections.abc import Iterator

import attrs

MODIFY, ATTRIB, CLOSE_WRITE = 0x2, 0x4, 0x8
MOVED_FROM, MOVED_TO, CREATE, DELETE = 0x40, 0x80, 0x100, 0x200
DELETE_SELF, MOVE_SELF = 0x400, 0x800
UNMOUNT, OVERFLOW, IGNORED, ONLYDIR, ISDIR = 0x2000, 0x4000, 0x8000, 0x1000000, 0x40000000

# A write through a shared mapping is told by nothing but the end of the mapping: CLOSE_WRITE.
_MASK = (
    MODIFY | ATTRIB | CLOSE_WRITE | MOVED_FROM | MOVED_TO | CREATE | DELETE | DELETE_SELF
    | MOVE_SELF | ONLYDIR
)  # fmt: skip
_HEAD = struct.Struct("iIII")
_BUFFER = 1 << 16
_SETTINGS = "/proc/sys/fs/inotify/"


@attrs.frozen(slots=True)
class Notice:
    """Something happened in a directory, or to it if there is no name."""

    watch: int
    mask: int
    name: str


@attrs.define(eq=False)
class Inotify:
    """One instance of inotify; closing it ends all its watches.

    Raises:
        OSError: from each method: the limits of the user, or of the machine.
    """

    descriptor: int = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.descriptor = _check(_libc().inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK))

    def add(self, path: str) -> int:
        """Watch a directory; the same number as before if it is watched."""
        return _check(
            _libc().inotify_add_watch(
                self.descriptor, ctypes.c_char_p(os.fsencode(path)), ctypes.c_uint32(_MASK)
            )
        )

    def remove(self, watch: int) -> None:
        """Watch it no more; nothing if it has gone by itself."""
        _libc().inotify_rm_watch(self.descriptor, watch)

    def pending(self) -> int:
        """How many bytes there are to be read."""
        answer = fcntl.ioctl(self.descriptor, termios.FIONREAD, b"\0" * 4)
        return int.from_bytes(answer, sys.byteorder)

    def read(self) -> Iterator[Notice]:
        """What has happened, in order, up to now."""
        while True:
            try:
                data = os.read(self.descriptor, _BUFFER)
            except BlockingIOError:
                return
            yield from parse(data)

    def close(self) -> None:
        """Let go of everything."""
        os.close(self.descriptor)


def parse(data: bytes) -> Iterator[Notice]:
    """What a read from the descriptor says."""
    at = 0
    while at < len(data):
        watch, mask, _, length = _HEAD.unpack_from(data, at)
        at += _HEAD.size
        name = data[at : at + length].rstrip(b"\0")
        at += length
        yield Notice(watch, mask, os.fsdecode(name))


def limit(name: str) -> int:
    """A limit for all that one user watches: `max_user_watches`, `max_user_instances`; 0 = none."""
    try:
        with open(_SETTINGS + name, encoding="ascii") as file:
            return int(file.read())
    except (OSError, ValueError):
        return 0


def _check(answer: int) -> int:
    if answer < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return answer


@functools.cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)
