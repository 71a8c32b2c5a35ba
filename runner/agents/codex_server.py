"""The protocol of `codex app-server`: NDJSON JSON-RPC, the state of one process, many turns.

    STARTING --initialize answered--> OPENING --thread answered--> IDLE --send_turn--> IN TURN
    IN TURN --turn/completed of our turn, or turn/start refused--> IDLE
    any --receive_end--> ENDED

Everything that changes this state lives here. A second `turn/start` in a running turn would be a
silent steer, so there is never one; a turn's end is known by its id, never by counting.

How a thread is opened, and what becomes of one that cannot be: codex_opening.

Token counts are the thread's (codex_turn.Meter); codex says no cost.

What codex asks for waits until it is decided (codex_asks); of a session in which nobody decides it
asks nothing.

After an interrupt the command that was running lives on as a "background terminal"; those are
ended with `thread/backgroundTerminals/clean` (experimental, but nothing else does it).

Nothing here raises for what the program says.
"""

from __future__ import annotations

import attrs

from runner.agents import codex_asks, codex_open, codex_opening
from runner.agents.codex_opening import CodexOpening
from runner.agents.codex_read import (
    Record,
    credential_of,
    of_completed,
    of_started,
    rate_limited,
)
from runner.agents.codex_turn import CodexTurn, Meter
from runner.agents.driver import PLAIN, Access, Setting, TurnOptions
from runner.agents.events import (
    ApprovalClosed,
    Decision,
    ErrorClass,
    Event,
    RateLimited,
    Ready,
    ServerFailed,
    Text,
    TurnEnded,
    TurnStarted,
    Usage,
    UsageChanged,
)
from runner.agents.lines import mapping_of, text_of
from runner.agents.live import LiveConversation, State

_METHOD_NOT_FOUND = -32601  # JSON-RPC 2.0, section 5.1


@attrs.define(eq=False)
class CodexConversation(LiveConversation[CodexTurn]):
    """The protocol state of one process of `codex app-server`."""

    setting: Setting
    access: Access
    model: str
    _opening: CodexOpening = attrs.field(init=False)
    _asks: codex_asks.Asks = attrs.field(factory=codex_asks.Asks, init=False)
    _limit: RateLimited | None = attrs.field(default=None, init=False)
    _meter: Meter = attrs.field(factory=Meter, init=False)
    _ids: int = attrs.field(default=0, init=False)

    def __attrs_post_init__(self) -> None:
        self._opening = CodexOpening(self.setting, self.access, self.model)
        method, params = codex_opening.INITIALIZE
        self._request(method, **params)

    @property
    def thread(self) -> str:
        """The id of its thread, once that is open."""
        return self._opening.thread

    # ------------------------------------------------------------ towards the program

    def takes(self, options: TurnOptions) -> bool:
        """Whether this process can carry out a turn so: all of it is said with the turn."""
        return True

    def send_turn(self, turn: str, prompt: str, options: TurnOptions = PLAIN) -> None:
        """Queue a prompt, to reach the model verbatim.

        Raises:
            LocalProtocolError: the program is not ready, or a turn is in flight.
        """
        self._check(options)
        params = codex_open.turn(self.setting, self.access, prompt, options)
        number = self._request("turn/start", threadId=self.thread, **params)
        self._begin(CodexTurn(id=turn, request=number, has_schema="outputSchema" in params))

    def steer(self, prompt: str) -> bool:
        """Queue a prompt for the turn in flight, if it has begun."""
        turn = self._turn
        if turn is None or not turn.begun or turn.interrupted:
            return False
        self._request(
            "turn/steer",
            threadId=self.thread,
            expectedTurnId=turn.theirs,
            input=codex_open.as_input(prompt),
        )
        return True

    def decide(self, approval: str, decision: Decision) -> None:
        """Queue the answer to an `ApprovalAsked`; nothing if it does not wait any more."""
        answer = self._asks.decide(approval, decision)
        if answer is not None:
            self._send(answer)
            if not decision.allow and decision.message:
                self.steer(decision.message)

    def interrupt(self) -> None:
        """Queue the request to end the turn in flight; nothing if there is none.

        Before the turn has started, codex would answer it and do nothing: then it is sent with
        the start.
        """
        turn = self._turn
        if turn is not None:
            turn.interrupted = True
            if turn.begun:
                self._request("turn/interrupt", threadId=self.thread, turnId=turn.theirs)

    def _request(self, method: str, **params: object) -> int:
        self._ids += 1
        self._send({"id": self._ids, "method": method, "params": params})
        return self._ids

    # ------------------------------------------------------------ from the program

    def _translate(self, message: Record) -> tuple[str, list[Event] | None]:
        method = text_of(message, "method")
        if not method:
            events = self._on_answer(message)
        elif "id" in message:
            events = self._on_request(method, message)
        else:
            events = self._on_notice(method, mapping_of(message, "params"))
        return method or "answer", events

    # Each handler gives events, or None for what has no translation.

    def _on_answer(self, message: Record) -> list[Event] | None:
        number, result = message.get("id"), mapping_of(message, "result")
        trouble = text_of(mapping_of(message, "error"), "message")
        if self.state in {State.STARTING, State.OPENING} and number == self._ids:
            return self._on_opening(result, trouble) or None
        if number == "account":
            return self._on_account(result, trouble)
        if number == "status":
            return self._uses(text_of(result, "authMethod"))
        turn = self._turn
        if turn is None or number != turn.request:
            return None
        if trouble:
            unopened = self._opening.trouble
            error = ErrorClass.FAILED if unopened else ErrorClass.BAD_REQUEST
            return self._ended(turn, turn.refused(error, unopened or trouble, message))
        turn.theirs = text_of(mapping_of(result, "turn"), "id") or turn.theirs
        return None

    def _on_opening(self, result: Record, trouble: str) -> list[Event]:
        call = self._opening.take(result, trouble)
        self.version = self._opening.version
        if self.state is State.STARTING and call is not None:
            self._send({"method": "initialized"})
            method, params = codex_opening.ACCOUNT
            self._send({"id": "account", "method": method, "params": params})
            self.state = State.OPENING
        if call is None:
            self.state = State.IDLE
            self.lost = codex_open.lost(self._opening.trouble)
            started = self._opening.started
            return [Ready()] if started is None else [started, Ready()]
        if call[0] == "thread/start":
            self._meter.counted = Usage()
        self._request(call[0], **call[1])
        return []

    @property
    def credential(self) -> str:
        """What the program says it uses towards its provider, as soon as it does."""
        return self._opening.credential

    def _on_account(self, result: Record, trouble: str) -> list[Event] | None:
        if trouble:  # it has to ask its own provider first who that is: its login says enough
            method, params = codex_opening.STATUS
            self._send({"id": "status", "method": method, "params": params})
            return None
        return self._uses(credential_of(mapping_of(result, "account")))

    def _uses(self, credential: str) -> list[Event] | None:
        self._opening.credential = credential
        started = self._opening.started
        if started is None or not credential:
            return None
        return [attrs.evolve(started, credential=credential)]

    def _on_begun(self, turn: CodexTurn) -> list[Event]:
        turn.begun = True
        if turn.interrupted:
            self.interrupt()
        return [TurnStarted(turn=turn.id)]

    def _on_request(self, method: str, message: Record) -> list[Event] | None:
        params, number = mapping_of(message, "params"), message.get("id")
        items = {} if self._turn is None else self._turn.items
        item = items.get(text_of(params, "itemId"), {})
        asked = self._asks.take(number, method, params, item)
        if asked is not None:
            return [asked]
        error = {"code": _METHOD_NOT_FOUND, "message": "this is not supported here"}
        self._send({"id": number, "error": error})
        return None

    def _on_notice(self, method: str, params: Record) -> list[Event] | None:
        match method:
            case "account/rateLimits/updated":
                self._limit = rate_limited(mapping_of(params, "rateLimits"))
                return None if self._limit is None else [self._limit]
            case "thread/tokenUsage/updated":
                return self._on_usage(params)
            case "mcpServer/startupStatus/updated" if params.get("status") == "failed":
                reason = text_of(params, "error") or "it did not start"
                return [ServerFailed(name=text_of(params, "name"), reason=reason)]
            case "serverRequest/resolved":
                closed = str(params.get("requestId"))
                return [ApprovalClosed(id=closed)] if self._asks.withdraw(closed) else None
            case _:
                return self._on_notice_of_turn(method, params)

    def _on_notice_of_turn(self, method: str, params: Record) -> list[Event] | None:
        turn = self._turn
        told = text_of(params, "turnId") or text_of(mapping_of(params, "turn"), "id")
        if turn is None or not told:
            return None
        if method == "turn/started" and not turn.theirs and params.get("threadId") == self.thread:
            turn.theirs = told  # on a busy machine it comes before the answer that says it
        if told != turn.theirs:
            return None
        if method == "turn/started":
            return self._on_begun(turn)
        return self._on_turn(turn, method, params)

    def _on_turn(self, turn: CodexTurn, method: str, params: Record) -> list[Event] | None:
        match method:
            case "item/agentMessage/delta":
                return [Text(text=text_of(params, "delta"), partial=True)]
            case "item/started":
                item = mapping_of(params, "item")
                turn.items[text_of(item, "id")] = item
                turn.is_answered |= text_of(item, "type") != "userMessage"
                return of_started(item)
            case "item/completed":
                item = mapping_of(params, "item")
                turn.items.pop(text_of(item, "id"), None)
                events = of_completed(item)
                turn.hear(events or [])
                return events
            case "error" if params.get("willRetry") is True:
                return [turn.retried(mapping_of(params, "error"))]
            case "turn/completed":
                return self._on_completed(turn, mapping_of(params, "turn"))
            case _:
                return None

    def _on_usage(self, params: Record) -> list[Event] | None:
        turn, told = self._turn, text_of(params, "turnId")
        if params.get("threadId") not in {self.thread, self.setting.conversation}:
            return None
        is_ours = turn is not None and turn.begun and told == turn.theirs
        usage = self._meter.take(mapping_of(params, "tokenUsage"), turn if is_ours else None)
        return None if usage is None else [UsageChanged(usage=usage)]

    def _on_completed(self, turn: CodexTurn, theirs: Record) -> list[Event]:
        if text_of(theirs, "status") == "interrupted":
            self._request("thread/backgroundTerminals/clean", threadId=self.thread)
        return self._ended(turn, turn.completed(theirs, self._limit))

    def _ended(self, turn: CodexTurn, ended: TurnEnded) -> list[Event]:
        self._meter.end(turn)
        self._end()
        return [ended]
