"""The store's rows as records, and back. Values only; the statements are in statements.py.

SQLite takes no text that is no Unicode: names, paths and free text are kept as the bytes that they
are, and what is in lists and mappings as JSON, which has an escape for them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import attrgetter
from types import NoneType
from typing import Any, Generic, TypeVar

import attrs

from runner.errors import StoreDamaged
from runner.workspaces.objects import NO_ID
from runner.workspaces.records import (
    Act,
    AuditRecord,
    Base,
    CommitRecord,
    Ref,
    Remote,
    SnapshotRecord,
    WorkspaceRecord,
)

RecordT = TypeVar("RecordT")


@attrs.frozen
class Column:
    """How a value is kept: what goes in, and what comes out, or ValueError or TypeError."""

    write: Callable[[Any], object]
    read: Callable[[object], object]


@attrs.frozen
class Table(Generic[RecordT]):
    """A table with a row for each record.

    Attributes:
        name: of the table.
        record: what a row is.
        columns: one for each field.
    """

    name: str
    record: type[RecordT]
    columns: Mapping[str, Column]
    _all: attrgetter[tuple[object, ...]] = attrs.field(init=False)
    _writes: list[tuple[int, Callable[[Any], object]]] = attrs.field(init=False)

    @_all.default
    def _of_all(self) -> attrgetter[tuple[object, ...]]:
        return attrgetter(*self.columns)

    @_writes.default
    def _of_those_that_change(self) -> list[tuple[int, Callable[[Any], object]]]:
        writes = [each.write for each in self.columns.values()]
        return [(at, write) for at, write in enumerate(writes) if write is not _same]

    @property
    def names(self) -> tuple[str, ...]:
        """Of the columns, in the order of `values`."""
        return tuple(self.columns)

    def values(self, record: RecordT) -> list[object]:
        """A record as a row."""
        values = list(self._all(record))
        for at, write in self._writes:
            values[at] = write(values[at])
        return values

    def records(self, rows: Iterable[Sequence[object]], where: str = "") -> list[RecordT]:
        """Rows as records.

        Args:
            rows: with all columns.
            where: the store's file, for errors.

        Raises:
            StoreDamaged: a value is none of its column.
        """
        return [self._record(row, where) for row in rows]

    def _record(self, row: Sequence[object], where: str) -> RecordT:
        values = {}
        for (name, column), value in zip(self.columns.items(), row, strict=True):
            try:
                values[name] = column.read(value)
            except (ValueError, TypeError) as exc:
                what = f"a row of {self.name} has something else than its {name}: {value!r:.100}"
                raise StoreDamaged(what, where) from exc
        return self.record(**values)


def to_bytes(value: str) -> bytes:
    """A text as it is kept."""
    try:
        return value.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # no file has such a name
        return value.encode("utf-8", "backslashreplace")


# ---------------------------------------------------------------- columns


def _same(value: object) -> object:
    return value


def _is(*types: type) -> Callable[[object], object]:
    def read(value: object) -> object:
        if type(value) not in types:
            raise TypeError(value)
        return value

    return read


def _read_prose(value: object) -> str:
    if type(value) is not bytes:
        raise TypeError(value)
    return value.decode("utf-8", "surrogateescape")


def _read_id(value: object) -> bytes:
    if type(value) is not bytes or len(value) != len(NO_ID):
        raise ValueError(value)
    return value


def _read_maybe_id(value: object) -> bytes | None:
    return None if value is None else _read_id(value)


def _write_flag(value: bool | None) -> int | None:
    return None if value is None else int(value)


def _read_flag(value: object) -> bool | None:
    if value not in {0, 1, None}:
        raise ValueError(value)
    return None if value is None else bool(value)


_JSON = json.JSONEncoder(separators=(",", ":"), default=dict)  # of other mappings


def _write_json(value: object) -> str:
    return _JSON.encode(value)


def _read_json(value: object, kind: type) -> Any:
    if type(value) is not str:
        raise TypeError(value)
    found = json.loads(value)
    if type(found) is not kind:
        raise TypeError(value)
    return found


def _read_words(value: object) -> tuple[object, ...]:
    found = _read_json(value, list)
    return tuple(tuple(each) if type(each) is list else each for each in found)


def _read_mapping(value: object) -> object:
    return _read_json(value, dict)


def _write_base(value: Base) -> str:
    return _write_json(attrs.asdict(value))


def _read_base(value: object) -> Base:
    return Base(**_read_json(value, dict))


TEXT = Column(_same, _is(str))
NUMBER = Column(_same, _is(int))
MAYBE_NUMBER = Column(_same, _is(int, NoneType))
PROSE = Column(to_bytes, _read_prose)
ID = Column(_same, _read_id)
MAYBE_ID = Column(_same, _read_maybe_id)
FLAG = Column(_write_flag, _read_flag)
WORDS = Column(_write_json, _read_words)
MAPPING = Column(_write_json, _read_mapping)

WORKSPACES = Table(
    "workspaces",
    WorkspaceRecord,
    {
        "id": TEXT,
        "name": PROSE,
        "description": PROSE,
        "tags": WORDS,
        "base": Column(_write_base, _read_base),
        "base_root": MAYBE_ID,
        "way": TEXT,
        "tree": PROSE,
        "state": TEXT,
        "created_ns": NUMBER,
        "agent_id": PROSE,
        "read_only": FLAG,
        "root": MAYBE_ID,
        "changed_ns": NUMBER,
    },
)
SNAPSHOTS = Table(
    "snapshots",
    SnapshotRecord,
    {
        "id": TEXT,
        "workspace": TEXT,
        "name": PROSE,
        "description": PROSE,
        "root": ID,
        "parent": MAYBE_ID,
        "created_ns": NUMBER,
        "kind": TEXT,
        "session": PROSE,
        "turn": NUMBER,
        "unstable": WORDS,
        "skipped": WORDS,
    },
)
COMMITS = Table(
    "commits",
    CommitRecord,
    {
        "id": TEXT,
        "workspace": TEXT,
        "message": PROSE,
        "author": PROSE,
        "base_before": ID,
        "base_after": ID,
        "created_ns": NUMBER,
        "git_commit": TEXT,
        "paths": WORDS,
        "branch": PROSE,
        "left_out": WORDS,
        "behind": WORDS,
    },
)
JOURNAL = Table(
    "journal",
    Act,
    {
        "id": NUMBER,
        "workspace": TEXT,
        "kind": TEXT,
        "tree": PROSE,
        "before": MAYBE_ID,
        "after": MAYBE_ID,
        "details": MAPPING,
        "step": NUMBER,
        "created_ns": NUMBER,
    },
)
AUDIT = Table(
    "audit",
    AuditRecord,
    {
        "seq": NUMBER,
        "time_ns": NUMBER,
        "workspace": TEXT,
        "operation": TEXT,
        "path": PROSE,
        "size_before": MAYBE_NUMBER,
        "size_after": MAYBE_NUMBER,
        "sha_before": TEXT,
        "sha_after": TEXT,
        "session": PROSE,
        "job": PROSE,
        "agent": PROSE,
        "ok": FLAG,
        "details": MAPPING,
        "previous": TEXT,
        "hash": TEXT,
    },
)
INTENTS = attrs.evolve(AUDIT, name="intents")
REFS = Table(
    "refs",
    Ref,
    {"workspace": TEXT, "name": PROSE, "root": ID, "details": MAPPING, "changed_ns": NUMBER},
)
REMOTES = Table(
    "remotes",
    Remote,
    {"workspace": TEXT, "name": PROSE, "url": PROSE, "details": MAPPING, "created_ns": NUMBER},
)
ALL = (WORKSPACES, SNAPSHOTS, COMMITS, JOURNAL, AUDIT, INTENTS, REFS, REMOTES)
