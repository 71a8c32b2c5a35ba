r"""An agent without a model and without an install, for tests: it does what its script says.

    ScriptedAgent()                             the directives in each prompt decide
    ScriptedAgent(turns=("!say one", "!exit"))  the first turns are these, whatever the prompt says
    ScriptedAgent(turns=((Say(text="one"),), (Exit(code=1),)))      the same, as records

It can be used wherever an agent record can: `runner.session(scope, agent=ScriptedAgent(...))`. It
speaks the directives of the model server (`runner.testing.model.directives`) and some more, that
only a program can do: `!exit`, `!spawn`, `!stderr`, `!line`, `!cost`. It is a real process that
lives over many turns, keeps its conversation in a file, can be killed and resumed; so tests of
crashes, leftovers, interrupts and deadlines are tests of the real thing.

`times=N` is counted by the agent record, per script or prompt: over all sessions that it is used
in. It does not do: access modes, environment variables, approval.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import ClassVar, Literal, TypeAlias

import attrs

from runner.agents.driver import Launch, Rung, Setting
from runner.agents.events import (
    ConversationStarted,
    ErrorClass,
    Event,
    Raw,
    Ready,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    TurnEnded,
    TurnStarted,
    Usage,
    UsageChanged,
)
from runner.agents.lines import (
    LineSplitter,
    decode,
    mapping_of,
    number_of,
    text_of,
    whole_of,
)
from runner.errors import LocalProtocolError
from runner.testing.model.directives import DirectiveError, parse
from runner.testing.model.steps import Fail, Say, Step

Script: TypeAlias = str | Sequence[Step]

DEFAULT_USAGE = Usage(input_tokens=100, output_tokens=10)
PLAIN_ANSWER = "I have read the prompt; no directive in it is for me."
_PROGRAM = os.path.join(os.path.dirname(__file__), "scripted_program.py")


@attrs.frozen(kw_only=True, eq=False)
class ScriptedAgent:
    """A driver that is its own record.

    Attributes:
        turns: what the first turns of each conversation do, as directives or as steps; later
            turns do what their prompt says.
    """

    kind: Literal["scripted"] = "scripted"
    turns: tuple[Script, ...] = ()
    _played: Counter[tuple[str, int]] = attrs.field(factory=Counter, init=False, repr=False)

    name: ClassVar[str] = "scripted"
    process_per_turn: ClassVar[bool] = False
    # It finishes its turn at the end of its input; SIGTERM ends it at once.
    ladder: ClassVar[tuple[Rung, ...]] = (
        Rung(act="interrupt", wait=0.5),
        Rung(act="eof", wait=1.0),
        Rung(act="SIGTERM", wait=1.0),
    )

    def launch(self, setting: Setting) -> Launch:
        """Start it with our own Python, isolated: -I -S."""
        conversation = setting.conversation or "scripted"
        name = re.sub(r"[^\w-]", "_", conversation)
        path = os.path.join(setting.private, f"scripted-{name}.jsonl")
        how = "resume" if setting.resume else "new"
        return Launch(argv=(sys.executable, "-I", "-S", _PROGRAM, path, conversation, how))

    def conversation(self, setting: Setting) -> ScriptedConversation:
        """The protocol state of one process."""
        return ScriptedConversation(agent=self)

    def steps(self, turn: int, prompt: str) -> tuple[Step, ...]:
        """Find what a turn does; `turn` counts from 0 over the whole conversation."""
        script = self.turns[turn] if turn < len(self.turns) else prompt
        if not isinstance(script, str):
            steps, key = tuple(script), f"turn {turn}"
        else:
            key = script
            try:
                steps = parse(script) or (Say(text=PLAIN_ANSWER),)
            except DirectiveError as error:
                steps = (Fail(status=400, error=ErrorClass.BAD_REQUEST, message=str(error)),)
        return tuple(step for number, step in enumerate(steps) if self._spend(key, number, step))

    def _spend(self, key: str, number: int, step: Step) -> bool:
        times: int | None = getattr(step, "times", None)
        self._played[key, number] += 1
        return times is None or self._played[key, number] <= times


@attrs.define(eq=False, kw_only=True)
class ScriptedConversation:
    """The protocol state of one process: not ready, ready, or in a turn."""

    _agent: ScriptedAgent
    _lines: LineSplitter = attrs.field(factory=LineSplitter, init=False)
    _outgoing: bytearray = attrs.field(factory=bytearray, init=False)
    _turns: int | None = attrs.field(default=None, init=False)  # None until it has said ready
    _turn: str | None = attrs.field(default=None, init=False)  # the one in flight

    @property
    def ready(self) -> bool:
        """Whether a turn can be sent."""
        return self._turns is not None and self._turn is None

    def send_turn(self, turn: str, prompt: str) -> None:
        """Queue a turn: the prompt, and the steps that it makes the program play."""
        if self._turns is None or self._turn is not None:
            raise LocalProtocolError("the program is not ready, or a turn is still in flight")
        steps = self._agent.steps(self._turns, prompt)
        self._turns += 1
        self._turn = turn
        played = [{"do": type(step).__name__.lower(), **attrs.asdict(step)} for step in steps]
        usage = attrs.asdict(DEFAULT_USAGE)
        self._send({"turn": turn, "prompt": prompt, "steps": played, "usage": usage})

    def interrupt(self) -> None:
        """Queue the request to end the turn."""
        if self._turn is not None:
            self._send({"interrupt": True})

    def receive(self, data: bytes) -> list[Event]:
        """Take what the program wrote."""
        return [event for line in self._lines.feed(data) for event in self._read(line)]

    def receive_end(self, exit_code: int, stderr: bytes) -> list[Event]:
        """Take the end of the process."""
        tail = self._lines.take_tail()
        events: list[Event] = [Raw(kind="", data=tail)] if tail else []
        if self._turn is not None:
            text = stderr.decode("utf-8", "replace").strip()
            events.append(
                TurnEnded(
                    turn=self._turn,
                    ok=False,
                    message="",
                    stop="ended",
                    error=ErrorClass.CRASHED,
                    error_text=text or f"the program ended with {exit_code} in the turn",
                )
            )
        self._turn = self._turns = None
        return events

    def data_to_send(self) -> bytes:
        """Take what is to be written."""
        data = bytes(self._outgoing)
        self._outgoing.clear()
        return data

    def _send(self, message: Mapping[str, object]) -> None:
        self._outgoing += json.dumps(message).encode() + b"\n"

    def _read(self, line: bytes) -> list[Event]:
        message = decode(line)
        kind = text_of(message, "event") if message is not None else ""
        if message is None or kind not in _READERS:
            return [Raw(kind=kind, data=line)]
        if kind == "ready":
            self._turns = whole_of(message, "turns")
        if kind == "end":
            self._turn = None
        return _READERS[kind](message)


def _call(message: Mapping[str, object]) -> ToolCall:
    given = mapping_of(message, "input")
    return ToolCall(id=text_of(message, "id"), name=text_of(message, "name"), input=given)


def _result(message: Mapping[str, object]) -> ToolResult:
    ok = message.get("ok") is True
    return ToolResult(id=text_of(message, "id"), ok=ok, text=text_of(message, "text"))


def _turn_ended(message: Mapping[str, object]) -> TurnEnded:
    error = text_of(message, "error")
    retry_after = number_of(message, "retry_after")
    cost = number_of(message, "cost")
    return TurnEnded(
        turn=text_of(message, "turn"),
        ok=message.get("ok") is True,
        message=text_of(message, "message"),
        stop=text_of(message, "stop"),
        error=ErrorClass(error) if error else None,
        error_text=text_of(message, "error_text"),
        resets_at=(
            None if retry_after is None else datetime.now(UTC) + timedelta(seconds=retry_after)
        ),
        usage=_usage(message),
        cost_usd=cost,
        cost_source="none" if cost is None else "program",
        raw=message,
    )


def _usage(message: Mapping[str, object]) -> Usage:
    given = mapping_of(message, "usage")
    return Usage(**{field.name: whole_of(given, field.name) for field in attrs.fields(Usage)})


_READERS: Mapping[str, Callable[[Mapping[str, object]], list[Event]]] = {
    "ready": lambda message: [
        Ready(),
        ConversationStarted(conversation=text_of(message, "conversation")),
    ],
    "turn": lambda message: [TurnStarted(turn=text_of(message, "turn"))],
    "text": lambda message: [Text(text=text_of(message, "text"))],
    "thinking": lambda message: [Thinking(text=text_of(message, "text"))],
    "call": lambda message: [_call(message)],
    "result": lambda message: [_result(message)],
    "usage": lambda message: [UsageChanged(usage=_usage(message))],
    "end": lambda message: [_turn_ended(message)],
}
