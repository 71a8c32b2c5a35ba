"""The protocol of Claude Code's `stream-json`: the state of one process, many turns.

    STARTING --its opening answered--> IDLE --send_turn--> IN TURN --its result--> IDLE
    any --receive_end--> ENDED

Everything that changes this state lives here. Messages to the program and results from it are
*not* one-to-one, so results are never counted. The turn in flight ends by a result

* after the program has begun with our line: it echoed its uuid, or said "started" of it, or
* that came before and was followed by "idle", or by the end of the process (a turn that never got
  as far as the model: a budget is spent). Until then it is *held*; if our line begins after it, it
  was somebody else's;

and never by one that says it has another origin (a background task that ended).

A line that is added in mid-turn (`steer`) is folded into it at the next result of a tool. If there
is none, the program first gives a result, and then begins with the line and gives another one: the
first is held, too. After an interrupt the line may be gone. So a held result is the turn's if the
program says "idle" when it has read all lines, which the answer to a request behind them shows.

An interrupt that arrives while the program has read our line but not begun with it is lost (seen
in 2.1.329, which says so: `still_queued`), so it is asked for again when the turn begins.

Nothing here raises for what the program says; nothing here judges a turn beyond classifying it
(claude_errors).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import ClassVar, TypeAlias

import attrs

from runner.agents import claude_asks, claude_errors
from runner.agents.claude_open import ClaudeOpening
from runner.agents.claude_read import (
    Record,
    as_uuid,
    credential_of,
    of_answer,
    of_change,
    of_rate_limit,
    of_results,
)
from runner.agents.claude_turn import ClaudeTurn, Meter
from runner.agents.driver import PLAIN, Access, Setting, TurnOptions
from runner.agents.events import (
    ApprovalClosed,
    ConversationStarted,
    Decision,
    Event,
    Ready,
    Text,
    TurnStarted,
)
from runner.agents.lines import mapping_of, text_of
from runner.agents.live import LiveConversation, State

Handler: TypeAlias = "Callable[[ClaudeConversation, Record], list[Event] | None]"


@attrs.define(eq=False)
class ClaudeConversation(LiveConversation[ClaudeTurn]):
    """The protocol state of one process of Claude Code."""

    unknown: ClassVar[bytes] = b"No conversation found"
    setting: Setting
    access: Access  # the agent's own
    _opening: ClaudeOpening = attrs.field(init=False)
    _asks: claude_asks.Asks = attrs.field(factory=claude_asks.Asks, init=False)
    _interrupts: int = attrs.field(default=0, init=False)
    _meter: Meter = attrs.field(factory=Meter, init=False)
    _told: ConversationStarted | None = attrs.field(default=None, init=False)
    _resets_at: datetime | None = attrs.field(default=None, init=False)  # said when it changes only

    def __attrs_post_init__(self) -> None:
        self._opening = ClaudeOpening(self.setting)
        asked = dict(self._opening.requests())
        for name, request in asked.items():
            self._request(name, request)
        if "usage" not in asked:
            self._meter.counted = 0.0

    # ------------------------------------------------------------ towards the program

    def takes(self, options: TurnOptions) -> bool:
        """Whether this process can carry out a turn so: it holds to what it was started with."""
        own = self.setting.options
        access = options.access or self.access
        return access == (own.access or self.access) and options.schema == own.schema

    def send_turn(self, turn: str, prompt: str, options: TurnOptions = PLAIN) -> None:
        """Queue a prompt, to reach the model verbatim.

        Raises:
            LocalProtocolError: the program is not ready, the prompt is blank (newer versions
                do not send it to the model), or the process does not take the options.
        """
        self._check(options)
        uuid = as_uuid(turn)
        self._send(claude_asks.line(uuid, prompt, self.version))
        self._begin(ClaudeTurn(id=turn, uuid=uuid, resets_at=self._resets_at))

    def steer(self, prompt: str) -> bool:
        """Queue a prompt for the turn in flight, if it has begun."""
        turn = self._turn
        if turn is None or not turn.begun or turn.interrupted:
            return False
        uuid = turn.next_uuid()
        self._send(claude_asks.line(uuid, prompt, self.version))
        turn.steers.add(uuid)
        turn.unread.add(f"read-{uuid}")
        self._request(f"read-{uuid}", {"subtype": "get_binary_version"})
        return True

    def decide(self, approval: str, decision: Decision) -> None:
        """Queue the answer to an `ApprovalAsked`; nothing if it does not wait any more."""
        if (answer := self._asks.decide(approval, decision)) is not None:
            self._answer(approval, "success", response=answer)

    def _answer(self, number: str, subtype: str, **rest: object) -> None:
        answer = {"request_id": number, "subtype": subtype, **rest}
        self._send({"type": "control_response", "response": answer})

    def interrupt(self) -> None:
        """Queue the request to end the turn in flight; nothing if there is none."""
        if self._turn is not None:
            self._turn.interrupted = True
            self._interrupts += 1
            self._request(f"interrupt-{self._interrupts}", {"subtype": "interrupt"})

    def _request(self, name: str, request: Record) -> None:
        self._send({"type": "control_request", "request_id": name, "request": request})

    # ------------------------------------------------------------ from the program

    def _cut(self, turn: ClaudeTurn, exit_code: int, stderr: bytes) -> list[Event]:
        if turn.held is not None:
            return self._end_turn(turn, turn.held)
        return super()._cut(turn, exit_code, stderr)

    def _translate(self, message: Record) -> tuple[str, list[Event] | None]:
        kind, subtype = text_of(message, "type"), text_of(message, "subtype")
        handle = self._handlers.get(kind)
        events = None if handle is None else handle(self, message)
        return f"{kind}/{subtype}" if subtype else kind, events

    # Each handler gives events, or None for what has no translation.

    def _on_system(self, message: Record) -> list[Event] | None:
        match text_of(message, "subtype"):
            case "init":
                return self._on_init(message)
            case "api_retry":
                return self._on_retry(message)
            case "session_state_changed" if text_of(message, "state") == "idle":
                return self._on_idle()
            case _:
                return None

    def _on_init(self, message: Record) -> list[Event] | None:
        started = ConversationStarted(
            conversation=text_of(message, "session_id"),
            model=text_of(message, "model"),
            version=text_of(message, "claude_code_version") or self.version,
            credential=self.credential or credential_of(message),
        )
        if started == self._told:  # it comes again in every turn
            return None
        self._told = started
        return [started]

    def _on_retry(self, message: Record) -> list[Event]:
        retry = claude_errors.of_retry(message)
        if self._turn is not None:
            self._turn.retry = retry
        return [retry]

    def _on_idle(self) -> list[Event] | None:
        turn = self._turn
        if turn is None or turn.held is None or turn.queued or turn.unread:
            return None
        return self._end_turn(turn, turn.held)

    def _on_lifecycle(self, message: Record) -> list[Event] | None:
        turn, uuid = self._turn, text_of(message, "command_uuid")
        if turn is None or not turn.has(uuid):
            return None
        state = text_of(message, "state")
        turn.queued.discard(uuid)
        if state == "queued":
            turn.queued.add(uuid)
        return self._on_begun(turn, uuid) if state == "started" else None

    def _on_assistant(self, message: Record) -> list[Event] | None:
        answer = mapping_of(message, "message")
        if self._turn is not None:
            self._turn.note(message)
        if text_of(answer, "model") == "<synthetic>":  # the program's own words, not the model's
            if self._turn is not None:
                self._turn.error_word = text_of(message, "error")
            return None
        events = of_answer(answer, own=message.get("parent_tool_use_id") is None)
        if self._turn is not None:
            self._turn.hear(events)
        return events or None

    def _on_user(self, message: Record) -> list[Event] | None:
        turn = self._turn
        if message.get("isReplay") is True:
            uuid = text_of(message, "uuid")
            return self._on_begun(turn, uuid) if turn is not None and turn.has(uuid) else None
        if turn is not None:
            turn.note(message)
        events = of_results(mapping_of(message, "message"))
        return [*events, *of_change(mapping_of(message, "tool_use_result"))] or None

    def _on_begun(self, turn: ClaudeTurn, uuid: str) -> list[Event] | None:
        if not turn.take_up(uuid):
            return None
        if turn.interrupted:
            self.interrupt()
        return [TurnStarted(turn=turn.id)] if uuid == turn.uuid else None

    def _on_stream(self, message: Record) -> list[Event] | None:
        if message.get("parent_tool_use_id") is not None:
            return None
        event = mapping_of(message, "event")
        text = text_of(mapping_of(event, "delta"), "text")
        if text:
            return [Text(text=text, partial=True)]
        return None if self._turn is None else self._turn.count(event)

    def _on_rate_limit(self, message: Record) -> list[Event] | None:
        limited = of_rate_limit(mapping_of(message, "rate_limit_info"))
        self._resets_at = None if limited is None else limited.resets_at
        if self._turn is not None:
            self._turn.resets_at = self._resets_at
        return None if limited is None else [limited]

    def _on_request(self, message: Record) -> list[Event] | None:
        request, number = mapping_of(message, "request"), text_of(message, "request_id")
        if (asked := self._asks.take(number, request)) is not None:
            return [asked]
        self._answer(number, "error", error="this is not supported here")
        return None

    def _on_withdrawn(self, message: Record) -> list[Event] | None:
        number = text_of(message, "request_id")
        return [ApprovalClosed(id=number)] if self._asks.withdraw(number) else None

    def _on_answer(self, message: Record) -> list[Event] | None:
        response, turn = mapping_of(message, "response"), self._turn
        name = text_of(response, "request_id")
        events = self._opening.take(name, response)
        self.version = self._opening.version
        if self.state is State.STARTING and self._opening.is_done:
            self.state = State.IDLE
            events.append(Ready())
        if turn is not None:
            turn.unread.discard(name)
        if name == "usage" and not (turn and turn.begun):
            self._meter.begin(mapping_of(mapping_of(response, "response"), "session"))
        return events or None

    @property
    def credential(self) -> str:
        """What the program says it uses towards its provider, as soon as it does."""
        return self._opening.credential

    def _on_result(self, message: Record) -> list[Event] | None:
        turn = self._turn
        origin = text_of(mapping_of(message, "origin"), "kind")
        if turn is None or origin not in {"", "human"}:
            return None
        if not turn.begun or turn.steers:
            turn.held = message
            return None
        return self._end_turn(turn, message)

    def _end_turn(self, turn: ClaudeTurn, result: Record) -> list[Event]:
        self._end()
        begun: list[Event] = [] if turn.begun else [TurnStarted(turn=turn.id)]
        return [*begun, turn.ended(result, self._meter.cost_of(result))]

    _handlers: ClassVar[Mapping[str, Handler]] = {
        "system": _on_system,
        "assistant": _on_assistant,
        "user": _on_user,
        "stream_event": _on_stream,
        "rate_limit_event": _on_rate_limit,
        "command_lifecycle": _on_lifecycle,
        "control_request": _on_request,
        "control_cancel_request": _on_withdrawn,
        "control_response": _on_answer,
        "result": _on_result,
    }
