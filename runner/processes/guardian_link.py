"""The guardian as our child: started, asked for keepers, waited for, ended."""

from __future__ import annotations

import errno
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack, suppress

import trio

from runner.processes import guardian, protocol
from runner.processes.isolation.plan import Plan
from runner.processes.link import KeeperLink, Link, LinkLost
from runner.processes.sweep import KEEPER_TAG

HERE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
# What an interpreter may need to find its own shared library; nothing else is passed on.
PASSED = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
FORGET = 2.0


class GuardianLink(Link):
    """Our end of the socket to the guardian, and its process."""

    def __init__(self, run_id: str, enter: Sequence[str] = ()) -> None:
        """Start it; that takes about a millisecond, and 20 more until it serves.

        It is started from the calling thread by vfork: trio's own way would fork in a thread.

        Args:
            run_id: what the commands are tagged with.
            enter: what starts it, if it is to run elsewhere.

        Raises:
            OSError: it cannot be started.
        """
        with ExitStack() as ours, ExitStack() as theirs:
            near, far = socket.socketpair()
            ours.callback(near.close)
            theirs.callback(far.close)
            us = os.pidfd_open(os.getpid())
            theirs.callback(os.close, us)
            fds = far.fileno(), us
            passed = {name: os.environ[name] for name in PASSED if name in os.environ}
            self._process = subprocess.Popen(
                [*enter, *self.command(), HERE, *map(str, fds), run_id],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=fds,
                start_new_session=True,
                cwd="/",
                env={**passed, KEEPER_TAG: run_id},
            )
            ours.pop_all()
        super().__init__(near)
        self._lock = trio.Lock()

    @staticmethod
    def command() -> list[str]:
        """How the guardian is run, before its own arguments."""
        return [sys.executable, "-I", "-S", "-c", guardian.BOOT]

    @property
    def pid(self) -> int:
        """The guardian's pid."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._process.poll() is None

    def request(self, kind: int, a: int = 0, b: int = 0, *, fds: tuple[int, ...] = ()) -> None:
        """Send a request, as any link does, and see to it that the guardian is not stopped."""
        super().request(kind, a, b, fds=fds)
        self.go_on()

    def go_on(self) -> None:
        """Have it go on if a command has stopped it (SIGSTOP)."""
        with suppress(OSError):
            self._process.send_signal(signal.SIGCONT)

    def fork_keeper(self) -> KeeperLink:
        """Ask for a new keeper; its hello says that it is there.

        Raises:
            LinkLost: the guardian is gone.
            OSError: there are no descriptors for it.
        """
        near, far = socket.socketpair()
        try:
            with far:
                self.request(protocol.FORK, fds=(far.fileno(),))
        except BaseException:
            near.close()
            raise
        return KeeperLink(near, self.go_on)

    def fork_keeper_inside(self, plan: Plan) -> KeeperLink:
        """Ask for a new keeper that goes inside; what it says of that comes `aside`.

        Raises:
            LinkLost: the guardian is gone.
            OSError: there are no descriptors for it.
        """
        near, far = socket.socketpair()
        with ExitStack() as ours, far:
            ours.callback(near.close)
            aside, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            ours.callback(aside.close)
            with other:
                aside.setblocking(False)
                try:
                    for data in plan.data:
                        aside.send(data)
                except BlockingIOError:
                    raise OSError(errno.E2BIG, "") from None
                fds = far.fileno(), other.fileno()
                self.request(protocol.FORK_INSIDE, plan.flags, plan.mapped, fds=fds)
            ours.pop_all()
        link = KeeperLink(near, self.go_on)
        link.aside = aside
        return link

    async def end_keeper(self, pid: int) -> int:
        """Kill a keeper, and end whatever dead keepers left; how many that were.

        Raises:
            LinkLost: the guardian is gone.
        """
        async with self._lock:
            self.request(protocol.END, pid)
            while not (reports := self.receive()):
                if self.lost:
                    raise LinkLost
                await self.wait_readable()
            return reports[-1][1]

    async def wait(self, patience: float) -> bool:
        """Wait until it has ended, which it does when all is gone; whether it has."""
        with trio.move_on_after(patience):
            while self.alive:  # noqa: ASYNC110 - once in its life, and needs no descriptor
                await trio.sleep(0.002)
        return not self.alive

    def kill(self) -> None:
        """End it by force, and wait for it."""
        self._process.kill()
        self._process.wait()

    def forget(self) -> None:
        """Wait a little for its end, without trio, after all sockets have been closed."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(FORGET)
