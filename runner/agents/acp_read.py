"""How the parts of the Agent Client Protocol's messages are read. Pure functions and values.

Source: the protocol's schema, version 1, and what gemini-cli and opencode say.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from typing import TypeAlias

import attrs

from runner.agents.asking import ApprovalAsked, ApprovalKind
from runner.agents.driver import McpServer
from runner.agents.events import ErrorClass, Event, FileChange, ToolCall, ToolResult, Usage
from runner.agents.lines import decode, list_of, mapping_of, number_of, text_of, whole_of
from runner.agents.provider import by_status

Record: TypeAlias = Mapping[str, object]

_NOT_FOUND = -32002
_UNKNOWN = re.compile(r"(?i)not found|no (previous|such) session|(invalid|unknown) session")
_AUTH_REQUIRED = -32000  # the protocol's own; the rest below -32000 is JSON-RPC's

_STOPS = {
    "end_turn": None,
    "cancelled": ErrorClass.INTERRUPTED,
    "refusal": ErrorClass.REFUSED,
    "max_turn_requests": ErrorClass.BUDGET,
    "max_tokens": ErrorClass.FAILED,  # of the answer or of the context: it is not said
}

_KINDS: dict[str, ApprovalKind] = {
    "execute": "command",
    "edit": "edit",
    "delete": "edit",
    "move": "edit",
}


# ---------------------------------------------------------------- tools


@attrs.define(eq=False, kw_only=True)
class Tool:
    """What has been said of a tool call so far; each message says a part.

    Attributes:
        announced: its `ToolCall` has been said.
        ended: its `ToolResult` has been said.
    """

    id: str
    kind: str = ""
    title: str = ""
    status: str = "pending"
    input: Record = attrs.field(factory=dict)
    content: list[object] = attrs.field(factory=list)
    paths: tuple[str, ...] = ()
    announced: bool = False
    ended: bool = False

    def take(self, said: Record) -> None:
        """Take what a message says of it."""
        kind = text_of(said, "kind")
        if not self.kind or kind not in {"", "other"}:  # "other" is what is asked about, at times
            self.kind = kind or self.kind
        # The first title is the shortest: later ones are of the result.
        self.title = self.title or text_of(said, "title")
        self.status = text_of(said, "status") or self.status
        self.input = mapping_of(said, "rawInput") or self.input
        self.content = list_of(said, "content") or self.content
        self.paths = _paths(said) or self.paths

    def events(self) -> list[Event]:
        """What there is to say of it now that has not been said."""
        events: list[Event] = []
        if self.status != "pending":
            events += self.announce()
        if self.status in {"completed", "failed"} and not self.ended:
            self.ended = True
            ok = self.status == "completed"
            events.append(ToolResult(id=self.id, ok=ok, text=_text_in(self.content)))
            events += _changes(self.content) if ok else []
        return events

    def announce(self) -> list[Event]:
        """Its beginning, if that has not been said."""
        if self.announced:
            return []
        self.announced = True
        return [ToolCall(id=self.id, name=self.name, input=self.given)]

    def abandon(self, text: str = "") -> list[Event]:
        """Its end, if the program has said none."""
        if self.ended or not self.announced:
            return []
        self.ended = True
        return [ToolResult(id=self.id, ok=False, text=text)]

    @property
    def name(self) -> str:
        """What it is called: the protocol has kinds, and titles for people, but no names."""
        return self.kind if self.kind not in {"", "other"} else self.title

    @property
    def given(self) -> Record:
        """What it gets, as far as it is said."""
        return self.input or {"title": self.title, "paths": list(self.paths)}

    def asked(self, approval: str, said: Record) -> ApprovalAsked:
        """The event of the program's asking whether it may."""
        kind = _KINDS.get(self.kind, "tool")
        title = text_of(said, "title") or self.title
        return ApprovalAsked(
            id=approval,
            tool=self.name,
            input=mapping_of(said, "rawInput") or self.given,
            kind=kind,
            text=(_command(self.input) if kind == "command" else "") or title,
            # A command's is the directory that it runs in.
            paths=() if kind == "command" else _paths(said) or self.paths,
        )


def _command(given: Record) -> str:
    command = given.get("command")
    if isinstance(command, list):
        return shlex.join(word for word in command if isinstance(word, str))
    return command if isinstance(command, str) else ""


def _paths(said: Record) -> tuple[str, ...]:
    """Where it works: the places that are named, and the files of its differences."""
    named = [*list_of(said, "locations"), *list_of(said, "content")]
    paths = (text_of(each, "path") for each in named if isinstance(each, dict))
    return tuple(dict.fromkeys(path for path in paths if path))


def _text_in(content: list[object]) -> str:
    blocks = (mapping_of(each, "content") for each in content if isinstance(each, dict))
    return "\n".join(text for block in blocks if (text := text_of(block, "text")))


def _changes(content: list[object]) -> list[Event]:
    """The files that a tool's differences are of."""
    events: list[Event] = []
    for each in content:
        if not isinstance(each, dict) or text_of(each, "type") != "diff":
            continue
        path, word = text_of(each, "path"), text_of(mapping_of(each, "_meta"), "kind")
        if word == "delete":
            events.append(FileChange(path=path, kind="deleted"))
        elif word == "add" or not text_of(each, "oldText"):
            events.append(FileChange(path=path, kind="created"))
        else:
            events.append(FileChange(path=path, kind="modified"))
    return events


# ---------------------------------------------------------------- ends


def of_stop(stop: str) -> ErrorClass | None:
    """The class of an end; None for a good one."""
    return _STOPS.get(stop, ErrorClass.FAILED)


def of_error(error: Record) -> ErrorClass:
    """The class of a request's error: gemini gives the provider's HTTP status for a code."""
    code = whole_of(error, "code")
    if code == _AUTH_REQUIRED:
        return ErrorClass.AUTH
    return by_status(code) or ErrorClass.FAILED


def is_unknown(error: Record) -> bool:
    """Whether it is about a session that the program does not have, to which it was asked to go."""
    service = text_of(mapping_of(error, "data"), "service")  # opencode says no more
    is_said = service == "session" or _UNKNOWN.search(sentence(error)) is not None
    return is_said or whole_of(error, "code") == _NOT_FOUND


def sentence(error: Record) -> str:
    """What an error says, to people."""
    message = text_of(error, "message")
    # The provider's own error body, as it came.
    body = mapping_of(decode(message.encode("utf-8", "replace")) or {}, "error")
    message = text_of(body, "message") or message
    details = text_of(mapping_of(error, "data"), "details")
    return f"{message}: {details}" if details else message


def usage_of(answer: Record) -> Usage:
    """The tokens of a turn, from its answer: what stands there is the program's choice.

    `usage` is opencode's (of the turn's last request only), `_meta.quota` gemini's (of all, those
    from a cache among the input).
    """
    counts = mapping_of(answer, "usage")
    if counts:
        return Usage(
            input_tokens=whole_of(counts, "inputTokens"),
            cached_tokens=whole_of(counts, "cachedReadTokens"),
            cache_write_tokens=whole_of(counts, "cachedWriteTokens"),
            output_tokens=whole_of(counts, "outputTokens") + whole_of(counts, "thoughtTokens"),
        )
    counts = mapping_of(mapping_of(mapping_of(answer, "_meta"), "quota"), "token_count")
    return Usage(
        input_tokens=whole_of(counts, "input_tokens"),
        output_tokens=whole_of(counts, "output_tokens"),
    )


def cost_of(update: Record) -> float | None:
    """What the whole conversation has cost so far, if that is said in dollars."""
    cost = mapping_of(update, "cost")
    return number_of(cost, "amount") if text_of(cost, "currency") == "USD" else None


# ---------------------------------------------------------------- what is offered


@attrs.frozen(kw_only=True)
class Choice:
    """Something that a program lets be chosen: its modes, or its models.

    Attributes:
        current: what is chosen now; empty if nothing is offered.
        offered: the ids.
        option: the id of the program's option; empty if it has the older way.
    """

    current: str = ""
    offered: tuple[str, ...] = ()
    option: str = ""


def choice_of(opened: Record, what: str) -> Choice:
    """What is offered of a category ("mode" or "model") by what a session's opening says."""
    for each in list_of(opened, "configOptions"):
        if isinstance(each, dict) and text_of(each, "category") == what:
            values = tuple(_values(each))
            current = text_of(each, "currentValue")
            return Choice(current=current, offered=values, option=text_of(each, "id"))
    offers = mapping_of(opened, f"{what}s")
    key = "id" if what == "mode" else "modelId"
    listed = list_of(offers, f"available{what.capitalize()}s")
    named = [text_of(each, key) for each in listed if isinstance(each, dict)]
    return Choice(current=text_of(offers, f"current{what.capitalize()}Id"), offered=tuple(named))


def _values(option: Record) -> list[str]:
    """The values of an option; they can stand in groups."""
    found: list[str] = []
    for each in list_of(option, "options"):
        if isinstance(each, dict):
            value = text_of(each, "value")
            found += [value] if value else _values(each)
    return found


def server_of(server: McpServer) -> dict[str, object]:
    """An MCP server, as the protocol hands it over."""
    if server.url:
        headers = [{"name": name, "value": value} for name, value in server.headers.items()]
        return {"type": "http", "name": server.name, "url": server.url, "headers": headers}
    program, *args = server.command
    env = [{"name": name, "value": value} for name, value in server.env.items()]
    return {"name": server.name, "command": program, "args": args, "env": env}


def option_of(options: list[object], *, allow: bool) -> str:
    """The option that says yes, or no, this once; empty if there is none."""
    wanted = "allow_once" if allow else "reject_once"
    ids = [
        text_of(each, "optionId")
        for each in options
        if isinstance(each, dict) and text_of(each, "kind") == wanted
    ]
    return ids[0] if ids else ""
