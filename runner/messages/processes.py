"""The operations on programs that run beside their callers: started, followed, guided, ended.

Whoever follows a program keeps its own position, which is how much of both outputs it has taken;
the worker keeps the last bytes of both together, in the order in which they came. So there may be
any number of followers, none of them slows anybody, and each is told exactly what it has missed.

Values only: no I/O, no trio.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal, TypeAlias

import attrs

from runner.messages.message import Count, Message
from runner.messages.programs import Completed

StreamName: TypeAlias = Literal["stdout", "stderr"]


@attrs.frozen(kw_only=True)
class Started:
    """A program runs.

    Attributes:
        id: names it from here on, in its scope.
        pid: of its leader, as the machine sees it unless isolation says otherwise.
    """

    id: str
    pid: int


@attrs.frozen(kw_only=True)
class Position:
    """How many bytes of each output lie behind."""

    out: Count = 0
    err: Count = 0

    @property
    def total(self) -> int:
        """Of both."""
        return self.out + self.err


@attrs.frozen(kw_only=True)
class Piece:
    """Bytes of one output, in the order in which they came."""

    stream: StreamName
    data: bytes


@attrs.frozen(kw_only=True)
class News:
    """What has come of a program's output since a position.

    Attributes:
        pieces: what is kept of it, oldest first.
        position: after them; the next question begins there.
        missed: bytes of each output that came after the asker's position, before the pieces, and
            are not kept any more.
        is_last: whether nothing more can come.
    """

    pieces: tuple[Piece, ...]
    position: Position
    missed: Position = Position()
    is_last: bool = False


@attrs.frozen(kw_only=True)
class ProcessInfo:
    """A program that was started, at one moment.

    Attributes:
        command: as it was given.
        started: when, aware, UTC.
        exit_code: None while it runs.
    """

    id: str
    pid: int
    command: str | tuple[str, ...]
    started: datetime
    exit_code: int | None = None

    @property
    def is_running(self) -> bool:
        """Whether it has not ended."""
        return self.exit_code is None


@attrs.frozen(kw_only=True)
class Start(Message[Started]):
    """Start a program that runs beside what comes next; it ends with its scope at the latest.

    Attributes:
        command: a line for `sh -c`, or a program with its arguments.
        cwd: where it runs, relative to the scope.
        env: variables on top of the scope's.
        input: bytes for its standard input.
        writes: whether that stays open, for `WriteInput`.
        timeout: seconds until it is ended; None = no limit.
        silence: seconds without any output until it is ended; None = no limit.
        max_output: bytes kept of both its outputs together: the last ones.
        log: a file in the scope that gets all of it; "" = none.
    """

    command: str | tuple[str, ...]
    cwd: str = "."
    env: tuple[tuple[str, str], ...] = ()
    input: bytes = b""
    writes: bool = False
    timeout: float | None = None
    silence: float | None = None
    max_output: Count = 1 << 20
    log: str = ""


@attrs.frozen(kw_only=True)
class Poll(Message[News]):
    """What has come of a program's output since a position.

    Attributes:
        limit: bytes to give at most.
        wait: seconds to wait for some if there is none; None = until there is, or can be no more.
    """

    id: str
    position: Position = Position()
    limit: Count = 1 << 18
    wait: float | None = 0.0


@attrs.frozen(kw_only=True)
class Wait(Message[Completed | None]):
    """Wait for a program's end; None if that does not come within `timeout` seconds."""

    id: str
    timeout: float | None = None


@attrs.frozen(kw_only=True)
class Signal(Message[bool]):
    """Send a signal to a program's process group; whether it still ran."""

    id: str
    signal: int


@attrs.frozen(kw_only=True)
class Kill(Message[bool]):
    """End a program with all that it started, by SIGKILL; whether it still ran.

    Attributes:
        forget: whether nobody will ask for it again.
    """

    id: str
    forget: bool = False


@attrs.frozen(kw_only=True)
class WriteInput(Message[None]):
    """Write to a program's standard input, and maybe close it."""

    id: str
    data: bytes = b""
    close: bool = False


@attrs.frozen(kw_only=True)
class ListProcesses(Message[tuple[ProcessInfo, ...]]):
    """The programs that were started here and run, and the last that have ended; oldest first."""


Guiding: TypeAlias = Poll | Wait | Signal | Kill | WriteInput | ListProcesses
