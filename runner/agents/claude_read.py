"""How the parts of Claude Code's messages are read: blocks, usage, times, versions. Pure."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TypeAlias

from runner.agents.events import (
    Event,
    FileChange,
    RateLimited,
    ServerFailed,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    Usage,
)
from runner.agents.lines import list_of, mapping_of, number_of, text_of, whole_of
from runner.agents.servers import McpServer

Record: TypeAlias = Mapping[str, object]


def of_answer(answer: Record, *, own: bool) -> list[Event]:
    """The events of an answer of the model; a subagent's words are not the agent's own."""
    events: list[Event] = []
    for block in list_of(answer, "content"):
        if not isinstance(block, dict):
            continue
        match text_of(block, "type"):
            case "text" if own:
                events.append(Text(text=text_of(block, "text")))
            case "thinking" if own:
                events.append(Thinking(text=text_of(block, "thinking")))
            case "tool_use":
                given = mapping_of(block, "input")
                name = text_of(block, "name")
                events.append(ToolCall(id=text_of(block, "id"), name=name, input=given))
            case _:
                pass
    return events


def of_results(message: Record) -> list[Event]:
    """The events of a message that brings the results of tools."""
    return [
        ToolResult(
            id=text_of(block, "tool_use_id"),
            ok=block.get("is_error") is not True,
            text=text_in(block.get("content")),
        )
        for block in list_of(message, "content")
        if isinstance(block, dict) and block.get("type") == "tool_result"
    ]


def of_change(result: Record) -> list[Event]:
    """The file that a tool changed, if its own record of what it did says so."""
    path = text_of(result, "filePath")
    if path and ("structuredPatch" in result or "oldString" in result):
        created = text_of(result, "type") == "create"
        return [FileChange(path=path, kind="created" if created else "modified")]
    path = text_of(result, "notebook_path")
    return [FileChange(path=path, kind="modified")] if path and not result.get("error") else []


def credential_of(account: Record) -> str:
    """What the program says it uses towards its provider: its own word for where it is from."""
    for key in ("apiKeySource", "tokenSource"):
        if (word := text_of(account, key)) not in {"", "none"}:
            return word
    return ""


def of_rate_limit(info: Record) -> RateLimited | None:
    """What is known of a limit that has been reached; None if it has not."""
    if text_of(info, "status") != "rejected":
        return None
    resets_at = as_time(number_of(info, "resetsAt"))
    return RateLimited(resets_at=resets_at, message=text_of(info, "rateLimitType"))


def text_in(content: object) -> str:
    """The text of a tool's result: a text, or a list of blocks."""
    if isinstance(content, str):
        return content
    blocks = content if isinstance(content, list) else []
    return "\n".join(text_of(block, "text") for block in blocks if isinstance(block, dict))


def usage_of(usage: Record) -> Usage:
    """The tokens that a usage record counts."""
    return Usage(
        input_tokens=whole_of(usage, "input_tokens"),
        cached_tokens=whole_of(usage, "cache_read_input_tokens"),
        cache_write_tokens=whole_of(usage, "cache_creation_input_tokens"),
        output_tokens=whole_of(usage, "output_tokens"),
    )


def as_time(seconds: float | None) -> datetime | None:
    """A time in seconds since 1970; None if there is none, or no calendar has it."""
    try:
        return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, ValueError, OSError):
        return None


def as_uuid(turn: str) -> str:
    """The uuid of a turn's line: the turn's id if it is one, else a new one.

    A new one, not one made from the id: the program silently drops a line whose uuid it has seen
    in this conversation.
    """
    try:
        return str(uuid.UUID(turn))
    except ValueError:
        return str(uuid.uuid4())


def version_of(text: str) -> tuple[int, ...]:
    """The numbers of a version such as `2.1.197`; none if it has none."""
    found = re.match(r"(\d+)\.(\d+)\.(\d+)", text)
    return tuple(int(part) for part in found.groups()) if found else ()


# ---------------------------------------------------------------- servers of tools


def servers_of(servers: tuple[McpServer, ...]) -> dict[str, object]:
    """Servers as it is told of them."""
    return {each.name: _server(each) for each in servers}


def _server(server: McpServer) -> dict[str, object]:
    if server.url:
        return {"type": "http", "url": server.url, "headers": server.headers}
    program, *args = server.command
    return {"type": "stdio", "command": program, "args": args, "env": server.env}


def of_servers(servers: tuple[McpServer, ...], response: Record) -> list[Event]:
    """Which of them it cannot use, by its answer; an old version does not know the request."""
    refused = text_of(response, "error")
    if refused:
        return [ServerFailed(name=each.name, reason=refused) for each in servers]
    failed = mapping_of(mapping_of(response, "response"), "errors")
    return [ServerFailed(name=name, reason=text_of(failed, name)) for name in failed]
