"""The plan for one program: everything that `enter` does inside, decided outside.

Inside there is a root of its own. Beneath it stand /usr (read-only), as many files of /etc as
programs need to find libraries, certificates and names, a /proc, a /dev with six devices, private
/tmp, /dev/shm and HOME in memory, and the scope at its own absolute path. Nothing else of the
machine has a name there.

Who the program is: our own uid, in a user namespace of its own. If we are root, it is the owner of
the scope; if that is root as well, an uid that nobody has, and what root owns in the scope is
shown to it, and to no one else, as its own (an idmapped mount): nothing on disk is changed, and
what it makes is root's outside. It can therefore make no file with set-uid bits there.

What is wrong here is a `Lacking`, which says what and why.
"""

from __future__ import annotations

import marshal
import math
import os
import pwd
import resource
from collections.abc import Iterable, Mapping
from contextlib import suppress

import attrs

from runner.messages.isolation import Isolation
from runner.processes.isolation import landlock, syscalls
from runner.processes.isolation.seccomp import ARCHITECTURES, make_filter

NOBODYS = 1_900_000_000  # beyond what distributions and container tools give out (systemd's UIDS)
NAMESPACES = (
    syscalls.CLONE_NEWNS
    | syscalls.CLONE_NEWPID
    | syscalls.CLONE_NEWIPC
    | syscalls.CLONE_NEWUTS
    | syscalls.CLONE_NEWCGROUP
)
PROXY_PORT = 3128
SYSTEM = ("/usr", "/nix/store", "/gnu/store", "/run/current-system/sw")
USR_LINKS = ("/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
ETC = (
    *("ld.so.cache", "ld.so.conf", "ld.so.conf.d", "alternatives", "ssl", "pki", "crypto-policies"),
    *("ca-certificates", "ca-certificates.conf", "localtime", "timezone", "nsswitch.conf"),
    *("protocols", "services", "host.conf", "gai.conf", "mime.types", "os-release", "terminfo"),
    *("bash.bashrc", "profile", "inputrc", "magic", "papersize", "debian_version", "locale.alias"),
)
DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
DEVICE_LINKS = (
    *(("fd", "/proc/self/fd"), ("stdin", "/proc/self/fd/0"), ("stdout", "/proc/self/fd/1")),
    *(("stderr", "/proc/self/fd/2"), ("ptmx", "pts/ptmx"), ("core", "/proc/kcore")),
)
OF_PROC = ("sys", "irq", "bus", "sysrq-trigger")  # what is root's there, once more
CLOSED = syscalls.ATTR_RDONLY | syscalls.ATTR_NOSUID | syscalls.ATTR_NODEV
OPEN = syscalls.ATTR_NOSUID | syscalls.ATTR_NODEV
HOSTS = "127.0.0.1 localhost sandbox\n::1 localhost ip6-localhost\n"


class Lacking(Exception):
    """Something that was asked for cannot be had here, and why."""


@attrs.frozen(kw_only=True)
class User:
    """Who the program is.

    Attributes:
        kind: "own", in a user namespace; "other", which only root can give; "" = as we are.
        mapped: who owns inside what root owns outside; 0 = nobody does.
    """

    kind: str
    uid: int
    gid: int
    mapped: int = 0


@attrs.frozen(kw_only=True)
class Plan:
    """What to ask the guardian for, and what the process reads then.

    Attributes:
        flags: for clone(2).
        mapped: as `User.mapped`.
        visible: beneath what a program must stand to be found inside; empty = anywhere.
    """

    flags: int
    mapped: int
    data: bytes
    visible: tuple[str, ...] = ()


def own_ids() -> tuple[int, int]:
    """Who starts programs: the guardian runs as we do."""
    return os.geteuid(), os.getegid()


def choose_user(directory: str) -> User:
    """Decide who a program in this directory is.

    Raises:
        Lacking: we are root, and the directory is not there.
    """
    uid, gid = own_ids()
    if uid != 0:
        return User(kind="own", uid=uid, gid=gid)
    try:
        owner = os.stat(directory)
    except OSError as error:
        raise Lacking(f"{directory} cannot be looked at: {error.strerror}") from error
    if owner.st_uid:
        return User(kind="other", uid=owner.st_uid, gid=owner.st_gid or _group_of(owner.st_uid))
    return User(kind="other", uid=NOBODYS, gid=NOBODYS, mapped=NOBODYS)


def _group_of(uid: int) -> int:
    try:
        return pwd.getpwuid(uid).pw_gid or NOBODYS
    except KeyError:
        return NOBODYS


def make_plan(
    isolation: Isolation,
    mode: str,
    *,
    scope: str,
    directory: str,
    home: str,
    cgroups: Iterable[str] = (),
    rlimits: Mapping[int, int] | None = None,
    private: str = "",
) -> Plan:
    """Decide everything.

    Args:
        isolation: what is asked for.
        mode: which mode of it.
        scope: the only directory that can be written, absolute.
        directory: where the program runs, absolute, in the scope.
        home: the HOME of the program.
        cgroups: directories of the groups that it is to be in.
        rlimits: limits of each process.
        private: a directory that is the program's own, in mode landlock.

    Raises:
        Lacking: it cannot be done.
    """
    user = choose_user(scope) if mode == "bwrap" else User(kind="", uid=0, gid=0)
    plan: dict[str, object] = {
        "user": user.kind,
        "uid": user.uid,
        "gid": user.gid,
        "cgroups": tuple(cgroups),
        "rlimits": tuple((rlimits or {}).items()),
        "hostname": "sandbox" if mode == "bwrap" else "",
        "network": False,
        "listen": 0,
        "nesting": isolation.nesting,
        "trees": (),
        "mounts": (),
        "directory": "",
        "guarded": mode != "none",
        "landlock": None,
        "seccomp": b"",
    }
    if mode == "none":
        return Plan(flags=0, mapped=0, data=marshal.dumps(plan))
    root = Root(scope, home, user)
    abi = landlock.abi()
    if mode == "landlock":
        writable = [
            scope,
            private,
            *isolation.writable,
            "/dev/null",
            "/dev/tty",
            "/dev/full",
            "/proc",
        ]
        readable = [*_system(), *isolation.readable, "/dev", *_etc(isolation)]
        plan["landlock"] = _landlock(writable, readable, abi, no_tcp=isolation.network == "none")
        plan["seccomp"] = _filter(isolation, internet=isolation.network == "full")
        return Plan(flags=0, mapped=0, data=marshal.dumps(plan))
    root.build(isolation)
    flags = NAMESPACES | (syscalls.CLONE_NEWUSER if user.kind == "own" else 0)
    if isolation.network != "full":
        flags |= syscalls.CLONE_NEWNET
        plan["network"] = True
        plan["listen"] = 0 if isolation.network == "none" else PROXY_PORT
    plan["trees"], plan["mounts"] = tuple(root.trees), tuple(root.mounts)
    plan["directory"] = directory
    if abi and not isolation.nesting:  # which would refuse mounts
        writable = [*root.writable, "/proc", "/dev"]
        plan["landlock"] = _landlock(writable, ["/"], abi, no_tcp=False)
    plan["seccomp"] = _filter(isolation, suid=not user.mapped)
    return Plan(
        flags=flags, mapped=user.mapped, data=marshal.dumps(plan), visible=tuple(root.visible)
    )


def _landlock(
    writable: Iterable[str], readable: Iterable[str], abi: int, *, no_tcp: bool
) -> dict[str, object]:
    return {
        "writable": tuple(writable),
        "readable": tuple(readable),
        "no_tcp": no_tcp,
        "version": abi,
    }


_filters: dict[tuple[bool, ...], bytes] = {}


def _filter(isolation: Isolation, *, internet: bool = True, suid: bool = True) -> bytes:
    if syscalls.MACHINE not in ARCHITECTURES:
        return b""
    key = isolation.nesting, isolation.debugging, isolation.sockets, internet, suid
    if key not in _filters:
        _filters[key] = make_filter(
            syscalls.MACHINE,
            nesting=isolation.nesting,
            debugging=isolation.debugging,
            unix=isolation.sockets,
            internet=internet,
            suid=suid,
        )
    return _filters[key]


def _system() -> list[str]:
    return [each for each in (*SYSTEM, *USR_LINKS) if os.path.exists(each)]


def _etc(isolation: Isolation) -> list[str]:
    names = [*ETC, "passwd", "group", "hosts"]
    if isolation.network == "full":
        names.append("resolv.conf")
    return [path for name in names if os.path.exists(path := f"/etc/{name}")]


def _by_place(wanted: tuple[str, object]) -> str:
    """What is inside something else comes after it, and so stands on top."""
    return os.path.realpath(wanted[0]) + "/"


class Root:
    """The root of a program's own, as it is put together; what comes later stands on top."""

    def __init__(self, scope: str, home: str, user: User) -> None:
        """Begin with nothing in it."""
        self.scope, self.home, self.user = scope, home, user
        self.trees: list[tuple[str, int, str, tuple[int, int] | None]] = []
        self.mounts: list[tuple[object, ...]] = []
        self.visible: list[str] = []
        self.writable: list[str] = []

    def build(self, isolation: Isolation) -> None:
        """Put it together.

        Raises:
            Lacking: a path that is asked for cannot be there.
        """
        if os.path.realpath(self.scope) == "/":
            raise Lacking("the whole machine cannot be a scope that programs are held in")
        self._add_system(isolation)
        self._add_devices(isolation.private)
        self._add_private(isolation.private)
        wanted = [(path, self._add_readable) for path in isolation.readable]
        wanted += [(path, self._add_writable) for path in isolation.writable]
        for path, add in sorted([*wanted, (self.scope, self._add_scope)], key=_by_place):
            add(path)
        for path in isolation.hidden:
            self._hide(os.path.realpath(path))
        self.mounts += [("readonly", "/"), ("readonly", "/dev")]

    def _add(
        self, path: str, attributes: int, kind: str, identity: tuple[int, int] | None = None
    ) -> None:
        """Show a path of the machine, at the same place, and what it is reached by."""
        real = os.path.realpath(path)
        for place in dict.fromkeys((real, os.path.normpath(path))):
            self.mounts.append(("tree", place, len(self.trees)))
            self.trees.append((real, attributes, kind, identity))
            self.visible.append(place)

    def _add_system(self, isolation: Isolation) -> None:
        for path in SYSTEM:
            if os.path.isdir(path):
                self._add(path, CLOSED, "optional")
        for path in USR_LINKS:
            if os.path.islink(path):
                self.mounts.append(("link", path, os.readlink(path)))
                self.visible.append(path)
            elif os.path.isdir(path):
                self._add(path, CLOSED, "optional")
        self._add_etc(isolation)
        if self.user.kind == "other":
            for name in OF_PROC:
                self.mounts.append(("tree", f"/proc/{name}", len(self.trees)))
                self.trees.append((f"/proc/{name}", CLOSED, "optional", None))

    def _add_etc(self, isolation: Isolation) -> None:
        for name in ETC:
            if os.path.exists(f"/etc/{name}"):
                self.mounts.append(("tree", f"/etc/{name}", len(self.trees)))
                self.trees.append((os.path.realpath(f"/etc/{name}"), CLOSED, "optional", None))
        for name, text in (("passwd", self._passwd()), ("group", self._group()), ("hosts", HOSTS)):
            self.mounts.append(("file", f"/etc/{name}", os.fsencode(text)))
        if isolation.network == "full":
            with suppress(OSError), open("/etc/resolv.conf", "rb") as file:
                self.mounts.append(("file", "/etc/resolv.conf", file.read(1 << 16)))

    def _passwd(self) -> str:
        try:
            name = pwd.getpwuid(self.user.uid).pw_name
        except KeyError:
            name = "sandbox"
        me = f"{name}:x:{self.user.uid}:{self.user.gid}::{self.home}:/bin/sh\n"
        others = "root:x:0:0::/:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n"
        return others if self.user.uid == 65534 else others + me

    def _group(self) -> str:
        others = "root:x:0:\nnogroup:x:65534:\n"
        return others if self.user.gid == 65534 else f"{others}sandbox:x:{self.user.gid}:\n"

    def _add_devices(self, size: int) -> None:
        noexec = syscalls.MS_NOEXEC
        self.mounts.append(("tmpfs", "/dev", "size=64k,mode=0755", noexec))
        for name in DEVICES:
            if os.path.exists(f"/dev/{name}"):
                self.mounts.append(("tree", f"/dev/{name}", len(self.trees)))
                attributes = syscalls.ATTR_NOSUID
                self.trees.append((f"/dev/{name}", attributes, "optional", None))
        self.mounts += [("link", f"/dev/{name}", target) for name, target in DEVICE_LINKS]
        self.mounts.append(("devpts", "/dev/pts", "newinstance,ptmxmode=0666,mode=620", noexec))
        self._add_memory("/dev/shm", size, "1777")  # noqa: S108 - a place inside

    def _add_memory(self, path: str, size: int, mode: str) -> None:
        options = f"size={size},mode={mode},uid={self.user.uid},gid={self.user.gid}"
        self.mounts.append(("tmpfs", path, options, 0))
        self.writable.append(path)

    def _add_private(self, size: int) -> None:
        self._add_memory("/tmp", size, "1777")  # noqa: S108 - a place inside
        self.mounts.append(("link", "/var/tmp", "/tmp"))  # noqa: S108
        home = os.path.normpath(self.home)
        taken = (*self.visible, "/tmp", "/dev", "/proc", "/etc")  # noqa: S108
        if os.path.isabs(home) and home != "/" and not is_beneath(home, (*taken, self.scope)):
            self._add_memory(home, size, "0700")

    def _add_scope(self, path: str) -> None:
        try:
            status = os.stat(path)
        except OSError as error:
            raise Lacking(f"{path} cannot be looked at: {error.strerror}") from error
        kind = "mapped" if self.user.mapped else "wanted"
        self._add(path, OPEN, kind, (status.st_dev, status.st_ino))
        self.writable.append(path)

    def _add_writable(self, path: str) -> None:
        self._add(path, OPEN, "mapped" if self.user.mapped else "wanted")
        self.writable.append(path)

    def _add_readable(self, path: str) -> None:
        self._add(path, CLOSED, "lenient" if self.user.mapped else "wanted")

    def _hide(self, path: str) -> None:
        if os.path.isdir(path):
            self.mounts.append(("tmpfs", path, "size=4k,mode=0555", syscalls.MS_NOEXEC))
            self.mounts.append(("readonly", path))
        elif os.path.exists(path):
            self.mounts.append(("tree", path, len(self.trees)))
            self.trees.append(("/dev/null", syscalls.ATTR_NOSUID, "wanted", None))


def is_beneath(path: str, roots: Iterable[str]) -> bool:
    """Whether a path is one of the roots, or below one, by its names."""
    return any(path == root or path.startswith(root.rstrip("/") + "/") for root in roots)


def rlimits_of(isolation: Isolation, *, processes: bool, memory: bool) -> dict[int, int]:
    """The limits that each process has for itself.

    Args:
        isolation: what is asked for.
        processes: whether to limit their number so.
        memory: whether to limit memory so: a net beneath one that looks on, so it is wider.
    """
    limits = isolation.limits
    found: dict[int, int] = {resource.RLIMIT_CORE: 0}
    if limits.cpu is not None:
        found[resource.RLIMIT_CPU] = math.ceil(limits.cpu)
    if limits.file_size is not None:
        found[resource.RLIMIT_FSIZE] = limits.file_size
    if limits.open_files is not None:
        found[resource.RLIMIT_NOFILE] = limits.open_files
    if processes and limits.processes is not None:
        found[resource.RLIMIT_NPROC] = limits.processes
    if memory and limits.memory is not None:
        found[resource.RLIMIT_DATA] = 2 * limits.memory
    return found
