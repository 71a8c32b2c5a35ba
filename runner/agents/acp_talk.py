"""The Agent Client Protocol: the state of one process, many turns.

    (opened: acp_open) IDLE --send_turn--> IN TURN
    IN TURN --session/prompt answered, or the turn refused--> IDLE
    any --receive_end--> ENDED

A turn in a session that could not be opened is refused with the sentence about the opening; so is
one whose mode the program does not have or take. Since a turn may only end by something that the
program says, it is sent a ping for that; the prompt is not sent.

Files are declared where the session reads and writes them (`Setting.files`), and the agent's record
does not say otherwise (`AcpAgent.hands`): what the program asks for becomes an event, and waits for
`give`; with read-only access nothing is written. Terminals are never declared: it runs its commands
with its own hands. What it asks us to do all the same, it is told that there is no such method.

Nothing here raises for what the program says.
"""

from __future__ import annotations

import re

import attrs

from runner.agents.acp_files import READ, WRITE, asked_of, refusal_of, reply_of
from runner.agents.acp_open import PING, AcpOpening, Then
from runner.agents.acp_read import Record, choice_of, cost_of, sentence
from runner.agents.acp_turn import AcpTurn
from runner.agents.driver import PLAIN, Access, TurnOptions
from runner.agents.events import (
    ApprovalClosed,
    Decision,
    ErrorClass,
    Event,
    FileAnswer,
    FileAsked,
    Thinking,
    TurnEnded,
    TurnStarted,
    WriteAsked,
)
from runner.agents.lines import list_of, mapping_of, text_of, whole_of
from runner.agents.oneshot import as_unicode

FULL: Access = "danger-full-access"
_METHOD_NOT_FOUND = -32601  # JSON-RPC 2.0, section 5.1
_TOLD = {"user_message_chunk", "agent_message_chunk", "agent_thought_chunk", "tool_call"}
_TOLD |= {"tool_call_update"}

# How gemini says that it is in another mode; nobody else is known to.
_MOVED = re.compile(r"\[MODE_UPDATE\] (\S+)")

# How gemini begins the first message of each conversation, before the user's own.
_CONTEXT = "<session_context>"

# A beginning that makes a prompt a command, in gemini also after blanks; behind a space of no
# width it is a text like any other.
_COMMAND = re.compile(r"\s*[/$]")
_NO_SPACE = "\u200b"


@attrs.define(eq=False)
class AcpConversation(AcpOpening):
    """The protocol state of one process."""

    _open: dict[str, tuple[object, list[object], str]] = attrs.field(factory=dict, init=False)
    _files: dict[str, tuple[object, FileAsked]] = attrs.field(factory=dict, init=False)

    # ------------------------------------------------------------ towards the program

    def takes(self, options: TurnOptions) -> bool:
        """Whether this process can carry out a turn so: if a mode of it has the access."""
        return options.schema is None and (
            options.access is None or options.access == FULL or options.access in self.agent.modes
        )

    def send_turn(self, turn: str, prompt: str, options: TurnOptions = PLAIN) -> None:
        """Queue a prompt, to reach the model verbatim, but for a space of no width before a "/".

        Raises:
            LocalProtocolError: the program is not ready, a turn is in flight, or no mode of it
                has the access.
        """
        self._check(options)
        text = as_unicode(prompt)
        text = _NO_SPACE + text if _COMMAND.match(text) else text
        access = options.access or self.agent.access  # whatever the process was started for
        # Of one that is resumed it is not known what it had cost, until the program says it.
        spent = 0.0 if self._spent is None and not self.setting.resume else self._spent
        begun = AcpTurn(id=turn, prompt=text, access=access, spent=spent)
        self._begin(begun)
        wanted = self.agent.modes.get(access, self._first_mode)
        if self._trouble is not None:
            self._refuse(begun, *self._trouble)
        elif wanted == self._modes.current:
            self._prompt(begun)
        elif wanted not in self._modes.offered:
            offered = ", ".join(self._modes.offered) or "none"
            text = f"the program has no mode {wanted!r} (it has {offered})"
            self._refuse(begun, ErrorClass.REFUSED, text)
        else:
            then: Then = lambda _result, error: self._on_mode(begun, wanted, error)  # noqa: E731
            self._choose("mode", self._modes, wanted, then)

    def decide(self, approval: str, decision: Decision) -> None:
        """Queue the answer to an `ApprovalAsked`; nothing if it does not wait any more."""
        if approval not in self._open:
            return
        number, options, tool = self._open.pop(approval)
        allow = decision.allow and decision.input is None
        if not allow and self._turn is not None:
            self._turn.refusals[tool] = decision.message
        self._answer(number, options, allow=allow)

    def give(self, asked: str, answer: FileAnswer) -> None:
        """Queue the answer to a `ReadAsked` or `WriteAsked`; nothing if it does not wait for it."""
        if asked not in self._files:
            return
        number, what = self._files.pop(asked)
        if isinstance(what, WriteAsked) and not answer.refusal and self._turn is not None:
            self._turn.written.add(what.path)
        self._reply(number, reply_of(what, answer))

    def interrupt(self) -> None:
        """Queue the request to end the turn in flight; nothing if there is none."""
        turn = self._turn
        if turn is None:
            return
        turn.interrupted = True
        if turn.sent:
            for number, _, _ in self._open.values():  # as the protocol demands
                self._send_answer(number, {"outcome": {"outcome": "cancelled"}})
            self._open.clear()
            self._refuse_files("the turn was interrupted")
            self._notify("session/cancel", sessionId=self.session)

    def _prompt(self, turn: AcpTurn) -> None:
        turn.sent = True
        self._request(
            "session/prompt",
            lambda result, error: self._on_answered(turn, result, error),
            sessionId=self.session,
            prompt=[{"type": "text", "text": turn.prompt}],
        )

    def _refuse(self, turn: AcpTurn, error: ErrorClass, text: str) -> None:
        """End the turn with the next thing that the program says."""
        self._request(PING, lambda _result, _error: self._ended(turn, turn.refused(error, text)))

    def _refuse_files(self, text: str) -> None:
        """Let the program wait for none of the files that it asked for."""
        for number, _ in self._files.values():
            self._reply(number, refusal_of(text))
        self._files.clear()

    # ------------------------------------------------------------ from the program

    def _translate(self, message: Record) -> tuple[str, list[Event] | None]:
        method, params = text_of(message, "method"), mapping_of(message, "params")
        if not method:
            then = self._waiting.pop(whole_of(message, "id"), None)
            result, error = mapping_of(message, "result"), mapping_of(message, "error")
            return "answer", None if then is None else then(result, error)
        if "id" in message:
            return method, self._on_request(method, message.get("id"), params)
        update = mapping_of(params, "update")
        kind = text_of(update, "sessionUpdate")
        if method != "session/update" or params.get("sessionId") != self._name:
            return method, None
        return kind, self._on_update(kind, update)

    @property
    def _name(self) -> str:
        """The session that is told of."""
        return self.session or self.setting.conversation

    # ------------------------------------------------------------ of a turn

    def _on_mode(self, turn: AcpTurn, mode: str, error: Record) -> list[Event] | None:
        if error:
            return self._ended(turn, turn.refused(ErrorClass.REFUSED, sentence(error)))
        self._modes = attrs.evolve(self._modes, current=mode)
        if turn.interrupted:
            return self._ended(turn, turn.refused(ErrorClass.INTERRUPTED, "interrupted"))
        self._prompt(turn)
        return None

    def _on_answered(self, turn: AcpTurn, result: Record, error: Record) -> list[Event]:
        # The order is that of what was said: the last text, then the tools that it waited for.
        events = [*turn.flush(), *turn.abandoned()]
        ended = turn.failed(error) if error else turn.answered(result, self._spent)
        return [*events, *self._ended(turn, ended)]

    def _ended(self, turn: AcpTurn, ended: TurnEnded) -> list[Event]:
        closed = [ApprovalClosed(id=each) for each in self._open]
        self._open.clear()
        self._refuse_files("the turn is over")
        self._end()
        return [*closed, ended]

    def _cut(self, turn: AcpTurn, exit_code: int, stderr: bytes) -> list[Event]:
        """End the turn that the process has not survived."""
        return [*turn.flush(), turn.cut(exit_code, stderr)]

    def _on_begun(self, turn: AcpTurn) -> list[Event]:
        if turn.begun:
            return []
        turn.begun = True
        if turn.interrupted:  # in case that it came before the program knew of the turn
            self._notify("session/cancel", sessionId=self.session)
        return [TurnStarted(turn=turn.id)]

    def _on_request(self, method: str, number: object, params: Record) -> list[Event] | None:
        turn = self._turn
        if method in {READ, WRITE} and self._serves("read" if method == READ else "write"):
            return self._on_file(method, number, params)
        if method != "session/request_permission":
            error = {"code": _METHOD_NOT_FOUND, "message": f"there is no {method} here"}
            self._reply(number, {"error": error})
            return None
        options = list_of(params, "options")
        if turn is None or turn.interrupted or params.get("sessionId") != self.session:
            self._send_answer(number, {"outcome": {"outcome": "cancelled"}})
            return None
        said = mapping_of(params, "toolCall")
        tool = turn.tool(said)
        begun = [*self._on_begun(turn), *turn.flush(), *tool.announce()]
        if turn.access == FULL and not self.setting.approvals:
            self._answer(number, options, allow=True)
            return begun
        asked = tool.asked(str(number), said)
        self._open[asked.id] = (number, options, tool.id)
        return [*begun, asked]

    def _on_file(self, method: str, number: object, params: Record) -> list[Event] | None:
        turn, asked = self._turn, asked_of(method, str(number), params)
        if asked is None:
            refusal = "it cannot be understood"
        elif turn is None or turn.interrupted or params.get("sessionId") != self.session:
            refusal = "it belongs to no turn in flight"
        elif turn.access == "read-only" and isinstance(asked, WriteAsked):
            refusal = "nothing may be written: this turn is read-only"
        else:
            self._files[asked.id] = (number, asked)
            return [*self._on_begun(turn), *turn.flush(), asked]
        self._reply(number, refusal_of(refusal))
        return None

    def _on_update(self, kind: str, update: Record) -> list[Event] | None:
        turn = self._turn
        match kind:
            case "usage_update":
                spent = cost_of(update)
                self._spent = self._spent if spent is None else spent
            case "current_mode_update":
                self._take_mode(text_of(update, "currentModeId"))
            case "config_option_update":
                self._take_mode(choice_of(update, "mode").current)
            case "agent_message_chunk" if moved := _MOVED.fullmatch(_text_in(update)):
                self._take_mode(moved[1])
            case _ if turn is not None and turn.sent:
                return self._on_told(turn, kind, update)
            case _:
                self._hear_before(kind, update)
        return None

    def _hear_before(self, kind: str, update: Record) -> None:
        """Note what it tells of what was before."""
        if kind not in _TOLD:
            return
        self._told = True
        if kind == "user_message_chunk" and _text_in(update).startswith(_CONTEXT):
            self._has_begun = True
        else:
            self._has_recalled = True

    def _on_told(self, turn: AcpTurn, kind: str, update: Record) -> list[Event] | None:
        match kind:
            case "agent_message_chunk":
                events = turn.say(_text_in(update), text_of(update, "messageId"))
            case "agent_thought_chunk":
                text = _text_in(update)
                events = [*turn.flush(), *([Thinking(text=text)] if text else [])]
            case "tool_call" | "tool_call_update":
                events = [*turn.flush(), *turn.news_of(update)]
            case _:
                return None  # our own prompt, said again
        return [*self._on_begun(turn), *events]

    def _take_mode(self, mode: str) -> None:
        """Note that the program is in another mode."""
        if mode in self._modes.offered:
            self._modes = attrs.evolve(self._modes, current=mode)


def _text_in(update: Record) -> str:
    """The text of a piece of content."""
    return text_of(mapping_of(update, "content"), "text")
