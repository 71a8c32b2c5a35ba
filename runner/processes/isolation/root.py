"""The root of a program's own: what of the machine has a name inside, and where.

Beneath it stand /usr (read-only), as many files of /etc as programs need to find libraries,
certificates and names, a /proc, a /dev with six devices, private /tmp, /dev/shm and HOME in memory,
and the scope at its own absolute path. It is put together here as two lists, trees of the machine
and mounts of them, which `enter` carries out.
"""

from __future__ import annotations

import os
import pwd
import stat
from collections.abc import Iterable
from contextlib import suppress

from runner.messages.isolation import Isolation
from runner.processes.isolation import syscalls
from runner.processes.isolation.users import Lacking, User

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
SMALL = 4096
HOSTS = "127.0.0.1 localhost sandbox\n::1 localhost ip6-localhost\n"


def _by_place(wanted: tuple[str, object]) -> str:
    """What is inside something else comes after it, and so stands on top."""
    return os.path.realpath(wanted[0]) + "/"


def _small(path: str) -> bytes | None:
    """What is in a small file: to copy it costs less than to mount it. None if it is none."""
    try:
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode) or status.st_size > SMALL or not status.st_mode & 0o004:
            return None
        with open(path, "rb") as file:
            return file.read(SMALL)
    except OSError:
        return None


class Root:
    """The root of a program's own, as it is put together; what comes later stands on top.

    Attributes:
        trees: of the machine: source, attributes, kind, and which directory it is to be.
        mounts: where they and file systems of its own stand.
        private_end: how many of those come before what is shown of the machine by request.
        visible: beneath what a program must stand to be found inside.
        writable: what can be written.
    """

    def __init__(self, scope: str, home: str, user: User, outside: str = "") -> None:
        """Begin with nothing in it.

        Args:
            scope: the directory that can be written.
            home: of the program.
            user: who it is.
            outside: what leads us to the scope and what is in it, put before its path.
        """
        self.scope, self.home, self.user = scope, home, user
        self._outside = outside
        self.trees: list[tuple[str, int, str, tuple[int, int] | None]] = []
        self.mounts: list[tuple[object, ...]] = []
        self.private_end = 0
        self.visible: list[str] = []
        self.writable: list[str] = []

    def build(self, isolation: Isolation, certificates: Iterable[str] = ()) -> None:
        """Put it together.

        Args:
            isolation: what is asked for.
            certificates: files, or directories, that are shown if they are there.

        Raises:
            Lacking: a path that is asked for cannot be there.
        """
        if os.path.realpath(self.scope) == "/":
            raise Lacking("the whole machine cannot be a scope that programs are held in")
        self._add_system(isolation)
        self._add_devices(isolation.private)
        self._add_private(isolation.private)
        self.private_end = len(self.mounts)
        wanted = [(path, self._add_readable) for path in isolation.readable]
        wanted += [(path, self._add_writable) for path in isolation.writable]
        shown = (*self.visible, *(f"/etc/{name}" for name in ETC))
        wanted += [
            (path, self._add_trusted) for path in certificates if not is_beneath(path, shown)
        ]
        for path, add in sorted([*wanted, (self.scope, self._add_scope)], key=_by_place):
            add(path)
        hidden: list[str] = []
        for path in sorted(map(os.path.realpath, isolation.hidden), key=lambda each: each + "/"):
            if not is_beneath(path, hidden):  # it is hidden already
                hidden.append(path)
                self._hide(path)
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
            path = f"/etc/{name}"
            if (content := _small(path)) is not None:
                self.mounts.append(("file", path, content))
            elif os.path.exists(path):
                self.mounts.append(("tree", path, len(self.trees)))
                self.trees.append((os.path.realpath(path), CLOSED, "optional", None))
        names = b""  # of other machines: with a network of its own they lead nowhere
        if isolation.network == "full":
            with suppress(OSError), open("/etc/hosts", "rb") as file:
                names = file.read(1 << 18)
        for name, text in (("passwd", self._passwd()), ("group", self._group()), ("hosts", HOSTS)):
            content = os.fsencode(text) + (names if name == "hosts" else b"")
            self.mounts.append(("file", f"/etc/{name}", content))
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
            status = os.stat(self._outside + path)
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

    def _add_trusted(self, path: str) -> None:
        self._add(path, CLOSED, "optional")

    def _hide(self, path: str) -> None:
        seen = self._outside + path
        if os.path.isdir(seen):
            self.mounts.append(("tmpfs", path, "size=4k,mode=0555", syscalls.MS_NOEXEC))
            self.mounts.append(("readonly", path))
        elif os.path.exists(seen):
            self.mounts.append(("tree", path, len(self.trees)))
            self.trees.append(("/dev/null", syscalls.ATTR_NOSUID, "wanted", None))


def is_beneath(path: str, roots: Iterable[str]) -> bool:
    """Whether a path is one of the roots, or below one, by its names."""
    return any(path == root or path.startswith(root.rstrip("/") + "/") for root in roots)
