"""The guardian: a small process of its own that sees to it that nothing outlives its end.

    host ──control──► guardian ──fork──► keeper ──posix_spawn──► leader ──► anything
      └───────────── a socket to each keeper ─┘

It forks keepers on request and waits for them. It is a subreaper: should a keeper be killed, by
its own command, say, then the orphans become children of the guardian, which ends them. A keeper
that was stopped is made to go on. Its lifeline is the control socket: EOF means that the host has
closed it or is dead; and the host's pidfd, for a child that the host has forked may have copies of
all sockets. Then it tells the keepers, waits for them, kills those that do not leave, and leaves.

It is started by `BOOT`, once for each `ProcessHost`, and stays small: the standard library only, no
thread. What it does NOT do: hold against a command that kills its keeper *and* the guardian, or
stops both again and again (they have the same uid); the environment tag finds what that leaves
behind, and who is stopped (`runner.processes.sweep`).
"""

from __future__ import annotations

import errno
import gc
import os
import select
import signal
import socket
import time
from contextlib import suppress

from runner.processes.keeper import ALONE, keep
from runner.processes.protocol import END, FAILED, FORK, FORK_INSIDE, SWEPT, Channel
from runner.processes.tree import PATIENCE, Parent, become_subreaper

# Run as `python -I -S -c BOOT PACKAGES SOCKET PIDFD RUN-ID`. Our modules are loaded by their full
# names but without the packages' own code, which would load everything: 20 ms in place of 200.
BOOT = """\
import sys, types
base = sys.argv[1]
for name in ("runner", "runner.processes"):
    package = types.ModuleType(name)
    package.__path__ = [base + "/" + name.replace(".", "/")]
    sys.modules[name] = package
from runner.processes.guardian import main
main(int(sys.argv[2]), int(sys.argv[3]))
"""
IGNORED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)


class Guardian:
    """Forks keepers, and ends what a dead one leaves."""

    def __init__(self, control: socket.socket, host: int) -> None:
        """Begin with no keepers.

        Args:
            control: to the host.
            host: its pidfd.
        """
        self._channel = Channel(control)
        self._host = host
        self._parent = Parent(resume=True)
        self._parent.watch(control)
        self._parent.watch(host)

    def serve(self) -> None:
        """Serve until the host closes the socket or is dead."""
        while True:
            readable = self._channel.pending or self._parent.wait()
            self._tidy()
            if not readable:
                continue
            request = None if self._is_alone() else self._channel.receive()
            if request is None:
                break
            if request[0] == FORK:
                self._fork()
            elif request[0] == FORK_INSIDE:
                self._fork_inside(request[1], request[2])
            elif request[0] == END:
                self._end_keeper(request[1])
        for pid, code in self._parent.known.items():
            if code is None:
                with suppress(PermissionError):
                    os.kill(pid, ALONE)
        give_up = time.monotonic() + PATIENCE
        while self._parent.known and time.monotonic() < give_up:
            self._parent.nap(100)
            self._tidy()
        self._parent.end_children()

    def _is_alone(self) -> bool:
        return bool(select.select([self._host], [], [], 0)[0])

    def _tidy(self) -> int:
        self._parent.reap()
        known = self._parent.known
        for pid in [pid for pid, code in known.items() if code is not None]:
            del known[pid]
        return self._parent.end_children(spare=True)[0] if self._parent.strays() else 0

    def _fork(self) -> None:
        for fd in self._channel.take_fds():
            sock = socket.socket(fileno=fd)
            try:
                pid = os.fork()
            except OSError as error:
                Channel(sock).report(FAILED, error.errno or errno.EAGAIN)
            else:
                if pid == 0:  # pragma: no cover - what it measures there begins after the fork
                    self._channel.sock.close()
                    keep(sock)
                self._parent.known[pid] = None
            sock.close()

    def _fork_inside(self, flags: int, mapped: int) -> None:
        from runner.processes.isolation import enter  # noqa: PLC0415 - 10 ms that few hosts need

        socks = [socket.socket(fileno=fd) for fd in self._channel.take_fds()]
        ids = os.geteuid(), os.getegid()
        try:
            if len(socks) < 2:  # the kernel drops those that we have no room for
                raise OSError(errno.EMFILE, "")
            pid, owners = enter.clone(flags, mapped)
        except OSError as error:
            with suppress(OSError, IndexError):
                socks[1].send(str(error).encode())
            if socks:
                Channel(socks[0]).report(FAILED, error.errno or errno.EAGAIN)
        else:
            if pid == 0:  # pragma: no cover - nothing can be measured inside
                self._channel.sock.close()
                keep(socks[0], *enter.enter(socks[0], socks[1], owners, ids))
            self._parent.known[pid] = None
        for each in socks:
            each.close()

    def _end_keeper(self, pid: int) -> None:
        if self._parent.known.get(pid, 0) is None:  # else the number may be somebody else's by now
            os.kill(pid, signal.SIGKILL)
            give_up = time.monotonic() + PATIENCE
            while self._parent.known[pid] is None and time.monotonic() < give_up:
                self._parent.nap(10)
                self._parent.reap()
        self._channel.report(SWEPT, self._tidy())


def main(control: int, host: int) -> None:
    """Be the guardian, with the descriptors of the control socket and of the host itself."""
    for number in IGNORED:
        signal.signal(number, signal.SIG_IGN)
    become_subreaper()
    gc.freeze()
    os.set_inheritable(host, False)
    Guardian(socket.socket(fileno=control), host).serve()
