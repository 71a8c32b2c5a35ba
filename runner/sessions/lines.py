"""The lines of a transcript, as they are read: from any cursor, also while somebody writes.

What is no whole line of JSON is passed over: half a line that a kill has left, the hole where a
full disk took none. A line after that says how many are missing (transcript.py).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, get_args

import attrs
import msgspec

from runner.agents.events import Event, Raw
from runner.sessions.turn import SessionEvent

CHUNK = 1 << 18


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

    @property
    def lost(self) -> int:
        """About how many lines are missing before it; 1 = some."""
        lost = self.value.get("lost")
        return lost if isinstance(lost, int) else 0


def read_lines(
    path: str, since: int = 0, until: int | None = None, having: Sequence[bytes] = ()
) -> Iterator[Line]:
    """The whole lines between two cursors; what is no JSON object is passed over.

    Args:
        path: of the file; one that is not there has no lines.
        since: where to begin.
        until: where to end; None = at the end of the file, as it is when that is reached.
        having: only lines that have one of these in them; none = all.
    """
    try:
        file = open(path, "rb", buffering=0)  # noqa: SIM115 - a generator may be left early
    except FileNotFoundError:
        return
    with file:
        file.seek(since)
        cursor, pieces, size = since, [b""], 0
        while until is None or file.tell() < until:
            room = CHUNK if until is None else min(CHUNK, until - file.tell())
            chunk = file.read(room)
            if not chunk:
                return
            *ended, rest = chunk.split(b"\n")
            for each in ended:
                line = b"".join((*pieces, each))
                cursor += size + len(each) + 1
                pieces, size = [], 0
                value = _object_of(line) if _has_one(line, having) else None
                if value is not None:
                    yield Line(cursor, value)
            whole = rest.rstrip(b"\0")  # a hole may be larger than memory
            pieces.append(rest if len(whole) == len(rest) else whole + b"\0")
            size += len(rest)


def _has_one(line: bytes, words: Sequence[bytes]) -> bool:
    return not words or any(word in line for word in words)


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


@attrs.frozen(kw_only=True)
class Tally:
    """What a transcript counts.

    Attributes:
        untranslated: how many messages of the program, of which kind, are kept as they came.
        lost: about how many lines are missing.
    """

    untranslated: Mapping[str, int]
    lost: int


def tally(path: str) -> Tally:
    """Count what is in a whole transcript; a second or two for each GiB."""
    raw: Counter[str] = Counter()
    lost = 0
    for line in read_lines(path, having=(b'"Raw"', b'"lost"')):
        lost += line.lost
        data = line.value.get("data")
        if line.value.get("event") == "Raw" and isinstance(data, dict):
            raw[str(data.get("kind", ""))] += 1
    return Tally(untranslated=dict(raw.most_common()), lost=lost)
