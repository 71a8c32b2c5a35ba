"""The Linux calls that Python lacks: openat2(2), renameat2(2) and syncfs(2), through ctypes.

Each raises OSError as `os` does; a kernel, libc or seccomp profile without the call gives ENOSYS or
EPERM, and the callers have another way. Interrupted calls are made again (PEP 475 does not reach
ctypes).

This module knows nothing of scopes or of path rules: see `beneath`.
"""

from __future__ import annotations

import ctypes
import errno
import functools
import os

RESOLVE_NO_MAGICLINKS = 0x02
RESOLVE_NO_SYMLINKS = 0x04
RESOLVE_BENEATH = 0x08

RENAME_NOREPLACE = 1
RENAME_EXCHANGE = 2

# The same number on every architecture but alpha: openat2 came after the tables were unified.
_SYS_OPENAT2 = 437

_libc = ctypes.CDLL(None, use_errno=True)
_syscall = _libc.syscall
_syscall.restype = ctypes.c_long
_renameat2 = getattr(_libc, "renameat2", None)  # glibc >= 2.28, musl >= 1.2.4
_syncfs = getattr(_libc, "syncfs", None)  # not on macOS


class _OpenHow(ctypes.Structure):
    """`struct open_how` of linux/openat2.h."""

    _fields_ = [  # type: ignore[mutable-override]  # noqa: RUF012, RUF100 - as ctypes wants it
        ("flags", ctypes.c_uint64),
        ("mode", ctypes.c_uint64),
        ("resolve", ctypes.c_uint64),
    ]


_HOW_SIZE = ctypes.c_size_t(ctypes.sizeof(_OpenHow))


@functools.lru_cache(maxsize=64)
def _how(flags: int, resolve: int) -> object:
    """A pointer to the structure; the kernel only reads it, so threads may share one."""
    return ctypes.byref(_OpenHow(flags | os.O_CLOEXEC, 0, resolve))


def openat2(directory: int, path: bytes, flags: int, resolve: int) -> int:
    """Open `path` from `directory`; never creates (the mode must be 0 without O_CREAT)."""
    pointer = _how(flags, resolve)
    while True:
        descriptor: int = _syscall(_SYS_OPENAT2, directory, path, pointer, _HOW_SIZE)
        if descriptor >= 0:
            return descriptor
        code = ctypes.get_errno()
        if code != errno.EINTR:
            raise OSError(code, os.strerror(code))


def renameat2(source: int, old: str, target: int, new: str, flags: int) -> None:
    """Rename `old` in `source` to `new` in `target`, with RENAME_NOREPLACE or RENAME_EXCHANGE."""
    if _renameat2 is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    if _renameat2(source, os.fsencode(old), target, os.fsencode(new), flags) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def syncfs(descriptor: int) -> None:
    """Wait until all that was written to a file system is on its disk; of all, where that is all.

    Source: sync(2); since Linux 5.8 it tells of errors.
    """
    if _syncfs is None:
        os.sync()
    elif _syncfs(descriptor) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
