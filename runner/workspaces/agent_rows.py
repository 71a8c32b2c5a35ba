"""Values and tool calls of agents: two tables of a store, made when they are first used.

Nothing else in runner knows of them. The values are JSON that nobody here looks into.
"""

from __future__ import annotations

import builtins
from typing import Any, cast
from weakref import WeakSet

import attrs

from runner.workspaces import statements
from runner.workspaces.database import File


@attrs.frozen(kw_only=True)
class CallRow:
    """A call of a tool, as it stands in the store.

    Attributes:
        id: its number; 0 = not there yet.
        name: of the tool.
        parameters: JSON, or None; so is the result.
        status: "pending", "success" or "error".
        started_at: seconds since 1970; `started_ns` is exact.
    """

    id: int = 0
    name: str
    parameters: str | None = None
    result: str | None = None
    error: str | None = None
    status: str = "pending"
    started_at: int
    completed_at: int | None = None
    duration_ms: int | None = None
    started_ns: int


_MADE: WeakSet[File] = WeakSet()  # where the tables are
_COLUMNS = tuple(each.name for each in attrs.fields(CallRow))


class AgentRows:
    """Both tables of a store."""

    def __init__(self, file: File) -> None:
        """Make them if they are not there."""
        self._file = file
        if file not in _MADE:
            for each in statements.AGENT_TABLES:
                file.change(each)
            _MADE.add(file)

    def set(self, key: str, value: str, now: int) -> None:
        """Keep a value."""
        self._file.change(statements.SET_VALUE, (key, value, now, now))

    def get(self, key: str) -> str | None:
        """A value."""
        found = self._rows(statements.VALUE, key)
        return str(found[0][0]) if found else None

    def list(self, prefix: str) -> builtins.list[tuple[str, str]]:
        """Keys that begin so, in the order in which they came, and their values."""
        return [(str(row[0]), str(row[1])) for row in self._rows(statements.VALUES, prefix, prefix)]

    def delete(self, key: str) -> None:
        """Forget a value."""
        self._file.change(statements.remove("kv_store", "key"), (key,))

    def add(self, call: CallRow) -> int:
        """A new call; its number."""
        values = attrs.astuple(call)[1:]
        cursor = self._file.change(statements.insert("tool_calls", _COLUMNS[1:]), values)
        return int(cursor.lastrowid or 0)

    def end(self, id_: int, status: str, result: str | None, error: str | None, now: int) -> bool:
        """A call is over; whether there is one of that number."""
        values = (status, result, error, now // 10**9, now, id_)
        return self._file.change(statements.END_CALL, values).rowcount == 1

    def call(self, id_: int) -> CallRow | None:
        """A call."""
        found = self._calls("id = ?", id_)
        return found[0] if found else None

    def of(self, name: str, limit: int | None) -> builtins.list[CallRow]:
        """The calls of a tool, the last one first."""
        return self._calls("name = ?", name)[:limit]

    def since(self, time: int, limit: int | None) -> builtins.list[CallRow]:
        """The calls that began after a time, the last one first."""
        return self._calls("started_at > ?", time)[:limit]

    def stats(self) -> builtins.list[tuple[str, int, int, int, float | None]]:
        """Name, number, how many went well, how many failed, milliseconds on average."""
        found = self._rows(statements.CALL_STATS)
        return cast("builtins.list[tuple[str, int, int, int, float | None]]", found)

    def _calls(self, where: str, value: object) -> builtins.list[CallRow]:
        order = "started_at DESC, id DESC"
        sql = statements.select("tool_calls", _COLUMNS, (where,), order)
        rows: builtins.list[Any] = self._rows(sql, value)
        return [CallRow(**dict(zip(_COLUMNS, row, strict=True))) for row in rows]

    def _rows(self, sql: str, *values: object) -> builtins.list[tuple[object, ...]]:
        with self._file.reading() as connection:
            return connection.execute(sql, values).fetchall()
