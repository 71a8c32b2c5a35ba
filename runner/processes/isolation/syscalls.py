"""The system calls that Python has no names for: numbers, and calls that raise OSError.

It is loaded by the guardian: the standard library only. The numbers from 424 on are the same on
all machines; the older ones are not asked for here but for `clone`.
"""

from __future__ import annotations

import ctypes
import os
import platform
import struct

_libc = ctypes.PyDLL(None, use_errno=True)  # which keeps the GIL: a clone must not let go of it
_syscall = _libc.syscall
_syscall.restype = ctypes.c_long

CLONE = {"x86_64": 56, "aarch64": 220, "riscv64": 220}
OPEN_TREE, MOVE_MOUNT, OPENAT2, MOUNT_SETATTR = 428, 429, 437, 442
RESOLVE_NO_SYMLINKS = 4
PIVOT_ROOT = {"x86_64": 155, "aarch64": 41, "riscv64": 41}
CAPSET = {"x86_64": 126, "aarch64": 91, "riscv64": 91}
SETHOSTNAME = {"x86_64": 170, "aarch64": 161, "riscv64": 161}
MACHINE = platform.machine()

CLONE_NEWNS = 0x00020000
CLONE_NEWCGROUP = 0x02000000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REC, MS_PRIVATE = 2, 4, 8, 1 << 14, 1 << 18
ATTR_RDONLY, ATTR_NOSUID, ATTR_NODEV, ATTR_IDMAP = 1, 2, 4, 0x100000
AT_FDCWD = -100
AT_EMPTY_PATH, AT_RECURSIVE = 0x1000, 0x8000
MNT_DETACH = 2

PR_CAPBSET_DROP = 24
PR_SET_DUMPABLE = 4
PR_SET_NO_NEW_PRIVS = 38
PR_SET_SECCOMP = 22
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_CLEAR_ALL = 4
SECCOMP_MODE_FILTER = 2
CAPABILITIES = 64  # more than any kernel has


def _check(answer: int, what: str) -> int:
    if answer < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return answer


def _path(path: str | bytes) -> ctypes.c_char_p:
    return ctypes.c_char_p(os.fsencode(path))


def has_numbers() -> bool:
    """Whether the numbers for this machine are known here."""
    return MACHINE in CLONE


def clone(flags: int) -> int:
    """Fork into new namespaces: 0 in the child, which is pid 1 of a new PID namespace.

    It is fork(2) without the C library's and Python's own after-fork work, so it is for a process
    of a single thread only, and a child that does not use threads.
    """
    return _check(_syscall(CLONE[MACHINE], flags | 17, 0, 0, 0, 0), "clone")  # 17 is SIGCHLD


def unshare(flags: int) -> None:  # pragma: no cover - in a process of its own
    """Go on in new namespaces."""
    _check(_libc.unshare(flags), "unshare")


def setns(namespace: int, kind: int) -> None:  # pragma: no cover - in a process of its own
    """Go on in a namespace of another process."""
    _check(_libc.setns(namespace, kind), "setns")


def mount(
    source: str, target: str, kind: str | None, flags: int, data: str = ""
) -> None:  # pragma: no cover - inside
    """Mount a file system, or change how one is."""
    fs = None if kind is None else _path(kind)
    options = _path(data) if data else None
    answer = _libc.mount(_path(source), _path(target), fs, ctypes.c_ulong(flags), options)
    _check(answer, f"mount {kind or source} on {target}")


def open_path(path: str) -> int:  # pragma: no cover - inside
    """A descriptor of what stands at a path that has no links in it.

    One that is put there by a program that can write is refused: following it would show that
    program what it points at.
    """
    how = struct.pack("=3Q", os.O_PATH | os.O_CLOEXEC, 0, RESOLVE_NO_SYMLINKS)
    return _check(_syscall(OPENAT2, AT_FDCWD, _path(path), how, len(how)), f"open {path}")


def open_tree(path: str) -> int:  # pragma: no cover - inside
    """A copy of the mounts at a path (as `open_path`) and below it; it is mounted nowhere yet."""
    fd = open_path(path)
    try:
        flags = 1 | os.O_CLOEXEC | AT_RECURSIVE | AT_EMPTY_PATH  # OPEN_TREE_CLONE
        return _check(_syscall(OPEN_TREE, fd, b"", flags), f"open_tree {path}")
    finally:
        os.close(fd)


def set_attributes(
    tree: int, attributes: int, *, userns: int = 0
) -> None:  # pragma: no cover - inside
    """Set what holds for a copied tree and everything mounted in it."""
    data = struct.pack("=4Q", attributes, 0, 0, userns)
    flags = AT_EMPTY_PATH | AT_RECURSIVE
    answer = _syscall(MOUNT_SETATTR, tree, b"", flags, data, len(data))
    _check(answer, f"mount_setattr {attributes:#x}")


def set_readonly(path: str) -> None:  # pragma: no cover - inside
    """Make one mount read-only, and no other in it."""
    data = struct.pack("=4Q", ATTR_RDONLY, 0, 0, 0)
    answer = _syscall(MOUNT_SETATTR, AT_FDCWD, _path(path), 0, data, len(data))
    _check(answer, f"mount_setattr read-only {path}")


def move_mount(tree: int, target: str) -> None:  # pragma: no cover - inside
    """Mount a copied tree."""
    answer = _syscall(MOVE_MOUNT, tree, b"", AT_FDCWD, _path(target), 4)
    _check(answer, f"move_mount to {target}")


def pivot_root() -> None:  # pragma: no cover - inside
    """Make the working directory the root, and let go of what was it."""
    _check(_syscall(PIVOT_ROOT[MACHINE], b".", b"."), "pivot_root")
    _check(_libc.umount2(b".", MNT_DETACH), "umount2")


def set_hostname(name: str) -> None:  # pragma: no cover - inside
    """Name the machine."""
    text = name.encode()
    _check(_syscall(SETHOSTNAME[MACHINE], text, len(text)), "sethostname")


def prctl(option: int, *arguments: int) -> int:  # pragma: no cover - inside
    """Change something of this process."""
    words = (*arguments, 0, 0, 0, 0)[:4]
    return _check(_libc.prctl(option, *map(ctypes.c_ulong, words)), f"prctl {option}")


def drop_bounding_capabilities() -> None:  # pragma: no cover - inside
    """Give up the way to any capability."""
    for number in range(CAPABILITIES):
        try:
            prctl(PR_CAPBSET_DROP, number)
        except OSError:  # the kernel has no more of them
            break


def drop_capabilities() -> None:  # pragma: no cover - inside
    """Give up every capability."""
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL)
    header = struct.pack("=Ii", 0x20080522, 0)
    _check(_syscall(CAPSET[MACHINE], header, bytes(24)), "capset")


def install_filter(program: bytes) -> None:  # pragma: no cover - inside
    """Let a BPF program decide on every system call from here on."""
    code = ctypes.create_string_buffer(program, len(program))
    fprog = struct.pack("@HP", len(program) // 8, ctypes.addressof(code))
    holder = ctypes.create_string_buffer(fprog, len(fprog))
    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.addressof(holder))
