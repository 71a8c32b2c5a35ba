"""What other tasks hold a program by while `ProcessHost.run` carries it out.

    maker ──► host.run(..., reins=reins) ──► pump ──► reins.feed(stream, bytes), reins.pid
    others ──► send_signal, kill, write ──► keeper, standard input

It is taken up when the program is sent to its keeper and let go of when that is over; before and
after, signals go nowhere and what is written is refused.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Protocol, TypeAlias

import trio

from runner.processes import protocol
from runner.processes.link import KeeperLink, LinkLost

PENDING = 1 << 20  # bytes of input that wait here for a program that does not read


Feed: TypeAlias = Callable[[int, memoryview], None]


class InputClosed(Exception):
    """The program does not read its standard input any more, or there is none."""


class Input(Protocol):
    """The way to a program's standard input; `Pump` is one."""

    @property
    def pending(self) -> int:
        """How many bytes wait."""

    def write(self, data: bytes) -> bool:
        """Take more; whether there is somebody who may read it."""

    def close_input(self) -> None:
        """Let the program read the end of its input when it has read what waits."""


class Reins:
    """A program that somebody else waits for.

    Attributes:
        feed: gets every byte of its output as it comes: 1 for stdout or 2 for stderr, and a view
            that is good until it returns. It must not raise.
        writes: whether its standard input stays open, for `write`.
        pid: of its leader, once it has started.
        started: set when it has started, and at its end.
    """

    def __init__(self, feed: Feed, *, writes: bool = False) -> None:
        """Make them for one program."""
        self.feed = feed
        self.writes = writes
        self.pid: int | None = None
        self.started = trio.Event()
        self._link: KeeperLink | None = None
        self._input: Input | None = None
        self._drained = trio.Event()

    def take_up(self, link: KeeperLink, way_in: Input) -> None:
        """The program has been sent to its keeper."""
        self._link, self._input = link, way_in

    def has_started(self, pid: int) -> None:
        """It runs."""
        self.pid = pid
        self.started.set()

    def has_drained(self) -> None:
        """Some of what waited has been read, or nobody reads any more."""
        self._drained.set()
        self._drained = trio.Event()

    def let_go(self) -> None:
        """It is over."""
        self._link = self._input = None
        self.started.set()
        self.has_drained()

    def send_signal(self, signal: int) -> bool:
        """Send a signal to the leader's process group; whether it still ran."""
        return self._request(protocol.SIGNAL, signal)

    def kill(self) -> bool:
        """Begin to end the whole tree by SIGKILL; whether it still ran."""
        return self._request(protocol.KILL)

    def _request(self, kind: int, number: int = 0) -> bool:
        if self._link is None or self._link.command.over:
            return False
        with suppress(LinkLost):
            self._link.request(kind, number)
        return True

    async def write(self, data: bytes) -> None:
        """Write to the program's standard input; waits while much is waiting already.

        Raises:
            InputClosed: nobody reads it.

        Cancellation: what was given is written all the same.
        """
        if self._input is None or not self.writes or not self._input.write(data):
            raise InputClosed
        while self._input is not None and self._input.pending > PENDING:
            await self._drained.wait()

    def close_input(self) -> None:
        """Let the program read the end of its input."""
        self.writes = False
        if self._input is not None:
            self._input.close_input()
