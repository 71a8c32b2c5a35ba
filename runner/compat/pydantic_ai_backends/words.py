"""pydantic-ai-backend's records: what its backends answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NotRequired, TypedDict


class FileData(TypedDict):
    """A file as `StateBackend` keeps it: lines of text, or one base64 text; always JSON."""

    content: list[str]
    created_at: str
    modified_at: str
    encoding: NotRequired[Literal["base64"]]


class FileInfo(TypedDict):
    """An entry of a listing; times are ISO 8601, UTC."""

    name: str
    path: str
    is_dir: bool
    size: int | None
    modified_at: NotRequired[str | None]


class GrepMatch(TypedDict):
    """A line that matched; `line_number` is from 1."""

    path: str
    line_number: int
    line: str


@dataclass
class WriteResult:
    """What came of a write: the path, or the error."""

    path: str | None = None
    error: str | None = None


@dataclass
class EditResult:
    """What came of an edit: the path and how often, or the error."""

    path: str | None = None
    error: str | None = None
    occurrences: int | None = None


@dataclass
class ExecuteResponse:
    """What came of a command: its standard output, then its standard error."""

    output: str
    exit_code: int | None = None
    truncated: bool = False


@dataclass
class BackgroundHandle:
    """A command that was started."""

    shell_id: str
    pid: int
    command: str


@dataclass
class BackgroundOutput:
    """What has come of a started command since the last look."""

    shell_id: str
    stdout: str
    stderr: str
    running: bool
    exit_code: int | None = None


@dataclass
class BackgroundProcessInfo:
    """A started command, in a list."""

    shell_id: str
    command: str
    pid: int
    running: bool
    exit_code: int | None = None


NOT_FOUND = "String '{old}' not found in file"
TOO_OFTEN = (
    "String '{old}' found {n} times. Use replace_all=True to replace all, or provide more context."
)


def replaced(
    text: str, old: str, new: str, *, replace_all: bool, shown: str | None = None
) -> tuple[str, int] | str:
    """A text with a piece replaced, and how often; or why it cannot be, of `shown` if not of it."""
    count = text.count(old)
    if count == 0:
        return NOT_FOUND.format(old=shown or old)
    if count > 1 and not replace_all:
        return TOO_OFTEN.format(old=shown or old, n=count)
    return text.replace(old, new), count


def window(lines: list[str], offset: int, limit: int) -> str:
    """Lines with their numbers, and how many there are more; or the error that there is none."""
    offset = max(offset, 0)
    if offset >= len(lines):
        return f"Error: Offset {offset} exceeds file length ({len(lines)} lines)"
    end = min(offset + limit, len(lines))
    shown = "\n".join(f"{n + 1:>6}\t{lines[n]}" for n in range(offset, end))
    return shown if end == len(lines) else f"{shown}\n\n... ({len(lines) - end} more lines)"
