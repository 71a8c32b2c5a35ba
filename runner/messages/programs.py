"""The operations on programs, and what is answered about them. Values only: no I/O, no trio."""

from __future__ import annotations

import enum
from typing import Literal, TypeAlias

import attrs

from runner.messages.isolation import InForce, Limit
from runner.messages.message import Count, Message

Leftover: TypeAlias = Literal["end", "keep"]


class Outcome(enum.StrEnum):
    """How an exec came to its end."""

    EXITED = "exited"
    TIMEOUT = "timeout"
    SILENCE = "silence"


@attrs.frozen(kw_only=True)
class Output:
    """What is kept of a stream: its head and its tail, and the exact count of what lies between.

    Attributes:
        head: the first bytes.
        tail: the last bytes; empty unless something was omitted.
        omitted: how many bytes between head and tail were dropped.
    """

    head: bytes
    tail: bytes = b""
    omitted: int = 0

    @property
    def size(self) -> int:
        """How many bytes the stream had in all."""
        return len(self.head) + self.omitted + len(self.tail)

    def data(self) -> bytes:
        """What is kept, with a line that says how much was left out where it was."""
        if not self.omitted:
            return self.head + self.tail
        return self.head + b"\n[... %d bytes left out ...]\n" % self.omitted + self.tail


@attrs.frozen(kw_only=True)
class Completed:
    """A program has ended.

    Attributes:
        exit_code: 0 to 255, or minus the number of the signal that ended it.
        outcome: whether it ended by itself or was ended by us, and why.
        duration: seconds from the start to the leader's end.
        leftovers: processes that it left behind: ended with it, or kept if that was asked for.
        kept: names those that were kept, for `Kill`; "" = none were.
        unlogged: bytes of its output that could not be written to its log.
        isolation: what held it inside its scope; None = nothing was asked for.
        limit_exceeded: the limit that it was ended for, or that one of its processes was.
    """

    exit_code: int
    outcome: Outcome
    out: Output
    err: Output
    duration: float
    leftovers: int = 0
    kept: str = ""
    unlogged: int = 0
    isolation: InForce | None = None
    limit_exceeded: Limit | None = None


@attrs.frozen(kw_only=True)
class Exec(Message[Completed]):
    """Run a program in the scope and wait for its end.

    Attributes:
        command: a line for `sh -c`, or a program with its arguments.
        cwd: where it runs, relative to the scope.
        env: variables on top of the scope's.
        input: bytes for its standard input; None = an empty one.
        timeout: seconds until it is ended; None = no limit.
        silence: seconds without any output until it is ended; None = no limit.
        max_output: bytes kept of each stream, half of them head and half tail.
        leftover: what becomes of processes that it leaves behind when it ends by itself: "end"
            with it, or "keep" until their scope ends.
        log: a file in the scope that gets all of its output; "" = none.
        terminal: whether it gets the terminal of this process, as `runner workspace exec` gives it:
            of its output nothing is kept then, and it has no other input.
    """

    command: str | tuple[str, ...]
    cwd: str = "."
    env: tuple[tuple[str, str], ...] = ()
    input: bytes | None = None
    timeout: float | None = None
    silence: float | None = None
    max_output: Count = 1 << 20
    leftover: Leftover = "end"
    log: str = ""
    terminal: bool = False
