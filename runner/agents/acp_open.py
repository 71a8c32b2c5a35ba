"""How a session of the Agent Client Protocol is opened: JSON-RPC 2.0, a message a line.

    STARTING --initialize answered--> OPENING --session opened--> IDLE

What an answer leads to is said with its request. A session that cannot be opened (unknown, no
credentials, another version of the protocol) does not end the process: it counts as open, with the
trouble noted that each turn in it is refused with.

A session that is loaded is told again, message by message, and in gemini also after the answer to
the request. It is open when nothing was told between two answers to our pings: requests of a name
that nobody knows, which every JSON-RPC program answers. gemini 0.45.2 does not say that it does not
know a session: it begins another of the same name, and tells only what it begins each with.

What happens in turns is not known here (acp_talk).
"""

from __future__ import annotations

import abc
from collections.abc import Callable
from typing import Literal, TypeAlias

import attrs

from runner.agents.acp_read import (
    Choice,
    Record,
    choice_of,
    is_unknown,
    of_error,
    option_of,
    sentence,
    server_of,
)
from runner.agents.acp_turn import AcpTurn
from runner.agents.driver import AcpAgent, Setting
from runner.agents.events import ConversationStarted, ErrorClass, Event, Ready
from runner.agents.lines import mapping_of, text_of
from runner.agents.live import LiveConversation, State

PROTOCOL = 1
PING = "_runner/ping"  # names with an underscore are everybody's own
_PINGS = 1000  # a program that tells for ever is not waited for

Then: TypeAlias = Callable[[Record, Record], "list[Event] | None"]
Trouble: TypeAlias = tuple[ErrorClass, str]


@attrs.define(eq=False)
class AcpOpening(LiveConversation[AcpTurn], abc.ABC):
    """The protocol state of one process, up to the first turn."""

    setting: Setting
    agent: AcpAgent
    session: str = attrs.field(default="", init=False)
    _modes: Choice = attrs.field(factory=Choice, init=False)
    _first_mode: str = attrs.field(default="", init=False)
    _model: str = attrs.field(default="", init=False)
    _trouble: Trouble | None = attrs.field(default=None, init=False)
    _spent: float | None = attrs.field(default=None, init=False)
    _told: bool = attrs.field(default=False, init=False)  # of before, since the last ping
    _has_begun: bool = attrs.field(default=False, init=False)  # it told how one begins
    _has_recalled: bool = attrs.field(default=False, init=False)  # it told of turns before
    _pings: int = attrs.field(default=0, init=False)
    _waiting: dict[int, Then] = attrs.field(factory=dict, init=False)
    _ids: int = attrs.field(default=0, init=False)

    def __attrs_post_init__(self) -> None:
        self._request(
            "initialize",
            self._on_initialized,
            protocolVersion=PROTOCOL,
            clientCapabilities={
                "fs": {
                    "readTextFile": self._serves("read"),
                    "writeTextFile": self._serves("write"),
                },
                "terminal": False,
            },
            clientInfo={"name": "runner", "title": "runner", "version": "0"},
        )

    def _serves(self, what: Literal["read", "write"]) -> bool:
        """Whether we do that for the program."""
        return self.setting.files and what in self.agent.hands

    # ------------------------------------------------------------ the opening

    # Each handler gives events, or None for what has no translation.

    def _on_initialized(self, result: Record, error: Record) -> list[Event] | None:
        self.version = text_of(mapping_of(result, "agentInfo"), "version")
        self.state = State.OPENING
        able = mapping_of(result, "agentCapabilities")
        if error:
            return self._opened((of_error(error), sentence(error)))
        if result.get("protocolVersion") != PROTOCOL:
            text = f"it speaks version {result.get('protocolVersion')} of the protocol"
            return self._opened((ErrorClass.PROTOCOL, f"{text}, not {PROTOCOL}"))
        if self.setting.resume and able.get("loadSession") is not True:
            return self._opened((ErrorClass.FAILED, "it cannot load the sessions of before"))
        over_http = mapping_of(able, "mcpCapabilities").get("http") is True
        unreachable = [each.name for each in self.setting.servers if each.url and not over_http]
        if unreachable:
            text = f"it cannot use MCP servers over HTTP: {', '.join(unreachable)}"
            return self._opened((ErrorClass.FAILED, text))
        if not self.agent.auth:
            return self._open_session({}, {})
        self._request("authenticate", self._open_session, methodId=self.agent.auth)
        return None

    def _open_session(self, _result: Record, error: Record) -> list[Event] | None:
        if error:
            return self._opened((ErrorClass.AUTH, sentence(error)))
        known = {"sessionId": self.setting.conversation} if self.setting.resume else {}
        self._request(
            "session/load" if self.setting.resume else "session/new",
            self._on_session,
            **known,
            cwd=self.setting.cwd,
            mcpServers=[server_of(each) for each in self.setting.servers],
        )
        return None

    def _on_session(self, result: Record, error: Record) -> list[Event] | None:
        session = self.setting.conversation if self.setting.resume else text_of(result, "sessionId")
        if error or not session:
            text = sentence(error) or "it gave no session"
            if self.setting.resume and is_unknown(error):
                self.lost = text
            return self._opened((of_error(error), text))
        self.session = session
        self._modes, models = choice_of(result, "mode"), choice_of(result, "model")
        self._first_mode, self._model = self._modes.current, models.current
        model = self.agent.model
        if not model or model == models.current:
            return self._settle()
        if model not in models.offered:
            offered = ", ".join(models.offered) or "none to choose from"
            text = f"the program has no model {model!r} (it has {offered})"
            return self._opened((ErrorClass.BAD_REQUEST, text))
        self._choose("model", models, model, self._on_model)
        return None

    def _on_model(self, _result: Record, error: Record) -> list[Event] | None:
        if error:
            return self._opened((ErrorClass.BAD_REQUEST, sentence(error)))
        self._model = self.agent.model
        return self._settle()

    def _settle(self) -> list[Event] | None:
        """Wait until it has told what was before."""
        if not self.setting.resume:
            return self._opened(None)
        self._told, self._pings = False, self._pings + 1
        self._request(PING, self._on_ping)
        return None

    def _on_ping(self, _result: Record, _error: Record) -> list[Event] | None:
        if self._told and self._pings < _PINGS:
            return self._settle()
        if self._has_begun and not self._has_recalled:
            self.lost = "it began another of the same name"
            return self._opened((ErrorClass.FAILED, self.lost))
        return self._opened(None)

    def _opened(self, trouble: Trouble | None) -> list[Event]:
        self._trouble = trouble
        self.state = State.IDLE
        if trouble is not None:
            return [Ready()]
        started = ConversationStarted(
            conversation=self.session,
            model=self._model,
            version=self.version,
            credential=self.agent.auth,
        )
        return [started, Ready()]

    # ------------------------------------------------------------ towards the program

    def _choose(self, what: str, choice: Choice, value: str, then: Then) -> None:
        """Have the program take another mode, or model."""
        if choice.option:
            said = {"configId": choice.option, "value": value}
            self._request("session/set_config_option", then, sessionId=self.session, **said)
        else:
            said = {f"{what}Id": value}
            self._request(f"session/set_{what}", then, sessionId=self.session, **said)

    def _answer(self, number: object, options: list[object], *, allow: bool) -> None:
        """Answer whether it may: this once, never for ever."""
        chosen = option_of(options, allow=allow) or option_of(options, allow=False)
        outcome = (
            {"outcome": "selected", "optionId": chosen} if chosen else {"outcome": "cancelled"}
        )
        self._send_answer(number, {"outcome": outcome})

    def _send_answer(self, number: object, result: Record) -> None:
        self._reply(number, {"result": result})

    def _reply(self, number: object, said: Record) -> None:
        self._send({"jsonrpc": "2.0", "id": number, **said})

    def _notify(self, method: str, **params: object) -> None:
        self._send({"jsonrpc": "2.0", "method": method, "params": params})

    def _request(self, method: str, then: Then, **params: object) -> None:
        self._ids += 1
        self._waiting[self._ids] = then
        self._send({"jsonrpc": "2.0", "id": self._ids, "method": method, "params": params})
