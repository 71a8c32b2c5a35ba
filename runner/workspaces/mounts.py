"""Mounts: mount(2) and umount2(2), which Python lacks, and what stands in /proc/self/mountinfo.

Each call raises OSError as `os` does. A mount is told from others by its source, a text that is
chosen by whoever mounts: options are shown escaped, and differently by each kernel.

What this does not do: decide what is to be mounted (overlay.py), or mount anything in a namespace
other than our own (`runner.processes.holding`).
"""

from __future__ import annotations

import ctypes
import os
import re

import attrs

MS_NOSUID, MS_NODEV = 2, 4
MNT_DETACH, UMOUNT_NOFOLLOW = 2, 8

_libc = ctypes.CDLL(None, use_errno=True)
_OCTAL = re.compile(rb"\\([0-7]{3})")


@attrs.frozen
class Mount:
    """A line of mountinfo.

    Attributes:
        point: where it is mounted, an absolute path.
        kind: of file system.
        source: what was said to be mounted there.
    """

    point: str
    kind: str
    source: str


def mount(source: str, target: str, kind: str, options: str) -> None:
    """Mount a file system; programs in it get no rights of other users, and no devices."""
    answer = _libc.mount(
        os.fsencode(source),
        os.fsencode(target),
        os.fsencode(kind),
        ctypes.c_ulong(MS_NOSUID | MS_NODEV),
        os.fsencode(options),
    )
    _check(answer, target)


def unmount(target: str, *, in_use: bool = False) -> None:
    """Unmount what is mounted at a path last; EBUSY while somebody uses it, unless `in_use`.

    Whoever uses it then goes on with what nobody else sees any more.
    """
    flags = UMOUNT_NOFOLLOW | (MNT_DETACH if in_use else 0)
    _check(_libc.umount2(os.fsencode(target), flags), target)


def _check(answer: int, target: str) -> None:
    if answer != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), target)


def mounts() -> list[Mount]:
    """What is mounted in our namespace; what is mounted over something else comes after it."""
    try:
        with open("/proc/self/mountinfo", "rb") as file:
            lines = file.read().splitlines()
    except OSError:  # no Linux, or no /proc: then nothing is mounted by us either
        return []
    return [parse(line) for line in lines]


def parse(line: bytes) -> Mount:
    """Read a line (proc_pid_mountinfo(5)); names are escaped in it."""
    fields = line.split(b" ")
    kind, source = fields[fields.index(b"-", 6) + 1 :][:2]
    return Mount(*map(_unescaped, (fields[4], kind, source)))


def _unescaped(field: bytes) -> str:
    return os.fsdecode(_OCTAL.sub(lambda found: bytes([int(found[1], 8)]), field))


def mounted_at(point: str) -> list[Mount]:
    """What is mounted at a path that has no links in it; the last one is what is seen."""
    return [each for each in mounts() if each.point == point]


def mounted_in(directory: str) -> list[Mount]:
    """What is mounted at a directory, which has no links in its path, or somewhere in it."""
    beneath = directory.rstrip("/") + "/"
    return [each for each in mounts() if each.point == directory or each.point.startswith(beneath)]
