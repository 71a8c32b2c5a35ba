"""Everything that one exec waits for, in one task and with one descriptor.

The keeper's reports, two pipes to read and one to write are registered with one epoll, whose own
descriptor is all that trio waits for: no task for each pipe, no nursery, one wake-up for whatever
is ready. A command of a few milliseconds is over before the pipes are looked at: they hold 64 KiB,
and the keeper says when it takes longer. `Pump.run` goes on until the keeper reports the end; what
the leader wrote is in the pipes by then, so one reading without waiting takes it all, whoever else
still holds them.
"""

from __future__ import annotations

import math
import os
import select
import signal
import time
from contextlib import suppress

import trio

from runner.messages import Completed, Outcome
from runner.processes import protocol
from runner.processes.command import End
from runner.processes.isolation.inside import Inside
from runner.processes.launch import Launch, set_pipe_size
from runner.processes.link import KeeperLink, LinkLost
from runner.processes.output import Capture
from runner.processes.reins import Reins

PIECE = 1 << 18
BURST = 4  # pieces read of one pipe before the others have their turn: the whole of a large pipe
PATIENCE = 10.0  # for a keeper that has been told to kill, and itself gives up after 4 s
SMALL_PIPE = 1 << 16  # what a pipe holds unless it is asked to hold more
_scratch = bytearray(PIECE)  # never used across a checkpoint, so one is enough for all
_view = memoryview(_scratch)


class Stream:
    """One pipe that is read, and what is kept of it."""

    __slots__ = ("capture", "fd", "feed", "large", "number")

    def __init__(self, fd: int, number: int, max_output: int, reins: Reins | None) -> None:
        """Read from `fd`, which does not block and stays its owner's to close."""
        self.fd = fd
        self.number = number
        self.feed = None if reins is None else reins.feed
        self.capture = Capture(max_output)
        self.large = False

    def read(self) -> bool:
        """Read what is there, to a bound; whether the pipe is at its end."""
        for _ in range(BURST):
            try:
                size = os.readv(self.fd, [_scratch])
            except BlockingIOError:
                return False
            if size == 0:
                return True
            self.capture.feed(_view[:size])
            if self.feed is not None:
                self.feed(self.number, _view[:size])
            if size >= SMALL_PIPE and not self.large:  # a busy one: fewer and larger pieces
                self.large = True
                set_pipe_size(self.fd)
            if size < PIECE:
                return False
        return False


class Pump:
    """Carries one command's bytes until it has ended.

    Attributes:
        told: when the command was first told to end, on the clock of `End.when`.
    """

    def __init__(
        self,
        link: KeeperLink,
        launch: Launch,
        *,
        data: bytes,
        max_output: int,
        reins: Reins | None = None,
    ) -> None:
        """Begin with a command that has been sent to its keeper."""
        self._link = link
        self._launch = launch
        self._data = memoryview(data)
        self._reins = reins
        self.out = Stream(launch.stdout, 1, max_output, reins)
        self.err = Stream(launch.stderr, 2, max_output, reins)
        self._watcher = link.watcher()
        self._open = {self.out.fd: self.out, self.err.fd: self.err}
        self._watching = False
        self.told = math.inf
        self._heard = trio.current_time()
        self._writable = False  # whether stdin is registered
        if launch.stdin >= 0:
            self._write()  # most inputs fit into the pipe, and are done with
        if reins is not None:
            reins.take_up(link, self)

    def _watch(self) -> None:
        """Begin to look at the pipes: not before the keeper says that it takes longer."""
        self._watching = True
        for fd in self._open:
            self._watcher.register(fd, select.EPOLLIN)
        if self._launch.stdin >= 0:
            set_pipe_size(self._launch.stdin)
            self._watch_input()
        if self._reins is not None and self._link.command.leader is not None:
            self._reins.has_started(self._link.command.leader)

    def _watch_input(self) -> None:
        if self._data and self._watching and not self._writable:
            self._watcher.register(self._launch.stdin, select.EPOLLOUT)
            self._writable = True

    async def run(self, limit: float | None, silence: float | None, grace: float) -> Outcome:
        """Go on until the command is over, or is ended because it takes too long.

        It is lost as well if the keeper does not do what it is told.
        """
        command = self._link.command
        outcome = Outcome.EXITED
        quiet = math.inf if silence is None else silence
        end = math.inf if limit is None else self._heard + limit
        orders = iter(((protocol.SIGNAL, signal.SIGTERM, grace), (protocol.KILL, 0, PATIENCE)))
        while not command.over:
            await self._wait(min(end, self._heard + quiet))
            late = end <= (now := trio.current_time())
            if command.over or not (late or self._heard + quiet <= now):
                continue
            if outcome is Outcome.EXITED:
                outcome = Outcome.TIMEOUT if late else Outcome.SILENCE
                self.told = time.monotonic()
            order = next(orders, None)
            if order is None:
                self._link.lose()
                break
            kind, number, patience = order
            with suppress(LinkLost):
                self._link.request(kind, number)
            end, quiet = now + patience, math.inf
        return outcome

    async def _wait(self, until: float) -> None:
        watched = self._watcher.fileno() if self._watching else self._link.fileno()
        if until == math.inf:
            await trio.lowlevel.wait_readable(watched)
        else:  # what is always readable is never cancelled: the caller looks at the clock as well
            with trio.CancelScope(deadline=until):
                await trio.lowlevel.wait_readable(watched)
        if not self._watching:
            self._link.take()
            if self._link.command.leader is not None:
                self._watch()
            return
        # one synchronous block: the scratch buffer is shared
        for fd, _ in self._watcher.poll(0):
            if fd == self._link.fileno():
                self._link.take()
            elif fd == self._launch.stdin:
                self._write()
            elif (stream := self._open.get(fd)) is not None:
                self._heard = trio.current_time()
                if stream.read():
                    self._forget(fd)

    def _write(self) -> None:
        try:
            self._data = self._data[os.write(self._launch.stdin, self._data) :]
        except BlockingIOError:
            return
        except BrokenPipeError:  # it does not want to read it all, which is its own affair
            self._data = memoryview(b"")
            if self._reins is not None:
                self._reins.writes = False
        if self._reins is not None:
            self._reins.has_drained()
        if not self._data:
            self._forget(self._launch.stdin)
            self._writable = False
            if self._reins is None or not self._reins.writes:
                self._launch.close_stdin()

    @property
    def pending(self) -> int:
        """How many bytes of input wait."""
        return len(self._data)

    def write(self, data: bytes) -> bool:
        """Take more input; whether there is somebody who may read it."""
        if self._launch.stdin < 0:
            return False
        self._data = memoryview(b"".join((self._data, data)))
        self._write()
        if self._launch.stdin >= 0:
            self._watch_input()
        return self._launch.stdin >= 0

    def close_input(self) -> None:
        """Let the program read the end of its input when it has read what waits."""
        if self._launch.stdin >= 0 and not self._data:
            self._forget(self._launch.stdin)
            self._launch.close_stdin()

    def _forget(self, fd: int) -> None:
        # By hand: closing is not enough while a child that somebody else forks still has a copy.
        self._open.pop(fd, None)
        if self._watching:
            with suppress(FileNotFoundError):
                self._watcher.unregister(fd)

    def drain(self) -> None:
        """Take what is in the pipes, without waiting, and leave them to their owner."""
        for fd, stream in tuple(self._open.items()):
            stream.read()
            self._forget(fd)
        if self._launch.stdin >= 0:
            self._forget(self._launch.stdin)

    def completed(self, outcome: Outcome, inside: Inside | None) -> Completed:
        """What is said of the command, which is over, or lost."""
        self.drain()
        command = self._link.command
        end = command.end or End.killed()
        if end.when < self.told:  # it was only the rest of its tree that took too long
            outcome = Outcome.EXITED
        duration = max(0.0, end.when - command.began)
        exceeded = None if inside is None else inside.exceeded(end.exit_code, outcome, duration)
        return Completed(
            exit_code=end.exit_code,
            outcome=outcome,
            out=self.out.capture.output(),
            err=self.err.capture.output(),
            duration=duration,
            leftovers=end.leftovers,
            isolation=None if inside is None else inside.in_force,
            limit_exceeded=exceeded,
        )
