"""What the agents whose process lives over many turns share: its state, its lines, a turn's start.

    STARTING --(OPENING)--> IDLE --begin--> IN TURN --end--> IDLE
    any --receive_end--> ENDED

A program says JSON messages, a line each. `LiveConversation` cuts its output into them, keeps what
has to be written to it, and knows whether there is a turn in flight; a class that inherits it
knows what the messages mean (`_translate`) and which one ends a turn. However that is: a turn that
the process does not survive ends in one way (`LiveTurn.cut`).

Nothing here raises for what the program says, and nothing here does I/O.
"""

from __future__ import annotations

import abc
import enum
from collections.abc import Iterable, Mapping
from typing import ClassVar, Generic, TypeVar

import attrs
import msgspec

from runner.agents.driver import PLAIN, TurnOptions
from runner.agents.events import (
    Decision,
    ErrorClass,
    Event,
    FileAnswer,
    Raw,
    Retry,
    Text,
    TurnEnded,
    Usage,
)
from runner.agents.lines import LineSplitter, decode, is_partial
from runner.agents.oneshot import describe_exit, stderr_tail
from runner.errors import LocalProtocolError


class State(enum.Enum):
    """Where the conversation with the process stands."""

    STARTING = enum.auto()
    OPENING = enum.auto()
    IDLE = enum.auto()
    IN_TURN = enum.auto()
    ENDED = enum.auto()


@attrs.define(eq=False, kw_only=True)
class LiveTurn:
    """What is known of the turn in flight.

    Attributes:
        id: the session's id of it.
        begun: the program has taken it up.
        interrupted: we asked for its end.
        last_text: what the agent said last: the message of a turn that has no other.
        retry: the last time that the program asked its provider again.
        usage: of the answers so far.
    """

    id: str
    begun: bool = False
    interrupted: bool = False
    last_text: str = ""
    retry: Retry | None = None
    usage: Usage = attrs.field(factory=Usage)

    def hear(self, events: Iterable[Event]) -> None:
        """Note what the agent said."""
        for event in events:
            if isinstance(event, Text):
                self.last_text = event.text

    def cut(self, exit_code: int, stderr: bytes) -> TurnEnded:
        """The end by the end of the process."""
        how, tail = describe_exit(exit_code), stderr_tail(stderr)
        return TurnEnded(
            turn=self.id,
            ok=False,
            message=self.last_text,
            stop=how,
            error=ErrorClass.INTERRUPTED if self.interrupted else ErrorClass.CRASHED,
            error_text=f"it ended ({how}) in the turn" + (f": {tail}" if tail else ""),
            usage=self.usage,
        )


TurnT = TypeVar("TurnT", bound=LiveTurn)


@attrs.define(eq=False)
class LiveConversation(abc.ABC, Generic[TurnT]):
    """The protocol state of one process.

    Attributes:
        unknown: the words with which the program ends that does not know the conversation.
        lost: its sentence, when it has said that of the one that it was to resume.
    """

    unknown: ClassVar[bytes] = b""
    state: State = attrs.field(default=State.STARTING, init=False)
    version: str = attrs.field(default="", init=False)
    lost: str = attrs.field(default="", init=False)
    _turn: TurnT | None = attrs.field(default=None, init=False)
    _lines: LineSplitter = attrs.field(factory=LineSplitter, init=False)
    _out: list[bytes] = attrs.field(factory=list, init=False)

    # ------------------------------------------------------------ towards the program

    @property
    def ready(self) -> bool:
        """Whether a turn can be sent."""
        return self.state is State.IDLE

    def takes(self, options: TurnOptions) -> bool:
        """Whether this process can carry out a turn so: here, if nothing special is wanted."""
        return options == PLAIN

    def steer(self, prompt: str) -> bool:
        """Queue a prompt for the turn in flight: here, it cannot be done."""
        return False

    def decide(self, approval: str, decision: Decision) -> None:
        """Queue the answer to an `ApprovalAsked`: here, there is none."""

    def give(self, asked: str, answer: FileAnswer) -> None:
        """Queue the answer to a `ReadAsked` or `WriteAsked`: here, there is none."""

    def data_to_send(self) -> bytes:
        """Take what is to be written to the program's standard input (whole lines), once."""
        data = b"".join(self._out)
        self._out.clear()
        return data

    def _send(self, message: Mapping[str, object]) -> None:
        self._out.append(msgspec.json.encode(message) + b"\n")

    # ------------------------------------------------------------ from the program

    def receive(self, data: bytes) -> list[Event]:
        """Take what the program wrote to its standard output."""
        return [event for line in self._lines.feed(data) for event in self._line(line)]

    def receive_end(self, exit_code: int, stderr: bytes) -> list[Event]:
        """Take the end of the process: a turn in flight ends with it."""
        if self.state is State.ENDED:
            return []
        if self.unknown and self.state is State.STARTING and self.unknown in stderr:
            self.lost = stderr_tail(stderr)
        # A message that lacks only its newline counts; half a message is dropped.
        events = self._line(self._lines.take_tail())
        if self._turn is not None:
            events.extend(self._cut(self._turn, exit_code, stderr))
        self._turn = None
        self.state = State.ENDED
        return events

    def _line(self, line: bytes) -> list[Event]:
        if not line.strip():
            return []
        message = decode(line)
        if message is None:
            kind, events = "partial" if is_partial(line) else "garbage", None
        else:
            kind, events = self._translate(message)
        return [Raw(kind=kind, data=line)] if events is None else events

    @abc.abstractmethod
    def _translate(self, message: Mapping[str, object]) -> tuple[str, list[Event] | None]:
        """Give a message's kind and its events, or None if it has no translation."""

    # ------------------------------------------------------------ a turn

    def _check(self, options: TurnOptions) -> None:
        if self.state is not State.IDLE:
            raise LocalProtocolError(f"a turn cannot be sent: {self.state.name.lower()}")
        if not self.takes(options):
            raise LocalProtocolError("this process does not take a turn with these options")

    def _begin(self, turn: TurnT) -> None:
        self._turn = turn
        self.state = State.IN_TURN

    def _end(self) -> None:
        self._turn = None
        self.state = State.IDLE

    def _cut(self, turn: TurnT, exit_code: int, stderr: bytes) -> list[Event]:
        """End the turn that the process has not survived."""
        return [turn.cut(exit_code, stderr)]
