"""The transcript of a session: prompts, events and results, one JSON line each; only added to.

    {"at": ..., "turn": 1, "prompt": "..."}
    {"at": ..., "turn": 1, "event": "ToolCall", "data": {...}}
    {"at": ..., "turn": 1, "result": {...}}
    {"at": ..., "turn": 2, "never_began": true}              what its prompt came to; the next is 2
    {"at": ..., "lost": 3}                                   what there was no room for

A cursor is where a line ends, in bytes from the start: whoever has seen everything up to a cursor
reads on from there, also while somebody writes. A line that cannot be written is counted and no
error: a full disk must not end the turn that may be about to free it. It keeps its place, so that
no other line has its cursor: the file has a hole there, which takes no room, and the next line that
can be written says before it how many are missing. So does the first of a new owner, where a kill
or a full disk left the last one half.

What is not here: reading it (lines.py), who may write (store.py), and what happens (notes.py).
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import IO, Any

import attrs
import msgspec

from runner.agents.events import Text, Thinking, ToolCall, ToolResult, UsageChanged

# What a transcript keeps of one untranslated line of the program: its start.
RAW_LIMIT = 16 << 10
# Events of which there are many; none has bytes or a time in it, which msgspec says in its own way.
_SIMPLE = (Text, Thinking, ToolCall, ToolResult, UsageChanged)


@attrs.define(eq=False)
class Transcript:
    """A transcript that is written.

    Lines that are added `with` it, in one synchronous block, are written together at its end.

    Attributes:
        path: of its file, made at the first line.
        lost: how many lines could not be written.
        missing: how many of these no line in the file tells of yet.
    """

    path: str
    lost: int = 0
    missing: int = 0
    _file: IO[bytes] | None = None
    _end: int | None = None  # of all lines, lost and held ones too; None = not known yet
    _held: list[bytes] | None = None
    _telling: bytes = b""  # what stands before the first of these: what is missing
    _at: str = ""  # when that is held

    def note(self, **what: object) -> int:
        """Add a line: what happened, and when. One that cannot be is counted.

        Returns:
            The cursor after it.
        """
        at = self._at or datetime.now(UTC).isoformat()
        line = b"\n"
        try:
            line = _json_of({"at": at, **what}) + line
            self._open()
        except (RecursionError, OSError):  # a program may nest as deep as can just be read
            return self._lose(len(line))
        if self.missing and not self._telling:
            # It ends what is there of the lost ones.
            self._telling = b"\n%s\n" % _json_of({"at": at, "lost": self.missing})
            self._end = self.cursor + len(self._telling)
        self._end = self.cursor + len(line)
        if self._held is None:
            self._write([line])
        else:
            self._held.append(line)
        return self._end

    def __enter__(self) -> None:
        self._held, self._at = [], datetime.now(UTC).isoformat()

    def __exit__(self, *_: object) -> None:
        self._write_held()
        self._held, self._at = None, ""

    def _write_held(self) -> None:
        if self._held:
            held, self._held = self._held, []
            self._write(held)

    def _write(self, lines: list[bytes]) -> None:
        assert self._file is not None
        telling, self._telling = self._telling, b""
        data = telling + b"".join(lines)
        end = self.cursor
        try:
            written = os.pwrite(self._file.fileno(), data, end - len(data))
        except OSError:
            written = 0
        if telling and written >= len(telling):
            self.missing = 0
        if written != len(data):
            lost = len(lines) - data[len(telling) : written].count(b"\n")
            self.lost += lost
            self.missing += lost
            self._keep_place()

    def _keep_place(self) -> None:
        """Let the file be as long as what was lost would have made it: a hole takes no room."""
        with suppress(OSError):  # for who opens it after us; we know it ourselves
            os.truncate(self.path, self.cursor)

    def _lose(self, size: int) -> int:
        """A line of about this size cannot be: it has its place all the same."""
        with suppress(OSError):
            self._open()
        self._write_held()
        self._end = self.cursor + size
        self.lost += 1
        self.missing += 1
        return self._end

    @property
    def cursor(self) -> int:
        """Where it ends now."""
        if self._end is not None:
            return self._end
        try:
            return os.stat(self.path).st_size
        except OSError:  # nothing was noted yet
            return 0

    def rest(self) -> None:
        """Let go of the file until there is something to add."""
        self._write_held()
        if self.missing:
            self._keep_place()
        if self._file is not None:
            self._file.close()
            self._file = None

    def _open(self) -> None:
        if self._file is not None:
            return
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        file = os.fdopen(os.open(self.path, flags, 0o600), "r+b", buffering=0)
        size = os.fstat(file.fileno()).st_size
        is_whole = size == 0 or os.pread(file.fileno(), 1, size - 1) == b"\n"
        self._file, end = file, size if self._end is None else self._end
        if not self.missing and (size < end or not is_whole):
            self.missing = 1  # or more: who wrote it before us did not live to tell
        self._end = end


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
