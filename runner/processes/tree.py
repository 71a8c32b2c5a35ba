"""Ending everything that a process has started, wherever it hides.

The process is a subreaper (prctl(2)): a descendant whose parent dies becomes its child, whatever
session it is in. So all is done with direct children: kill them, wait for them, look who has come
up from below, again. Nobody but we can wait for our children, so their numbers cannot pass to
strangers in between; nothing else is signalled but the groups of sessions that began below us.

It is loaded by the guardian: the standard library only. Without Linux there are no subreapers and
no list of children: then only what the caller knows by number can be ended.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import time
from contextlib import suppress

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
PF_EXITING = 4
PROC = "/proc"
DEATHS = (signal.SIGCHLD,)  # blocked but in long waits: most commands end in a short one
CHILDREN = "/proc/thread-self/children"
PATIENCE = 4.0  # for what cannot be killed: stuck in the kernel, or of another uid by set-uid


def _prctl(option: int, value: int) -> bool:
    try:
        import ctypes  # noqa: PLC0415 - the host imports this module and has no use for it

        return bool(ctypes.CDLL(None).prctl(option, value, 0, 0, 0) == 0)
    except (ImportError, OSError, AttributeError):  # not Linux, or a Python without ctypes
        return False


def become_subreaper() -> bool:
    """Have the orphans among our descendants become our children; False without Linux.

    And have the kernel make us go on when our parent dies, should somebody have stopped us: a
    stopped process does not read that it is alone now. That this signal is sent at the death of a
    *thread* (prctl(2)) does no harm: who runs takes no notice of it.
    """
    _prctl(PR_SET_PDEATHSIG, signal.SIGCONT)
    return _prctl(PR_SET_CHILD_SUBREAPER, 1)


def parse_stat(stat: bytes) -> tuple[int, int, int]:
    """Take parent, process group and session from a /proc/PID/stat; names may hold anything."""
    fields = stat[stat.rindex(b")") + 1 :].split(None, 4)
    return int(fields[1]), int(fields[2]), int(fields[3])


def read_stat(pid: int | str) -> tuple[int, int, int] | None:
    """Read parent, process group and session of a process; None if it is gone."""
    try:
        with open(f"{PROC}/{pid}/stat", "rb", buffering=0) as file:
            return parse_stat(file.read())
    except OSError:
        return None


def is_dying(pid: int) -> bool:
    """Whether a process is dead or has SIGKILL on its way, which nobody may have been told yet.

    A thread that has the signal runs no more of its program, but it may be long until it has ended:
    its pending signals (proc(5)) say it at once, its flags (PF_EXITING) from when it has begun to.
    """
    try:
        with open(f"{PROC}/{pid}/stat", "rb", buffering=0) as file:
            stat = file.read()
    except OSError:
        return True
    fields = stat[stat.rindex(b")") + 2 :].split(None, 29)
    state, flags, pending = fields[0], int(fields[6]), int(fields[28])
    return state in b"ZX" or bool(flags & PF_EXITING) or bool(pending >> (signal.SIGKILL - 1) & 1)


def own_children() -> list[int]:
    """Our direct children, dead ones that nobody has waited for included.

    The kernel's list may miss some while others come and go (proc(5)): ask again until it is empty.
    """
    try:
        with open(CHILDREN, "rb", buffering=0) as file:
            return [int(pid) for pid in file.read(1 << 20).split()]
    except OSError:  # a kernel without that list, or no /proc
        return children_by_scan()


def children_of(pid: int, thread: int | str) -> list[int]:
    """The direct children of a process that one of its threads has started.

    Raises:
        OSError: it has ended, or the kernel has no such list.
    """
    with open(f"{PROC}/{pid}/task/{thread}/children", "rb", buffering=0) as file:
        return [int(each) for each in file.read(1 << 20).split()]


def descendants() -> int:
    """How many processes are below us, dead ones that nobody has waited for included."""
    found, waiting = 0, own_children()
    while waiting:
        pid = waiting.pop()
        found += 1
        try:
            for thread in os.listdir(f"{PROC}/{pid}/task"):
                waiting += children_of(pid, thread)
        except OSError:  # it has ended, or the kernel has no such list
            continue
    return found


def children_by_scan() -> list[int]:
    """Our direct children, from the parents of all processes."""
    try:
        names = [name for name in os.listdir(PROC) if name.isdigit()]
    except OSError:
        return []
    me = os.getpid()
    return [int(name) for name in names if (stat := read_stat(name)) and stat[0] == me]


class Parent:
    """A process and its children: waits for them all, and ends them.

    `known` holds the children that are meant to be there: None while they live, then their exit
    code. Everything that waits for a process or signals one goes through here.
    """

    def __init__(self, *, resume: bool = False) -> None:
        """Begin with no children; the death of one wakes `wait` and `nap` up from now on.

        Args:
            resume: have known children that were stopped (SIGSTOP) go on.
        """
        self.known: dict[int, int | None] = {}
        self.has_children = False
        self._options = os.WNOHANG | (os.WUNTRACED if resume else 0)
        self._session = os.getsid(0)
        self._wake, self._waker = socket.socketpair()
        self._wake.setblocking(False)
        self._waker.setblocking(False)
        self._napper = select.poll()
        self._poll = select.poll()
        self._short = select.poll()
        for poll in (self._napper, self._poll):
            poll.register(self._wake, select.POLLIN)
        signal.pthread_sigmask(signal.SIG_BLOCK, DEATHS)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._waker.fileno(), warn_on_full_buffer=False)

    def watch(self, file: socket.socket | int) -> None:
        """Have `wait` and `wait_for` return as well when there is something to read."""
        self._poll.register(file, select.POLLIN)
        self._short.register(file, select.POLLIN)

    def forget(self, fd: int) -> None:
        """Watch a descriptor no longer, and close it."""
        self._poll.unregister(fd)
        self._short.unregister(fd)
        os.close(fd)

    def wait(self) -> bool:
        """Wait until a child has died or a watched file is readable; whether it is the latter."""
        ready = self._listen(self._poll, None)
        return ready > (1 if self._has_woken() else 0)

    def wait_for(self, pid: int, milliseconds: int) -> bool:
        """As `wait`, but for one child, and not longer than that.

        It is quicker: no signal and no handler in Python stand between the child's end and ours.
        """
        try:
            child = os.pidfd_open(pid)
        except (OSError, AttributeError):  # no descriptor is free, or an old kernel
            return False
        self._short.register(child, select.POLLIN)
        ready = self._short.poll(milliseconds)
        self._short.unregister(child)
        os.close(child)
        return any(fd != child for fd, _ in ready)

    def nap(self, milliseconds: int) -> None:
        """Wait until a child has died, or so long."""
        if self._listen(self._napper, milliseconds):
            self._has_woken()

    def _listen(self, poll: select.poll, milliseconds: int | None) -> int:
        """Poll, and let the deaths of children end that; how many descriptors are ready."""
        signal.pthread_sigmask(signal.SIG_UNBLOCK, DEATHS)
        try:
            return len(poll.poll(milliseconds))
        finally:
            signal.pthread_sigmask(signal.SIG_BLOCK, DEATHS)

    def _has_woken(self) -> bool:
        try:
            return bool(self._wake.recv(4096))
        except BlockingIOError:
            return False

    def reap(self) -> int:
        """Wait for all children that are dead; how many unknown ones SIGKILL has ended."""
        killed = 0
        while True:
            try:
                pid, status = os.waitpid(-1, self._options)
            except ChildProcessError:
                self.has_children = False
                return killed
            if pid == 0:
                self.has_children = True
                return killed
            if os.WIFSTOPPED(status):
                self._resume(pid)
                self.has_children = True
                return killed
            if pid in self.known:
                self.known[pid] = os.waitstatus_to_exitcode(status)
            elif os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
                killed += 1

    def _resume(self, pid: int) -> None:
        """Have a stopped child go on, and look at the others after what else there is to do.

        Else one that is stopped again and again could keep us here.
        """
        if pid in self.known:
            os.kill(pid, signal.SIGCONT)
        with suppress(BlockingIOError):  # it is full: so there is something to wake up for
            self._waker.send(b"\0")

    def strays(self) -> list[int]:
        """Our children but those that are meant to be there."""
        return [pid for pid in own_children() if self.known.get(pid, 0) is not None]

    def end_children(self, *, spare: bool = False, groups: bool = True) -> tuple[int, int]:
        """End every child, and so every descendant.

        Args:
            spare: leave the known ones and what is below them.
            groups: end their process groups with them, in one stroke each: the kernel lets no
                member fork in between. Not wanted where a group may hold one to be spared.

        Returns:
            How many unknown ones were ended, and how many are left that cannot be.
        """
        killed = self.reap()
        give_up = time.monotonic() + PATIENCE
        quiet = 0
        while self.has_children and quiet < 2:  # the list may miss some: twice is sure enough
            targets = self.strays() if spare else own_children()
            for pid in targets:
                self._end(pid, groups=groups)
            if targets and time.monotonic() > give_up:
                return killed, len(targets)
            quiet = 0 if targets or not spare else quiet + 1
            if not quiet:
                self.nap(10)
            killed += self.reap()
        return killed, 0

    def _end(self, pid: int, *, groups: bool) -> None:
        try:
            os.kill(pid, signal.SIGKILL)
            stat = read_stat(pid) if groups else None
            # A session other than ours began below us, so its groups hold none but descendants.
            if stat is not None and stat[2] != self._session:
                os.killpg(stat[1], signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            pass
