"""How the parts of Claude Code's messages are read: blocks, usage, times, versions. Pure."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TypeAlias

from runner.agents.events import Event, Text, Thinking, ToolCall, Usage
from runner.agents.lines import mapping_of, text_of, whole_of

Record: TypeAlias = Mapping[str, object]


def of_block(block: Record, *, own: bool) -> list[Event]:
    """The event of a block of an answer; a subagent's words are not the agent's own."""
    match text_of(block, "type"):
        case "text" if own:
            return [Text(text=text_of(block, "text"))]
        case "thinking" if own:
            return [Thinking(text=text_of(block, "thinking"))]
        case "tool_use":
            return [
                ToolCall(
                    id=text_of(block, "id"),
                    name=text_of(block, "name"),
                    input=mapping_of(block, "input"),
                )
            ]
        case _:
            return []


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
