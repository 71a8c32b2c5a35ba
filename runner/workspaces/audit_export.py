r"""Rows of the audit as JSON, JSON lines or CSV: text that any program can read. Pure.

Names that are not UTF-8 are no text. They are written as git writes them: in quotes, with `\377`
for a byte that is none; so are names with a control character, a quote or a backslash. `path_of`
reads such a text again. Times are ISO 8601 in UTC to the microsecond, beside the nanoseconds.

A cell of a CSV that a spreadsheet would take for a formula gets a `'` in front: an agent that names
a file `=HYPERLINK(…)` must not have it clicked on. JSON has the paths as they are.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Literal, TypeAlias, get_args

from runner.workspaces.quoting import shown
from runner.workspaces.records import AuditRecord

Format: TypeAlias = Literal["json", "jsonl", "csv"]
FORMATS: tuple[Format, ...] = get_args(Format)

COLUMNS = (
    "seq",
    "time",
    "time_ns",
    "workspace",
    "operation",
    "path",
    "size_before",
    "size_after",
    "sha_before",
    "sha_after",
    "session",
    "job",
    "agent",
    "ok",
    "details",
    "previous",
    "hash",
)
_FORMULA = re.compile(r"[=+\-@\t\r]")
_ESCAPE = re.compile(rb'\\([0-7]{3}|[abtnvfr"\\])')
_NAMED = {
    b"a": b"\a",
    b"b": b"\b",
    b"t": b"\t",
    b"n": b"\n",
    b"v": b"\v",
    b"f": b"\f",
    b"r": b"\r",
    b'"': b'"',
    b"\\": b"\\",
}


def shown_path(path: str) -> str:
    """A path as text that is UTF-8; itself, unless there is something odd in it."""
    return shown(path.encode("utf-8", "surrogateescape"))


def path_of(text: str) -> str:
    """The path that `shown_path` made this of."""
    if not text.startswith('"'):
        return text
    raw = _ESCAPE.sub(_unescaped, text[1:-1].encode())
    return raw.decode("utf-8", "surrogateescape")


def _unescaped(found: re.Match[bytes]) -> bytes:
    code = found[1]
    return bytes([int(code, 8)]) if len(code) == 3 else _NAMED[code]


def plain(record: AuditRecord) -> dict[str, object]:
    """A row as what JSON has."""
    seconds, nanoseconds = divmod(record.time_ns, 1_000_000_000)
    at = datetime.fromtimestamp(seconds, UTC).replace(microsecond=nanoseconds // 1000)
    values = {name: _clean(getattr(record, name, None)) for name in COLUMNS}
    values |= {
        "time": at.isoformat(timespec="microseconds").replace("+00:00", "Z"),
        "path": shown_path(record.path),
        "details": _clean(dict(record.details)),
    }
    return values


def _clean(value: object) -> object:
    """What is in details, all text of it UTF-8."""
    match value:
        case str():
            return value if _is_utf8(value) else shown_path(value)
        case Mapping():
            return {str(_clean(str(name))): _clean(each) for name, each in value.items()}
        case list() | tuple():
            return [_clean(each) for each in value]
        case _:
            return value


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def as_jsonl(records: Iterable[AuditRecord]) -> Iterator[str]:
    """A line of JSON for each row."""
    for each in records:
        yield json.dumps(plain(each), ensure_ascii=False) + "\n"


def as_json(records: Iterable[AuditRecord]) -> Iterator[str]:
    """One JSON array, a row on each line."""
    before = "[\n"
    for each in records:
        yield before + json.dumps(plain(each), ensure_ascii=False)
        before = ",\n"
    yield "\n]\n" if before == ",\n" else "[]\n"


def as_csv(records: Iterable[AuditRecord]) -> Iterator[str]:
    """A table with a header; details are JSON in their cell."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for each in records:
        values = plain(each)
        values["details"] = json.dumps(values["details"], ensure_ascii=False)
        values["ok"] = {True: "yes", False: "no", None: "unknown"}[each.ok]
        writer.writerow([_cell(values[name]) for name in COLUMNS])
        yield text.getvalue()
        text.seek(0)
        text.truncate()
    yield text.getvalue()  # of no rows: the header


def _cell(value: object) -> object:
    if value is None:
        return ""
    return f"'{value}" if isinstance(value, str) and _FORMULA.match(value) else value


WRITERS: dict[Format, Callable[[Iterable[AuditRecord]], Iterator[str]]] = {
    "json": as_json,
    "jsonl": as_jsonl,
    "csv": as_csv,
}
