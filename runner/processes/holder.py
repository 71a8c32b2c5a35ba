"""A holder: a process that has a file system mounted in namespaces of its own, and waits.

    ours ──lifeline──► holder: user and mount namespace, one mount ◄──/proc/PID/root── file work
                          ▲ setns
                       `enter`: becomes a program that sees that mount

Who may not mount in the namespace that all see may do it in one of their own. There they are the
same user as outside and no other, so programs that enter have no more rights than before, and none
by set-uid bits.

It ends with its lifeline, its standard input; or with its host, whose pidfd it has, for a child
that the host has forked may have copies of the lifeline. The mount ends with the last process in
the namespaces.

It is run by `BOOT`, as the guardian is: the standard library only.
"""

from __future__ import annotations

import os
import select
import signal

from runner.processes.isolation import syscalls

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

# Run as `python -I -S -B -c BOOT PACKAGES hold|enter …`; modules are loaded as by the guardian.
BOOT = """\
import sys, types
for name in ("runner", "runner.processes"):
    package = types.ModuleType(name)
    package.__path__ = [sys.argv[1] + "/" + name.replace(".", "/")]
    sys.modules[name] = package
from runner.processes import holder
getattr(holder, sys.argv[2])(*sys.argv[3:])
"""
READY = b"ready"
NAMESPACES = (("user", syscalls.CLONE_NEWUSER), ("mnt", syscalls.CLONE_NEWNS))
IGNORED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
MS_SLAVE = 1 << 19


def hold(
    host: str, kind: str, source: str, target: str, options: str
) -> NoReturn:  # pragma: no cover - in a process of its own
    """Mount something, say how that went, and wait.

    Args:
        host: its pidfd.
        kind: of file system.
        source: what the mount is called.
        target: where it is mounted.
        options: of the file system.
    """
    from runner.processes.isolation.enter import map_user  # noqa: PLC0415 - `enter` needs it not

    for number in IGNORED:
        signal.signal(number, signal.SIG_IGN)
    os.set_inheritable(int(host), False)
    ids = os.geteuid(), os.getegid()
    try:
        syscalls.unshare(syscalls.CLONE_NEWUSER | syscalls.CLONE_NEWNS)
        map_user(*ids)
        # What is mounted and unmounted outside from now on is so inside as well, not vice versa.
        syscalls.mount("none", "/", None, syscalls.MS_REC | MS_SLAVE)
        syscalls.mount(source, target, kind, syscalls.MS_NOSUID | syscalls.MS_NODEV, options)
        syscalls.drop_bounding_capabilities()
        syscalls.drop_capabilities()
    except OSError as error:
        os.write(1, f"{error.errno} {error.strerror}".encode(errors="replace"))
        os._exit(1)
    os.write(1, READY)
    os.close(1)
    wait = select.poll()
    wait.register(0, select.POLLIN)
    wait.register(int(host), select.POLLIN)
    wait.poll()
    os._exit(0)


def enter(pid: str, *words: str) -> NoReturn:  # pragma: no cover - it becomes another program
    """Become a program in the namespaces of a holder.

    Where we are we stay: our working directory may lie in the mount, by way of /proc/PID/root.
    """
    _become(int(pid), words)


def _become(pid: int, words: tuple[str, ...]) -> NoReturn:  # pragma: no cover - likewise
    here = os.open(".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    flags = os.O_RDONLY | os.O_CLOEXEC
    opened = [(os.open(f"/proc/{pid}/ns/{name}", flags), kind) for name, kind in NAMESPACES]
    for namespace, kind in opened:
        syscalls.setns(namespace, kind)
    os.fchdir(here)
    syscalls.drop_bounding_capabilities()
    syscalls.drop_capabilities()
    os.execvp(words[0], words)  # noqa: S606 - as it is meant
