"""Landlock: rules on files that a process gives itself, and that hold for all it starts.

It is a second layer within namespaces, and the only one where they are refused. It does not hold
`stat`, `chmod`, `utime` and `setxattr`, nor unix sockets that have a name in a directory.

It is loaded by the guardian: the standard library only. Source: the kernel's
Documentation/userspace-api/landlock.rst.
"""

from __future__ import annotations

import ctypes
import os
import stat
import struct

from runner.processes.isolation import syscalls

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446
PATH_BENEATH = 1
EXECUTE, WRITE_FILE, READ_FILE, READ_DIR = 1, 2, 4, 8
REFER, TRUNCATE, IOCTL_DEV = 1 << 13, 1 << 14, 1 << 15
ALL_OF_ABI_1 = (1 << 13) - 1
FOR_FILES = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEV
READ = EXECUTE | READ_FILE | READ_DIR
NET_BIND, NET_CONNECT = 1, 2
SCOPE_ABSTRACT_UNIX, SCOPE_SIGNAL = 1, 2


def abi() -> int:
    """The version of what the kernel can do; 0 if it is not there or switched off."""
    return max(0, int(syscalls._syscall(CREATE_RULESET, None, 0, 1)))  # noqa: SLF001 - one room


def handled(version: int) -> int:
    """All rights on files that this version knows."""
    rights = ALL_OF_ABI_1
    for since, right in ((2, REFER), (3, TRUNCATE), (5, IOCTL_DEV)):
        rights |= right if version >= since else 0
    return rights


def restrict(
    writable: Iterable[str], readable: Iterable[str], *, no_tcp: bool, version: int
) -> None:  # pragma: no cover - inside
    """Hold this process, and all that it starts, to some paths.

    What cannot be opened, or is not there, is not granted. The caller has given up new privileges.

    Args:
        writable: where everything may be done.
        readable: what may be read and executed.
        no_tcp: whether neither to connect nor to listen.
        version: what `abi` said.
    """
    rights = handled(version)
    network = NET_BIND | NET_CONNECT if no_tcp and version >= 4 else 0
    scoped = SCOPE_ABSTRACT_UNIX | SCOPE_SIGNAL if version >= 6 else 0
    data = struct.pack("=3Q", rights, network, scoped)
    size = 24 if version >= 6 else 16 if version >= 4 else 8
    ruleset = _call("create a ruleset", CREATE_RULESET, data, size, 0)
    try:
        for path in writable:
            _allow(ruleset, path, rights)
        for path in readable:
            _allow(ruleset, path, READ)
        _call("restrict", RESTRICT_SELF, ruleset, 0)
    finally:
        os.close(ruleset)


def _allow(ruleset: int, path: str, rights: int) -> None:  # pragma: no cover - inside
    try:
        fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        if not stat.S_ISDIR(os.fstat(fd).st_mode):
            rights &= FOR_FILES
        _call(f"allow {path}", ADD_RULE, ruleset, PATH_BENEATH, struct.pack("=Qi", rights, fd), 0)
    finally:
        os.close(fd)


def _call(what: str, number: int, *arguments: object) -> int:  # pragma: no cover - inside
    answer = int(syscalls._syscall(number, *arguments))  # noqa: SLF001 - one room
    if answer < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"landlock, {what}: {os.strerror(code)}")
    return answer
