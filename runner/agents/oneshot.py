"""What the agents with one process per turn share: the state of the turn, and how it ends.

The turn is in flight from the start, as the prompt is part of the launch: `send_turn` only says by
which id the session knows it (without it, the turn's number is its id). `TurnStarted` comes with
the first output, or with the end. Interrupting is the business of the ladder: nothing is written.

    BEGUN --send_turn--> NAMED --receive_end--> ENDED      (BEGUN --receive_end--> ENDED too)

What the output means is not known here; the classes that inherit `_read` and `_message` know it.
"""

from __future__ import annotations

import abc
import re
import signal

import attrs

from runner.agents.driver import PLAIN, TurnOptions
from runner.agents.events import Decision, ErrorClass, Event, FileAnswer, TurnEnded, TurnStarted
from runner.errors import LocalProtocolError

# Lines and bytes of standard error that go into an error's text: enough for the end of a
# traceback; all of it is in the session's log.
STDERR_LINES = 20
STDERR_BYTES = 4096

_ESCAPES = re.compile(rb"\x1b\[[0-9;]*[A-Za-z]")  # a terminal's colours, which codex logs with


@attrs.frozen(kw_only=True)
class Said:
    """What the output of a program came to: a final message, or why there is none."""

    message: str = ""
    trouble: str = ""


@attrs.define(eq=False)
class OneShot(abc.ABC):
    """The protocol state of a process that serves one turn and ends."""

    turn: str
    _named: bool = attrs.field(default=False, init=False)
    _started: bool = attrs.field(default=False, init=False)
    _interrupted: bool = attrs.field(default=False, init=False)
    _ended: bool = attrs.field(default=False, init=False)

    @property
    def ready(self) -> bool:
        """Whether the turn may still be named."""
        return not (self._named or self._ended)

    def takes(self, options: TurnOptions) -> bool:
        """Whether nothing special is wanted."""
        return options == PLAIN

    def send_turn(self, turn: str, prompt: str, options: TurnOptions = PLAIN) -> None:
        """Say by which id the turn is known; the prompt is part of the launch already."""
        if not self.ready:
            raise LocalProtocolError("this process serves one turn only, and has it already")
        if not self.takes(options):
            raise LocalProtocolError("this program knows neither access nor schema")
        self.turn = turn
        self._named = True

    def steer(self, prompt: str) -> bool:
        """Say that nothing can be added."""
        return False

    def decide(self, approval: str, decision: Decision) -> None:  # noqa: B027
        """Do nothing: it never asks."""

    def give(self, asked: str, answer: FileAnswer) -> None:  # noqa: B027
        """Do nothing: it never asks."""

    def interrupt(self) -> None:
        """Remember that the end which is to come was asked for."""
        self._interrupted = True

    def data_to_send(self) -> bytes:
        """Give nothing: the standard input is part of the launch."""
        return b""

    def receive(self, data: bytes) -> list[Event]:
        """Take a piece of the program's standard output."""
        if not data or self._ended:
            return []
        return [*self._start(), *self._read(data)]

    def receive_end(self, exit_code: int, stderr: bytes) -> list[Event]:
        """Take the end of the process, which is the end of the turn."""
        if self._ended:
            return []
        events = self._start()
        self._ended = True
        events.extend(self._read_end())
        events.append(self._turn_ended(exit_code, stderr))
        return events

    def _start(self) -> list[Event]:
        if self._started:
            return []
        self._started = True
        return [TurnStarted(turn=self.turn)]

    def _turn_ended(self, exit_code: int, stderr: bytes) -> TurnEnded:
        said = self._said()
        error, text = failure(exit_code, stderr)
        if error is not None and self._interrupted:
            error = ErrorClass.INTERRUPTED
        elif error is None and said.trouble:
            error, text = ErrorClass.PROTOCOL, said.trouble
        return TurnEnded(
            turn=self.turn,
            ok=error is None,
            message=said.message,
            stop=describe_exit(exit_code),
            error=error,
            error_text=text,
            raw={"exit_code": exit_code},
        )

    @abc.abstractmethod
    def _read(self, data: bytes) -> list[Event]:
        """Take a piece of the output."""

    @abc.abstractmethod
    def _read_end(self) -> list[Event]:
        """Take the end of the output."""

    @abc.abstractmethod
    def _said(self) -> Said:
        """What the output came to."""


def encode_prompt(prompt: str) -> bytes:
    """The prompt's bytes; names that were no UTF-8 (surrogate escapes) become what they were."""
    try:
        return prompt.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # half a character, of which no bytes are known
        return prompt.encode("utf-8", "replace")


def as_unicode(prompt: str) -> str:
    """The prompt as text that JSON can carry: what is no Unicode is replaced."""
    return encode_prompt(prompt).decode("utf-8", "replace")


def describe_exit(exit_code: int) -> str:
    """Say how a process ended: `exit 3`, or a signal's name."""
    if exit_code >= 0:
        return f"exit {exit_code}"
    try:
        return signal.Signals(-exit_code).name
    except ValueError:
        return f"signal {-exit_code}"


def failure(exit_code: int, stderr: bytes) -> tuple[ErrorClass | None, str]:
    """Classify the end of a process: None if it is a good one, and a sentence if not."""
    if exit_code == 0:
        return None, ""
    how = f"exit code {exit_code}" if exit_code > 0 else f"ended by {describe_exit(exit_code)}"
    tail = stderr_tail(stderr)
    error = ErrorClass.FAILED if exit_code > 0 else ErrorClass.CRASHED
    return error, f"{how}: {tail}" if tail else how


def stderr_tail(stderr: bytes) -> str:
    """The last lines of a standard error, as text."""
    plain = _ESCAPES.sub(b"", stderr.rstrip()[-STDERR_BYTES:])
    lines = plain.decode("utf-8", "replace").splitlines()
    return "\n".join(line.rstrip() for line in lines[-STDERR_LINES:]).strip()
