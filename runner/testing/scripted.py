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

import os
import re
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import ClassVar, Literal, TypeAlias

import attrs

from runner.agents.driver import MAX_PROMPT, PLAIN, Ability, Launch, Rung, Setting, TurnOptions
from runner.agents.events import (
    ConversationStarted,
    ErrorClass,
    Event,
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
from runner.agents.lines import mapping_of, number_of, text_of, whole_of
from runner.agents.live import LiveConversation, LiveTurn, State
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
    max_prompt: ClassVar[int] = MAX_PROMPT
    abilities: ClassVar[frozenset[Ability]] = frozenset({"interrupt"})
    # It finishes its turn at the end of its input; SIGTERM ends it at once.
    ladder: ClassVar[tuple[Rung, ...]] = (
        Rung(act="interrupt", wait=0.5),
        Rung(act="eof", wait=1.0),
        Rung(act="SIGTERM", wait=1.0),
    )

    def launch(self, setting: Setting) -> Launch:
        """Start it with our own Python, isolated: -I -S."""
        conversation = setting.conversation or "scripted"
        path = self.history(setting.private, conversation)
        how = "resume" if setting.resume else "new"
        return Launch(argv=(sys.executable, "-I", "-S", _PROGRAM, path, conversation, how))

    def conversation(self, setting: Setting) -> ScriptedConversation:
        """The protocol state of one process."""
        return ScriptedConversation(agent=self)

    def history(self, private: str, conversation: str) -> str:
        """Where a conversation's file is."""
        return os.path.join(private, f"scripted-{_file_name(conversation)}.jsonl")

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
class ScriptedConversation(LiveConversation[LiveTurn]):
    """The protocol state of one process."""

    unknown: ClassVar[bytes] = b"No conversation found"
    _agent: ScriptedAgent
    _turns: int = attrs.field(default=0, init=False)  # of the whole conversation, so far

    def send_turn(self, turn: str, prompt: str, options: TurnOptions = PLAIN) -> None:
        """Queue a turn: the prompt, and the steps that it makes the program play."""
        self._check(options)
        steps = self._agent.steps(self._turns, prompt)
        self._turns += 1
        self._begin(LiveTurn(id=turn))
        played = [{"do": type(step).__name__.lower(), **attrs.asdict(step)} for step in steps]
        usage = attrs.asdict(DEFAULT_USAGE)
        self._send({"turn": turn, "prompt": prompt, "steps": played, "usage": usage})

    def interrupt(self) -> None:
        """Queue the request to end the turn."""
        if self._turn is not None:
            self._turn.interrupted = True
            self._send({"interrupt": True})

    def _translate(self, message: Mapping[str, object]) -> tuple[str, list[Event] | None]:
        kind = text_of(message, "event")
        if kind not in _READERS:
            return kind, None
        if kind == "ready" and self.state is State.STARTING:
            self._turns = whole_of(message, "turns")
            self.state = State.IDLE
        events = _READERS[kind](message)
        if self._turn is not None:
            self._turn.hear(events)
        if kind == "end":
            self._end()
        return kind, events


def _file_name(conversation: str) -> str:
    return re.sub(r"[^\w-]", "_", conversation)


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
