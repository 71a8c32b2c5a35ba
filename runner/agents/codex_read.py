"""How the parts of codex's messages are read: items, token counts, limits. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from runner.agents.claude_read import as_time
from runner.agents.events import (
    Event,
    FileChange,
    RateLimited,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    Usage,
)
from runner.agents.lines import list_of, mapping_of, number_of, text_of, whole_of

Record: TypeAlias = Mapping[str, object]

# The items that are tools, and the fields that are their input.
_TOOLS = {
    "commandExecution": ("command", "cwd"),
    "fileChange": ("changes",),
    "mcpToolCall": ("server", "tool", "arguments"),
    "dynamicToolCall": ("tool", "arguments"),
    "webSearch": ("query",),
}


def of_started(item: Record) -> list[Event] | None:
    """The event of an item that begins; None if it has no translation."""
    kind = text_of(item, "type")
    if kind not in _TOOLS:
        return None
    given = {key: item[key] for key in _TOOLS[kind] if key in item}
    return [ToolCall(id=text_of(item, "id"), name=kind, input=given)]


def of_completed(item: Record) -> list[Event] | None:
    """The event of an item that has ended; None if it has no translation."""
    kind = text_of(item, "type")
    if kind == "agentMessage":
        return [Text(text=text_of(item, "text"))]
    if kind == "reasoning":
        parts = list_of(item, "summary") or list_of(item, "content")
        text = "\n".join(part for part in parts if isinstance(part, str))
        return [Thinking(text=text)] if text else None
    if kind not in _TOOLS:
        return None
    ok = text_of(item, "status") in {"completed", ""} and not whole_of(item, "exitCode")
    ended = ToolResult(
        id=text_of(item, "id"),
        ok=ok and not item.get("error"),
        text=text_of(item, "aggregatedOutput") or _text_in(item) or text_of(item, "status"),
    )
    return [ended, *_changes(item)] if ended.ok and kind == "fileChange" else [ended]


def usage_of(counts: Record) -> Usage:
    """The tokens that a record counts; its input tokens are all, those from a cache too."""
    cached = whole_of(counts, "cachedInputTokens")
    written = whole_of(counts, "cacheWriteInputTokens")
    return Usage(
        input_tokens=whole_of(counts, "inputTokens") - cached - written,
        cached_tokens=cached,
        cache_write_tokens=written,
        output_tokens=whole_of(counts, "outputTokens"),
    )


def rate_limited(limits: Record) -> RateLimited | None:
    """What is known of a limit that has been reached; None if none has."""
    reached = text_of(limits, "rateLimitReachedType")
    windows = [mapping_of(limits, name) for name in ("primary", "secondary")]
    spent = [each for each in windows if (number_of(each, "usedPercent") or 0.0) >= 100.0]
    if not (reached or spent):
        return None
    times = [time for each in spent if (time := as_time(number_of(each, "resetsAt")))]
    return RateLimited(resets_at=max(times, default=None), message=reached)


def _changes(item: Record) -> list[Event]:
    """The files that a change of files changed."""
    events: list[Event] = []
    for each in list_of(item, "changes"):
        if not isinstance(each, dict):
            continue
        path, kind = text_of(each, "path"), mapping_of(each, "kind")
        match text_of(kind, "type"):
            case "add":
                events.append(FileChange(path=path, kind="created"))
            case "delete":
                events.append(FileChange(path=path, kind="deleted"))
            case _ if moved := text_of(kind, "move_path"):
                events.append(FileChange(path=path, kind="deleted"))
                events.append(FileChange(path=moved, kind="created"))
            case _:
                events.append(FileChange(path=path, kind="modified"))
    return events


def credential_of(account: Record) -> str:
    """What codex says it uses towards its provider: the kind of an account, and its plan."""
    kind, plan = text_of(account, "type"), text_of(account, "planType")
    return f"{kind}/{plan}" if plan else kind


def _text_in(item: Record) -> str:
    """The text of an MCP tool's result, or of its error."""
    failure = text_of(mapping_of(item, "error"), "message")
    blocks = list_of(mapping_of(item, "result"), "content")
    texts = [text_of(block, "text") for block in blocks if isinstance(block, dict)]
    return failure or "\n".join(texts)
