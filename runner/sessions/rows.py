"""The ledger's rows as records and back. Values only; the statements are in ledger.py.

SQLite keeps yes and no as numbers, and takes no text that is no Unicode: a path or a prompt with
undecodable bytes is kept as these bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeVar

import attrs
import msgspec

from runner.sessions.record import PastProcess, PastRewind, PastTurn, Record

RecordT = TypeVar("RecordT")

SESSION = tuple(each.name for each in attrs.fields(Record))
TURN = tuple(each.name for each in attrs.fields(PastTurn))
PROCESS = tuple(each.name for each in attrs.fields(PastProcess))
REWIND = tuple(each.name for each in attrs.fields(PastRewind))


def values_of(record: Record) -> list[object]:
    """A session as a row, its columns as in `SESSION`."""
    return [_plain(getattr(record, name)) for name in SESSION]


def records_of(
    rows: Iterable[Sequence[object]], cls: type[RecordT], names: Sequence[str]
) -> list[RecordT]:
    """Rows with these columns as records.

    Raises:
        msgspec.ValidationError: a value is of another type.
    """
    return [
        # yes and no are numbers, which only a lax conversion takes
        msgspec.convert(dict(zip(names, map(read, row), strict=True)), cls, strict=False)
        for row in rows
    ]


def text(value: str) -> str | bytes:
    """A text as SQLite takes it."""
    try:
        value.encode()
    except UnicodeEncodeError:
        try:
            return value.encode("utf-8", "surrogateescape")
        except UnicodeEncodeError:
            return value.encode("utf-8", "backslashreplace")
    return value


def read(value: object) -> object:
    """A value as it was before `text`."""
    return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else value


def _plain(value: object) -> object:
    return text(value) if isinstance(value, str) else value
