"""Programs that run beside their callers: started, followed line by line, guided, ended.

    start ──► Background ──► output(), wait(), interrupt(), kill(), write()
                  └── async for line in it: any number of followers, each from the first line kept
    stream ──► the same, ended when its block is left

A handle keeps only positions; the worker keeps the last bytes of the program's output. So a handle
can be made anew from an id (`process`), by whoever else has the scope.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Generic, Literal, Self, TypeVar, overload

import attrs
import trio

from runner.errors import NotFound, RunnerError
from runner.messages import (
    Kill,
    ListProcesses,
    Poll,
    Position,
    ProcessInfo,
    Signal,
    Start,
    Wait,
    WriteInput,
)
from runner.operations.asking import Asking
from runner.operations.done import Done, in_text
from runner.operations.framing import Framer, Line, TextTaker
from runner.operations.programs import command_of, input_of, require_encoding, variables_of

TextT = TypeVar("TextT", str, bytes)
SIGINT = 2
ALL = 1 << 62
LEAVING = 20.0  # seconds for a program to be ended whose block is left; it takes milliseconds


@attrs.frozen(kw_only=True)
class Fresh(Generic[TextT]):
    """What has come of a program's output since it was last looked at.

    Attributes:
        missed: bytes of both outputs that came before it and are not kept.
        is_running: whether more can come.
    """

    stdout: TextT
    stderr: TextT
    missed: int
    is_running: bool


class Follower:
    """Lines of a program as they come; an async iterator. Tasks that share one take turns.

    Who is slow slows nobody: what is not kept any more is missed, and counted.
    """

    def __init__(self, where: Asking, id: str) -> None:  # noqa: A002 - the messages' own word
        """Begin with the first byte."""
        self._where, self._id = where, id
        self._position = Position()
        self._framer = Framer()
        self._lines: deque[Line] = deque()
        self._is_over = False
        self._turn = trio.Lock()

    @property
    def missed(self) -> int:
        """Bytes of both outputs that it has missed so far."""
        return self._framer.missed

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Line:
        """The next line; waits for it."""
        while not self._lines:
            if self._is_over:
                raise StopAsyncIteration
            async with self._turn:
                if self._lines or self._is_over:
                    continue
                news = await self._where.ask(Poll(id=self._id, position=self._position, wait=None))
                self._position, self._is_over = news.position, news.is_last
                self._lines.extend(self._framer.take(news))
        return self._lines.popleft()


@attrs.define(eq=False, repr=False)
class Background:
    """A program that runs beside its caller; it ends with its scope at the latest.

    Attributes:
        id: names it, in its scope.
        pid: of its leader.
        command: as it was given.
    """

    id: str
    pid: int
    command: str | tuple[str, ...]
    _where: Asking
    _position: Position = attrs.field(factory=Position)
    _taker: TextTaker = attrs.field(factory=TextTaker)
    _turn: trio.Lock = attrs.field(factory=trio.Lock)

    def __repr__(self) -> str:
        return f"<Background {self.command!r}, pid {self.pid}, in {self._where.name!r}>"

    def __aiter__(self) -> Follower:
        """Its lines as they come, from the first that is kept; see `follow`."""
        return self.follow()

    def follow(self) -> Follower:
        """One more follower, which begins with the first line that is kept and has its own pace."""
        return Follower(self._where, self.id)

    @overload
    async def output(self, *, encoding: Literal["utf-8"] = "utf-8") -> Fresh[str]: ...
    @overload
    async def output(self, *, encoding: None) -> Fresh[bytes]: ...
    async def output(
        self, *, encoding: Literal["utf-8"] | None = "utf-8"
    ) -> Fresh[str] | Fresh[bytes]:
        """What has come of its output since the last call on this handle; at most `max_output`.

        Of tasks that look at the same time, each gets what the others have not had.

        Args:
            encoding: None gives bytes; in text, undecodable bytes become surrogate escapes.
        """
        require_encoding("output", encoding, self._where.name)
        async with self._turn:
            news = await self._where.ask(Poll(id=self.id, position=self._position, limit=ALL))
            self._position = news.position
        missed, is_running = news.missed.total, not news.is_last
        out = self._taker.take(news, "stdout", torn=encoding is None)
        err = self._taker.take(news, "stderr", torn=encoding is None)
        if encoding is None:
            return Fresh(stdout=out, stderr=err, missed=missed, is_running=is_running)
        return Fresh(
            stdout=out.decode("utf-8", "surrogateescape"),
            stderr=err.decode("utf-8", "surrogateescape"),
            missed=missed,
            is_running=is_running,
        )

    async def wait(self, timeout: float | None = None) -> Done[str] | None:
        """Wait for its end; None if that does not come within so many seconds. It goes on then.

        What is kept of its output is the last `max_output` bytes.
        """
        completed = await self._where.ask(Wait(id=self.id, timeout=timeout))
        return None if completed is None else in_text(completed)

    async def done(self) -> Done[str]:
        """Wait for its end."""
        done = await self.wait()
        assert done is not None, "there was no time limit"
        return done

    async def interrupt(self) -> bool:
        """Send SIGINT to its process group, as Ctrl-C does; whether it still ran."""
        return await self.signal(SIGINT)

    async def signal(self, number: int) -> bool:
        """Send a signal to its process group; whether it still ran."""
        return await self._where.ask(Signal(id=self.id, signal=number))

    async def kill(self) -> bool:
        """End it with all that it started; returns when that is gone. Whether it still ran."""
        return await self._where.ask(Kill(id=self.id))

    async def write(self, data: str | bytes) -> None:
        """Write to its standard input, if it was started with `writes`; waits while that is full.

        Raises:
            ExecFailed: it does not read it any more.
        """
        data = input_of("write_input", data, self._where.name)
        await self._where.ask(WriteInput(id=self.id, data=data))

    async def close_input(self) -> None:
        """Let it read the end of its standard input."""
        await self._where.ask(WriteInput(id=self.id, close=True))


class Beside(Asking):
    """The operations on programs that run beside their callers."""

    __slots__ = ()

    async def start(
        self,
        command: str | Sequence[str],
        *,
        cwd: str = ".",
        env: Mapping[str, str] | None = None,
        input: str | bytes = b"",  # noqa: A002 - as subprocess names it
        writes: bool = False,
        timeout: float | None = None,
        silence: float | None = None,
        max_output: int = 1 << 20,
        log: str | None = None,
    ) -> Background:
        """Start a program and go on; it ends with the scope, with all that it started.

        It is started in its turn, after every effect that was asked for before, and keeps nobody
        waiting from then on. While it runs, its scope's worker is not reaped.

        Args:
            command: a line for `sh -c`, or a program with its arguments.
            cwd: where it runs, relative to the scope.
            env: variables on top of the scope's; nothing else but an allow-list is inherited.
            input: its standard input.
            writes: whether that stays open afterwards, for `Background.write`.
            timeout: seconds until it is ended (TERM, then KILL); None = no limit.
            silence: seconds without any output until it is ended; None = no limit.
            max_output: bytes kept of both its outputs together, the last ones, for `output`,
                followers and `wait`; what somebody did not take in time is counted for them.
            log: a file in the scope that gets all of its output, emptied before.

        Raises:
            ExecFailed: it could not be started.

        Cancellation: it is gone before this leaves.
        """
        message = Start(
            command=command_of("start", command, self.name),
            cwd=cwd,
            env=variables_of("start", env, self.name),
            input=input_of("start", input, self.name),
            writes=writes,
            timeout=timeout,
            silence=silence,
            max_output=max_output,
            log="" if log is None else log,
        )
        started = await self.ask(message)
        return Background(started.id, started.pid, message.command, self)

    def stream(
        self,
        command: str | Sequence[str],
        *,
        cwd: str = ".",
        env: Mapping[str, str] | None = None,
        input: str | bytes = b"",  # noqa: A002 - as subprocess names it
        writes: bool = False,
        timeout: float | None = None,
        silence: float | None = None,
        max_output: int = 8 << 20,
        log: str | None = None,
    ) -> AbstractAsyncContextManager[Background]:
        """Run a program and follow its output line by line; with `async with`.

            async with scope.stream("make") as program:
                async for line in program:
                    print(line.stream, line.text)
                done = await program.done()

        Any number of tasks may follow it (`program.follow()`), each at its own pace: one that falls
        back by more than `max_output` bytes misses some, and is told how many.

        The arguments are those of `start`; `max_output` is what is kept for those who are slow.
        Leaving the block, however it is left, ends the program with all that it started.
        """
        return _streamed(
            self,
            command,
            cwd=cwd,
            env=env,
            input=input,
            writes=writes,
            timeout=timeout,
            silence=silence,
            max_output=max_output,
            log=log,
        )

    async def processes(self) -> tuple[ProcessInfo, ...]:
        """The programs that were started in this scope and run, and the last that have ended."""
        return await self.ask(ListProcesses())

    async def process(self, id: str) -> Background:  # noqa: A002 - the word of the records
        """A handle on a program that was started in this scope, with a position of its own.

        Raises:
            NotFound: there is none of that id.
        """
        for info in await self.processes():
            if info.id == id:
                return Background(info.id, info.pid, info.command, self)
        raise NotFound("process", id, "there is no such program", scope=self.name)


@asynccontextmanager
async def _streamed(
    where: Beside,
    command: str | Sequence[str],
    *,
    cwd: str,
    env: Mapping[str, str] | None,
    input: str | bytes,  # noqa: A002 - as subprocess names it
    writes: bool,
    timeout: float | None,
    silence: float | None,
    max_output: int,
    log: str | None,
) -> AsyncIterator[Background]:
    program = await where.start(
        command,
        cwd=cwd,
        env=env,
        input=input,
        writes=writes,
        timeout=timeout,
        silence=silence,
        max_output=max_output,
        log=log,
    )
    try:
        yield program
    finally:
        # Said also if we are cancelled: nothing goes on in the name of who has left.
        # If its worker or the runner has gone, it has gone before.
        with trio.move_on_after(LEAVING, shield=True), suppress(RunnerError):
            await where.ask(Kill(id=program.id, forget=True))
