"""The way in: a process that has just been forked becomes what its plan says.

The guardian clones it, mostly into namespaces of its own, where it is pid 1. It reads its plan from
a socket, `aside`, carries it out, says there that it is ready or what failed, and then is a keeper
like any other: it carries out one command, ends whatever that leaves, and leaves when its lifeline
ends, which ends the namespaces and all that is in them.

It is loaded by the guardian: the standard library only, and all of it before the first clone, for
inside there may be no Python to load from. Order matters: what needs rights comes first, then they
are given up for good. From then on it is no more powerful than the program, which cannot look into
it: it is not dumpable (prctl(2)), so its memory, descriptors and environment are closed to its own
uid. A step that fails ends it; nothing has run then.

What runs inside cannot be measured: there is nowhere to write the figures to.
"""

from __future__ import annotations

import errno
import fcntl
import marshal
import os
import resource
import socket
import stat
import struct
from contextlib import suppress

from runner.processes.isolation import landlock, syscalls
from runner.processes.protocol import FAILED, Channel
from runner.processes.tree import PROC

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any, TypeAlias

    Plan: TypeAlias = dict[str, Any]

LARGEST_PLAN = 1 << 20
READY = b"ready"
NOT_MAPPED = (
    "root's files in {} cannot be shown to the ordinary user whom programs run as: an overlay, "
    'say, cannot be mapped (idmapped mounts); chown them, or make the workspace with way="copy"'
)
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1
STAGE = "/tmp"  # noqa: S108 - only a place to mount on, in namespaces of our own
_made = {"/"}  # in the new root; a process makes one
_idmaps: dict[tuple[int, int], int] = {}


def clone(flags: int, mapped: int) -> tuple[int, int]:
    """Fork, into new namespaces if there are flags: the child's pid, and its map of owners.

    Args:
        flags: CLONE_NEW* flags.
        mapped: who owns what root owns, inside; 0 = root's stays root's.
    """
    owners = _make_idmap(mapped) if mapped else -1
    return (syscalls.clone(flags) if flags else os.fork()), owners


def _make_idmap(uid: int) -> int:
    """A user namespace in which what root owns on disk is owned by another uid, to mount with."""
    key = (uid, uid)
    if key not in _idmaps:
        near, far = socket.socketpair()
        pid = syscalls.clone(syscalls.CLONE_NEWUSER)
        if pid == 0:  # pragma: no cover - it only waits
            near.close()
            far.recv(1)
            os._exit(0)
        try:
            for kind in ("uid", "gid"):
                _put(f"{PROC}/{pid}/{kind}_map", f"0 {uid} 1")
            _idmaps[key] = os.open(f"{PROC}/{pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
        finally:
            far.close()
            near.close()
            os.waitpid(pid, 0)
    return _idmaps[key]


def _put(path: str, text: str) -> None:
    with open(path, "w", encoding="ascii") as file:
        file.write(text)


def enter(
    sock: socket.socket, aside: socket.socket, owners: int, ids: tuple[int, int]
) -> tuple[int, str]:  # pragma: no cover - inside
    """Carry out the plan that is read from `aside`; does not return if that fails.

    Args:
        sock: the keeper's.
        aside: where the plan is, and where to say how it went.
        owners: from `clone`.
        ids: the guardian's uid and gid.

    Returns:
        Our pid, as the guardian sees it, and the directory for programs, "" if it comes with them.
    """
    ready = False
    try:
        pid = int(os.readlink(f"{PROC}/self"))
        data = aside.recv(LARGEST_PLAN)  # none if the host is dead already
        plan: Plan = marshal.loads(data)  # noqa: S302 - our own host has written it
        if "program" in plan:
            from runner.processes.isolation import by_program  # noqa: PLC0415 - still outside

            by_program.become(plan, sock, aside)
        extra = carry_out(plan, owners, ids)
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack("i", each)) for each in extra]
        _close_all_but({sock.fileno(), aside.fileno(), *extra})
        _limit(plan)
        aside.sendmsg([READY], rights)
        _close_all_but({sock.fileno()})
        ready = True
        return pid, plan["directory"]
    except Exception as error:  # noqa: BLE001 - whatever it is, no program may run now
        with suppress(OSError):
            aside.send(str(error).encode(errors="replace")[:4096])
        Channel(sock).report(FAILED, getattr(error, "errno", None) or errno.EINVAL)
        os._exit(1)
    finally:
        if not ready:  # whatever else may come
            os._exit(1)


def carry_out(
    plan: Plan, owners: int, ids: tuple[int, int]
) -> list[int]:  # pragma: no cover - inside
    """Carry a plan out; descriptors that the host is to have."""
    join(plan["cgroups"])
    os.umask(0o022)
    if plan["user"] == "own":
        map_user(*ids)
    os.setsid()
    if plan["hostname"]:
        syscalls.set_hostname(plan["hostname"])
    if plan["network"]:
        _bring_loopback_up()
    extra = [_listen(plan["listen"])] if plan["listen"] else []
    if plan["mounts"]:
        _make_root(plan, owners)
    if plan["user"] == "own" and not plan["nesting"]:
        _put(f"{PROC}/sys/user/max_user_namespaces", "0")
    _give_up_rights(plan)
    return extra


def map_user(uid: int, gid: int) -> None:  # pragma: no cover - inside
    """Be the same user in a new user namespace, and nobody else."""
    _put(f"{PROC}/self/setgroups", "deny")
    _put(f"{PROC}/self/uid_map", f"{uid} {uid} 1")
    _put(f"{PROC}/self/gid_map", f"{gid} {gid} 1")


def join(groups: Iterable[str]) -> None:  # pragma: no cover - inside
    """Join control groups."""
    for group in groups:
        _put(f"{group}/cgroup.procs", "0")


def _bring_loopback_up() -> None:  # pragma: no cover - inside
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        request = struct.pack("16sH14x", b"lo", 0)
        (flags,) = struct.unpack_from("H", fcntl.ioctl(any_socket, SIOCGIFFLAGS, request), 16)
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", flags | IFF_UP))


def _listen(port: int) -> int:  # pragma: no cover - inside
    """Make the socket that our proxy listens on, outside."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", port))
    listener.listen(128)
    return listener.detach()


def _make_root(plan: Plan, owners: int) -> None:  # pragma: no cover - inside
    """Make a new root of what the plan names, and let go of everything else."""
    syscalls.mount("none", "/", None, syscalls.MS_REC | syscalls.MS_PRIVATE)
    trees = [_open_tree(each, owners) for each in plan["trees"]]
    options = syscalls.MS_NOSUID | syscalls.MS_NODEV
    syscalls.mount("root", STAGE, "tmpfs", options, "size=4m,mode=0755")
    os.chdir(STAGE)
    os.mkdir("proc")
    syscalls.mount(
        "proc", "proc", "proc", options | syscalls.MS_NOEXEC
    )  # while the old one is seen
    syscalls.pivot_root()
    os.chdir("/")
    for kind, path, *rest in plan["mounts"]:
        if kind == "tree":
            tree = trees[rest[0]]
            if tree >= 0:
                _make_place(path, is_directory=stat.S_ISDIR(os.fstat(tree).st_mode))
                syscalls.move_mount(tree, path)
        elif kind == "link":
            _make_directory(os.path.dirname(path))
            os.symlink(rest[0], path)
        elif kind == "file":
            _make_directory(os.path.dirname(path))
            with open(path, "wb") as file:
                file.write(rest[0])
        elif kind == "readonly":
            syscalls.set_readonly(path)
        else:  # a file system of its own
            _make_directory(path)
            syscalls.mount(kind, path, kind, options | rest[1], rest[0])
    for tree in trees:
        if tree >= 0:
            os.close(tree)


def _open_tree(
    wanted: tuple[str, int, str, tuple[int, int] | None], owners: int
) -> int:  # pragma: no cover - inside
    """Copy the mounts of a source; -1 if it is not there, or not ours to see, and need not be."""
    source, attributes, kind, identity = wanted
    tree = open_wanted(syscalls.open_tree, source, kind == "optional", identity)
    if tree < 0:
        return tree
    if kind in {"mapped", "lenient"}:
        try:
            syscalls.set_attributes(tree, syscalls.ATTR_IDMAP, userns=owners)
        except OSError as error:  # not every file system can do it
            if kind == "mapped":
                raise OSError(error.errno, NOT_MAPPED.format(source)) from error
    syscalls.set_attributes(tree, attributes)
    return tree


def open_wanted(
    way: Callable[[str], int], source: str, is_optional: bool, identity: tuple[int, int] | None
) -> int:
    """Open what is to be shown; -1 if it is not there, or not ours to see, and need not be."""
    try:
        found = way(source)
    except OSError as error:
        if is_optional and error.errno in {errno.ENOENT, errno.EACCES, errno.ENOTDIR}:
            return -1
        raise
    status = os.fstat(found)
    if identity and (status.st_dev, status.st_ino) != identity:
        raise OSError(errno.ESTALE, f"{source} is not the directory any more that it was")
    return found


def _make_directory(path: str) -> None:  # pragma: no cover - inside
    if path not in _made:
        _made.add(path)
        with suppress(FileExistsError):
            os.makedirs(path, mode=0o755)


def _make_place(path: str, *, is_directory: bool) -> None:  # pragma: no cover - inside
    if is_directory:
        _make_directory(path)
    elif not os.path.lexists(path):
        _make_directory(os.path.dirname(path))
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_EXCL, 0o444))


def _give_up_rights(plan: Plan) -> None:  # pragma: no cover - inside
    if plan["user"] == "other":
        syscalls.drop_bounding_capabilities()
        os.setgroups([])
        os.setresgid(*(plan["gid"],) * 3)
        os.setresuid(*(plan["uid"],) * 3)
    if plan["user"] == "own":
        syscalls.drop_bounding_capabilities()
    if plan["user"]:
        syscalls.drop_capabilities()
    if plan["guarded"]:
        syscalls.prctl(syscalls.PR_SET_NO_NEW_PRIVS, 1)
        syscalls.prctl(syscalls.PR_SET_DUMPABLE, 0)
    if plan["landlock"]:
        landlock.restrict(**plan["landlock"])
    if plan["seccomp"]:
        syscalls.install_filter(plan["seccomp"])


def _limit(plan: Plan) -> None:  # pragma: no cover - inside
    """Limit what each process may use up; last, for the way here needs more than most."""
    for number, limit in plan["rlimits"]:
        hard = resource.getrlimit(number)[1]
        most = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
        # At the soft limit of processor time comes a signal that says so, a second later the end.
        resource.setrlimit(number, (most, most + (number == resource.RLIMIT_CPU and most != hard)))


def _close_all_but(spared: set[int]) -> None:  # pragma: no cover - inside
    last = 2
    for fd in sorted(spared):
        os.closerange(last + 1, fd)
        last = fd
    os.closerange(last + 1, 1 << 16)
