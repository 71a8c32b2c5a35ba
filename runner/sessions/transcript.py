"""The transcript of a session: prompts, events and results, one JSON line each; only added to.

    {"at": ..., "turn": 1, "prompt": "..."}
    {"at": ..., "turn": 1, "event": "ToolCall", "data": {...}}
    {"at": ..., "turn": 1, "result": {...}}

A cursor is where a line ends, in bytes from the start: whoever has seen everything up to a cursor
reads on from there, also while somebody writes. A line that cannot be written is counted and no
error: a full disk must not end the turn that may be about to free it. A line that a full disk or a
SIGKILL left half is ended before the next, and readers pass over it.

What is not here: who may write (store.py), and what happens (notes.py).
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import IO, Any, get_args

import attrs
import msgspec

from runner.agents.events import (
    Event,
    Raw,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    UsageChanged,
)
from runner.sessions.turn import SessionEvent

# What a transcript keeps of one untranslated line of the program: its start.
RAW_LIMIT = 16 << 10
CHUNK = 1 << 18
# Events of which there are many; none has bytes or a time in it, which msgspec says in its own way.
_SIMPLE = (Text, Thinking, ToolCall, ToolResult, UsageChanged)
# How much of earlier turns a new conversation is told; some 25,000 tokens.
CONTEXT_LIMIT = 100_000


@attrs.define(eq=False)
class Transcript:
    """A transcript that is written.

    Lines that are added `with` it, in one synchronous block, are written together at its end.

    Attributes:
        path: of its file, made at the first line.
        lost: how many lines could not be written.
    """

    path: str
    lost: int = 0
    _file: IO[bytes] | None = None
    _end: int = 0  # of that file and what is held; nobody else adds to it
    _held: list[bytes] | None = None
    _at: str = ""  # when that is held

    def note(self, **what: object) -> int:
        """Add a line: what happened, and when. One that cannot be is counted.

        Returns:
            The cursor after it.
        """
        at = self._at or datetime.now(UTC).isoformat()
        try:
            line = _json_of({"at": at, **what}) + b"\n"
            if self._file is None:
                self._file = _open_lines(self.path)
                self._end = self._file.tell()
        except (RecursionError, OSError):  # a program may nest as deep as can just be read
            self.lost += 1
            return self.cursor
        self._end += len(line)
        if self._held is None:
            self._write([line])
        else:
            self._held.append(line)
        return self.cursor

    def __enter__(self) -> None:
        self._held, self._at = [], datetime.now(UTC).isoformat()

    def __exit__(self, *_: object) -> None:
        held, self._held, self._at = self._held, None, ""
        if held:
            self._write(held)

    def _write(self, lines: list[bytes]) -> None:
        assert self._file is not None
        data = b"".join(lines)
        try:
            written = self._file.write(data)
        except OSError:
            written = 0
        if written != len(data):
            self.lost += len(lines) - data[:written].count(b"\n")
            self._end -= len(data) - written
            if written:  # what there was room for; opening it anew ends that line
                self.rest()

    @property
    def cursor(self) -> int:
        """Where it ends now."""
        if self._file is not None:
            return self._end
        try:
            return os.stat(self.path).st_size
        except OSError:  # nothing was noted yet
            return 0

    def rest(self) -> None:
        """Let go of the file until there is something to add."""
        if self._held:
            held, self._held = self._held, []
            self._write(held)
        if self._file is not None:
            self._file.close()
            self._file = None


def _open_lines(path: str) -> IO[bytes]:
    """Open a file to add lines; one that was left half is ended first."""
    file = open(path, "ab", buffering=0, opener=_owner_only)  # noqa: SIM115
    try:
        if not _is_whole(path, file.tell()):
            file.write(b"\n")
    except OSError:
        file.close()
        raise
    return file


def _is_whole(path: str, size: int) -> bool:
    if size == 0:
        return True
    with open(path, "rb", buffering=0) as file:
        file.seek(size - 1)
        return file.read(1) == b"\n"


def _owner_only(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CLOEXEC, 0o600)


def _json_of(line: Mapping[str, object]) -> bytes:
    """A line as JSON, in the quick way for most events: a tenth of the time."""
    if isinstance(line.get("data"), _SIMPLE):
        with suppress(ValueError, OverflowError):  # half a character, a number of many digits
            return msgspec.json.encode(line, enc_hook=_plain)
    return json.dumps(line, default=_plain).encode()


def _plain(value: Any) -> object:
    """What JSON has no word for, as something it has."""
    if attrs.has(type(value)):
        return {field.name: getattr(value, field.name) for field in attrs.fields(type(value))}
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, bytes):
        kept = value[:RAW_LIMIT].decode("utf-8", "backslashreplace")
        return kept if len(value) <= RAW_LIMIT else f"{kept}[... {len(value) - RAW_LIMIT} more]"
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value)


# ---------------------------------------------------------------- reading


@attrs.frozen
class Line:
    """A line of a transcript, and the cursor after it."""

    cursor: int
    value: Mapping[str, Any]

    @property
    def turn(self) -> int:
        """Of which turn it is; 0 = of none."""
        turn = self.value.get("turn")
        return turn if isinstance(turn, int) else 0


def read_lines(path: str, since: int = 0, until: int | None = None) -> Iterator[Line]:
    """The whole lines between two cursors; what is no JSON object is passed over.

    Args:
        path: of the file; one that is not there has no lines.
        since: where to begin.
        until: where to end; None = at the end of the file, as it is when that is reached.
    """
    try:
        file = open(path, "rb", buffering=0)  # noqa: SIM115 - a generator may be left early
    except FileNotFoundError:
        return
    with file:
        file.seek(since)
        cursor, pieces = since, [b""]
        while until is None or file.tell() < until:
            room = CHUNK if until is None else min(CHUNK, until - file.tell())
            chunk = file.read(room)
            if not chunk:
                return
            *ended, rest = chunk.split(b"\n")
            for each in ended:
                line = b"".join((*pieces, each))
                pieces = []
                cursor += len(line) + 1
                value = _object_of(line)
                if value is not None:
                    yield Line(cursor, value)
            pieces.append(rest)


def _object_of(line: bytes) -> Mapping[str, Any] | None:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


_EVENTS: Mapping[str, type] = {each.__name__: each for each in get_args(Event)}


def event_of(line: Line) -> SessionEvent | None:
    """The event that a line is about, as it was; None if it is about none that we know."""
    cls = _EVENTS.get(line.value.get("event", ""))
    data = line.value.get("data")
    if cls is None or not isinstance(data, dict):
        return None
    if cls is Raw:
        data = data | {"data": str(data.get("data", "")).encode("utf-8", "backslashreplace")}
    try:
        event: Event = msgspec.convert(data, cls)
    except (ValueError, RecursionError):  # of another version
        return None
    return SessionEvent(turn=line.turn, event=event, cursor=line.cursor)


def context_of(path: str, until: int | None = None, *, limit: int = CONTEXT_LIMIT) -> str:
    """The turns as text, to be told to a conversation that has not been in them.

    Args:
        path: of the transcript.
        until: the number of the last turn to tell; None = all.
        limit: characters, about; the latest turns are kept.

    Returns:
        What the user said and what the agent answered; empty if there was nothing.
    """
    told: list[str] = []
    for line in read_lines(path):
        if until is not None and line.turn > until:
            break
        prompt, result = line.value.get("prompt", line.value.get("steer")), line.value.get("result")
        if isinstance(prompt, str):
            told.append(f"User: {prompt.strip()}")
        elif isinstance(result, dict):
            told.append(_answer(result))
    kept: list[str] = []
    for each in reversed(told):
        if len(each) > limit and kept:
            break
        kept.append(each if len(each) <= limit else f"{each[:limit]} [...]")
        limit -= len(kept[-1])
        if limit <= 0:
            break
    left_out = len(told) - len(kept)
    if left_out:
        kept.append(f"[{left_out} earlier messages are left out]")
    return "\n\n".join(reversed(kept))


def _answer(result: Mapping[str, object]) -> str:
    words = ["Agent:", str(result.get("final_message") or "").strip()]
    if not result.get("ok"):
        why = result.get("error_text") or result.get("error") or "it failed"
        words.append(f"[this turn did not come to a good end: {why}]")
    return " ".join(filter(None, words))
