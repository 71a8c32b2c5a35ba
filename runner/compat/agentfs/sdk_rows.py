"""agentfs-sdk's `afs.kv` and `afs.tools`, in a project's store.

What differs: a prefix of keys is taken as it is, letters large and small; of calls in the same
second, the last one comes first; and a call's duration is exact to the millisecond.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, TypeVar

from runner.compat.agentfs.houses import Place
from runner.errors import StoreError
from runner.workspaces.agent_rows import AgentRows, CallRow
from runner.workspaces.store import Store

T = TypeVar("T")


@dataclass
class ToolCall:
    """A call of a tool; times are seconds since 1970."""

    id: int
    name: str
    parameters: Any | None = None
    result: Any | None = None
    error: str | None = None
    status: Literal["pending", "success", "error"] = "pending"
    started_at: int = 0
    completed_at: int | None = None
    duration_ms: int | None = None


@dataclass
class ToolCallStats:
    """What the calls of one tool came to."""

    name: str
    total_calls: int
    successful: int
    failed: int
    avg_duration_ms: float


class _Rows:
    """What both do: something with the rows, in a thread; awaited under asyncio."""

    def __init__(self, place: Place) -> None:
        """Nothing happens yet."""
        self._place = place
        self._store: Store | None = None

    async def _read(self, work: Callable[[AgentRows], T]) -> T:
        """Of a store that is open, in this thread: on the way to another one, ten reads are done.

        To read waits for nobody who writes.
        """
        store = self._store
        if store is not None:
            with suppress(StoreError):  # it was closed meanwhile
                return work(AgentRows(store.file))
        return await self._do(work)

    async def _do(self, work: Callable[[AgentRows], T]) -> T:
        return await self._place.wait_in_asyncio(partial(self._here, work))

    async def _here(self, work: Callable[[AgentRows], T]) -> T:
        project = await self._place.project()

        def on(store: Store) -> T:
            self._store = store
            return work(AgentRows(store.file))

        return await project._shared.do(on)  # noqa: SLF001 - no user of ours has these rows


class KvStore(_Rows):
    """Values by key, as JSON."""

    async def set(self, key: str, value: Any) -> None:
        """Keep a value."""
        text = json.dumps(value)
        await self._do(lambda rows: rows.set(key, text, int(time.time())))

    async def get(self, key: str, default: Any = None) -> Any:
        """A value, or the default."""
        text = await self._read(lambda rows: rows.get(key))
        return default if text is None else json.loads(text)

    async def list(self, prefix: str) -> list[dict[str, Any]]:
        """Keys and values whose keys begin so."""
        found = await self._read(lambda rows: rows.list(prefix))
        return [{"key": key, "value": json.loads(text)} for key, text in found]

    async def delete(self, key: str) -> None:
        """Forget a value; it need not be there."""
        await self._do(lambda rows: rows.delete(key))


class ToolCalls(_Rows):
    """Calls of tools, and what they came to."""

    async def start(self, name: str, parameters: Any | None = None) -> int:
        """A call has begun; its number."""
        text = None if parameters is None else json.dumps(parameters)
        now = time.time_ns()
        row = CallRow(name=name, parameters=text, started_ns=now, started_at=now // 10**9)
        return await self._do(lambda rows: rows.add(row))

    async def success(self, call_id: int, result: Any | None = None) -> None:
        """It went well.

        Raises:
            ValueError: there is no such call.
        """
        await self._end(call_id, "success", None if result is None else json.dumps(result), None)

    async def error(self, call_id: int, error: str) -> None:
        """It failed.

        Raises:
            ValueError: there is no such call.
        """
        await self._end(call_id, "error", None, error)

    async def record(  # noqa: PLR0917 - agentfs-sdk's own order
        self,
        name: str,
        started_at: int,
        completed_at: int,
        parameters: Any | None = None,
        result: Any | None = None,
        error: str | None = None,
    ) -> int:
        """A call that is over; its number."""
        row = CallRow(
            name=name,
            parameters=None if parameters is None else json.dumps(parameters),
            result=None if result is None else json.dumps(result),
            error=error,
            status="error" if error else "success",
            started_at=started_at,
            started_ns=int(started_at * 10**9),
            completed_at=completed_at,
            duration_ms=(completed_at - started_at) * 1000,
        )
        return await self._do(lambda rows: rows.add(row))

    async def get(self, call_id: int) -> ToolCall | None:
        """A call, if there is one of that number."""
        found = await self._do(lambda rows: rows.call(call_id))
        return None if found is None else _call(found)

    async def get_by_name(self, name: str, limit: int | None = None) -> list[ToolCall]:
        """The calls of a tool, the last one first."""
        return [_call(each) for each in await self._do(lambda rows: rows.of(name, limit))]

    async def get_recent(self, since: int, limit: int | None = None) -> list[ToolCall]:
        """The calls that began after a time, the last one first."""
        return [_call(each) for each in await self._do(lambda rows: rows.since(since, limit))]

    async def get_stats(self) -> list[ToolCallStats]:
        """What the calls that are over came to, the tool with the most calls first."""
        found = await self._do(lambda rows: rows.stats())
        return [ToolCallStats(*row[:4], row[4] or 0.0) for row in found]

    async def _end(self, call_id: int, status: str, result: str | None, error: str | None) -> None:
        now = time.time_ns()
        if not await self._do(lambda rows: rows.end(call_id, status, result, error, now)):
            raise ValueError(f"Tool call with ID {call_id} not found")


def _call(row: CallRow) -> ToolCall:
    return ToolCall(
        id=row.id,
        name=row.name,
        parameters=None if row.parameters is None else json.loads(row.parameters),
        result=None if row.result is None else json.loads(row.result),
        error=row.error,
        status=row.status,  # type: ignore[arg-type]  # one of the three
        started_at=row.started_at,
        completed_at=row.completed_at,
        duration_ms=row.duration_ms,
    )
