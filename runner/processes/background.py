"""Programs that run beside their callers: each in a task of its own, known by its id.

    start ──► system task: ProcessHost.run(reins=...) ──► Spool ──► any number of followers

The task belongs to nobody's nursery, so that a backend can be used by itself; it ends with the
program, by `end`, or with trio. A program that has ended is remembered with what is kept of its
output, until it is forgotten or `REMEMBERED` others have ended after it.

What this does not do: order (an actor's), paths (a backend's), lines (a handle's).
"""

from __future__ import annotations

import logging
import secrets
import signal as signals
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import attrs
import trio

from runner.errors import ExecFailed, NotFound, OperationError
from runner.messages import (
    Completed,
    News,
    Outcome,
    Output,
    Position,
    ProcessInfo,
    Start,
    Started,
)
from runner.processes.reins import Feed, InputClosed, Reins
from runner.processes.spool import Spool

REMEMBERED = 32
PATIENCE = 10.0  # for a keeper that has been told to kill, and itself gives up after 4 s
Run = Callable[[Reins], Awaitable[Completed]]
log = logging.getLogger(__name__)


class Background:
    """One program.

    Attributes:
        id: names it.
        started: when.
    """

    def __init__(self, message: Start, run: Run, also: Feed | None) -> None:
        """Nothing runs yet.

        Args:
            message: what is asked for.
            run: carries the program out, to its end.
            also: gets all output as well.
        """
        self._also = also
        self.id = secrets.token_hex(6)
        self.started = datetime.now(UTC)
        self._message, self._run = message, run
        self._spool = Spool(message.max_output)
        self._reins = Reins(self._feed, writes=message.writes)
        self._news = trio.Event()
        self._over = trio.Event()
        self._cancel_scope = trio.CancelScope()
        self._completed: Completed | None = None
        self._failure: OperationError | None = None

    async def start(self) -> Started:
        """Start it; returns when it runs.

        Raises:
            ExecFailed: it could not be started.

        Cancellation: then it is gone before this leaves.
        """
        trio.lowlevel.spawn_system_task(self._live, name=f"program {self.id}")
        try:
            await self._reins.started.wait()
        except trio.Cancelled:
            with trio.CancelScope(shield=True):  # bounded by the host
                await self.end()
            raise
        if self._failure is None and self._reins.pid is None:
            await self._over.wait()  # its task is about to say what is wrong
        if self._failure is not None:
            raise self._failure
        return Started(id=self.id, pid=self._reins.pid or 0)

    async def _live(self) -> None:
        """Carry it out. A system task that raises ends trio itself."""
        try:
            with self._cancel_scope:
                self._completed = await self._run(self._reins)
        except OperationError as error:
            self._failure = error
        except Exception as error:
            log.exception("a program cannot be looked after")
            self._failure = ExecFailed("start", None, f"runner is at fault: {error!r}")
        finally:
            self._over.set()
            self._reins.let_go()
            self._news.set()

    def _feed(self, number: int, data: memoryview) -> None:
        self._spool.feed(number, data)
        if self._also is not None:
            self._also(number, data)
        self._news.set()

    @property
    def is_over(self) -> bool:
        """Whether it has ended, with all that it started."""
        return self._over.is_set()

    def info(self) -> ProcessInfo:
        """What is said of it in a list."""
        completed = self.completed()
        return ProcessInfo(
            id=self.id,
            pid=self._reins.pid or 0,
            command=self._message.command,
            started=self.started,
            exit_code=None if completed is None else completed.exit_code,
        )

    def completed(self) -> Completed | None:
        """How it ended, with the last of its output; None while it runs."""
        if not self.is_over:
            return None
        out, err = (self._spool.kept(number) for number in (1, 2))
        seen = self._spool.position
        found = self._completed or Completed(
            exit_code=-signals.SIGKILL,
            outcome=Outcome.EXITED,
            out=Output(head=b""),
            err=Output(head=b""),
            duration=0.0,
        )
        return _with_output(found, _tail(out, seen.out), _tail(err, seen.err))

    async def poll(self, position: Position, limit: int, wait: float | None) -> News:
        """What has come since a position; waits for it, if that is asked for."""
        with trio.CancelScope() as cancel_scope:
            if wait is not None:
                cancel_scope.deadline = trio.current_time() + wait
            while self._spool.position.total <= position.total and not self.is_over:
                if self._news.is_set():
                    self._news = trio.Event()
                await self._news.wait()
        return self._spool.since(position, limit, is_last=self.is_over)

    async def wait(self, timeout: float | None) -> Completed | None:
        """Wait for its end; None if that does not come in time."""
        with trio.CancelScope() as cancel_scope:
            if timeout is not None:
                cancel_scope.deadline = trio.current_time() + timeout
            await self._over.wait()
        return self.completed()

    def send_signal(self, signal: int) -> bool:
        """Send a signal to its process group; whether it still ran."""
        return self._reins.send_signal(signal)

    async def kill(self) -> bool:
        """End it with all that it started; whether it still ran."""
        ran = self._reins.kill()
        with trio.move_on_after(PATIENCE):
            await self._over.wait()
            return ran
        await self.end()
        return ran

    async def write(self, data: bytes, *, close: bool) -> None:
        """Write to its standard input, and maybe close that.

        Raises:
            ExecFailed: nobody reads it.
        """
        try:
            if data:
                await self._reins.write(data)
        except InputClosed:
            command = self._message.command
            raise ExecFailed(
                "write_input",
                command if isinstance(command, str) else " ".join(command),
                "it does not read its standard input any more",
                hint="start it with writes=True, and look whether it still runs",
            ) from None
        if close:
            self._reins.close_input()

    async def end(self) -> None:
        """End it however it is; returns when it is gone."""
        self._cancel_scope.cancel(reason="the program is not wanted any more")
        await self._over.wait()


def _tail(kept: bytes, seen: int) -> Output:
    if len(kept) == seen:
        return Output(head=kept)
    return Output(head=b"", tail=kept, omitted=seen - len(kept))


def _with_output(found: Completed, out: Output, err: Output) -> Completed:
    return attrs.evolve(found, out=out, err=err)


class Backgrounds:
    """The programs of one scope."""

    def __init__(self) -> None:
        """Begin with none."""
        self._all: dict[str, Background] = {}

    async def start(self, message: Start, run: Run, also: Feed | None = None) -> Started:
        """Start one more; `Background` says what the arguments are.

        Raises:
            ExecFailed: it could not be started.
        """
        self._tidy()
        made = Background(message, run, also)
        self._all[made.id] = made
        try:
            return await made.start()
        except BaseException:
            self._all.pop(made.id, None)
            raise

    def get(self, op: str, id: str) -> Background:  # noqa: A002 - the messages' own word
        """The program of an id.

        Raises:
            NotFound: there is none.
        """
        found = self._all.get(id)
        if found is None:
            hint = "it ended with its scope, or so long ago that it is forgotten"
            raise NotFound(op, id, "there is no such program", hint=hint)
        return found

    def forget(self, id: str) -> None:  # noqa: A002 - likewise
        """Remember a program no longer."""
        self._all.pop(id, None)

    def infos(self) -> tuple[ProcessInfo, ...]:
        """All of them, oldest first."""
        self._tidy()
        return tuple(each.info() for each in self._all.values())

    def is_any_running(self) -> bool:
        """Whether one of them has not ended."""
        return any(not each.is_over for each in self._all.values())

    def _tidy(self) -> None:
        ended = [each for each in self._all.values() if each.is_over]
        for each in ended[: max(0, len(ended) - REMEMBERED)]:
            self.forget(each.id)

    async def aclose(self) -> None:
        """End them all; returns when they are gone."""
        every = tuple(self._all.values())
        self._all.clear()
        async with trio.open_nursery() as nursery:
            for each in every:
                nursery.start_soon(each.end)
