"""The audit of a project, or of one of its workspaces, to be read: filtered, followed, exported.

    rows = await workspace.audit.logs(operation="write", path="src/**", from_time=yesterday)
    async with workspace.audit.stream() as rows:
        async for row in rows: …
    found = await project.audit.verify()

There is one chain for all workspaces of a project, so verifying and retention are about all of it.
Rows of workspaces that were deleted stay.

What is not here: the reading itself (audit_reading.py), and writing (trail.py, audit_rows.py).
"""

from __future__ import annotations

import contextlib
import os
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import islice
from typing import Any, Protocol, Self, TypeVar

import attrs
import trio

from runner.errors import ConfigError
from runner.scopes.who import Who
from runner.workspaces.audit_export import FORMATS, Format
from runner.workspaces.audit_reading import (
    export,
    last_number,
    nanoseconds,
    place_filter,
    retain,
    selected,
    verify,
)
from runner.workspaces.chain import Verified
from runner.workspaces.records import AuditRecord
from runner.workspaces.store import Store

T = TypeVar("T")
PAUSE = 0.1  # seconds between two looks of who follows
MANY = 1000


class Do(Protocol):
    """Carries out work on the store of a project, in a thread."""

    def __call__(self, work: Callable[[Store], T], /) -> Awaitable[T]:
        """Carry it out."""
        ...


@attrs.define(eq=False)
class Following:
    """New rows as they come, those of other processes as well; an async iterator.

    Attributes:
        pause: seconds between two looks; while there are rows, there is none.
    """

    _do: Do
    _filters: dict[str, Any]
    _after: int
    pause: float = PAUSE
    _rows: deque[AuditRecord] = attrs.field(factory=deque)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> AuditRecord:
        """The next row; waits for it."""
        return await self.receive()

    async def receive(self) -> AuditRecord:
        """The next row; waits for it."""
        if self._rows:
            await trio.lowlevel.checkpoint()
        while not self._rows:
            found, self._after = await self._do(self._look)
            self._rows.extend(found)
            if not found:
                await trio.sleep(self.pause)
        return self._rows.popleft()

    def _look(self, store: Store) -> tuple[list[AuditRecord], int]:
        last = last_number(store)
        if last == self._after:
            return [], last
        found = list(islice(selected(store, self._filters, after=self._after), MANY))
        if len(found) == MANY:
            return found, found[-1].seq
        # Some may have come since `last` was asked for, and be here already.
        return found, max(last, found[-1].seq if found else 0)


@attrs.define(eq=False)
class Audit:
    """What was done, by whom, and when.

    Attributes:
        workspace: the id of the only workspace that is meant; None = the whole project.
    """

    _do: Do
    workspace: str | None = None

    async def logs(
        self,
        *,
        operation: str | Sequence[str] | None = None,
        from_time: datetime | None = None,
        to_time: datetime | None = None,
        path: str | None = None,
        session: str | None = None,
        job: str | None = None,
        agent: str | None = None,
        limit: int | None = None,
        newest_first: bool = False,
    ) -> list[AuditRecord]:
        """The rows for which all of that holds.

        Args:
            operation: "write", "exec", "snapshot", …; or several.
            from_time: not before then; without a time zone it is local time, as in all of Python.
            to_time: before then.
            path: of the tree; with `*`, `?`, `**` or `[…]` a pattern, which is about names in any
                directory if there is no `/` in it.
            session: whose; so are `job` and `agent`.
            job: likewise.
            agent: likewise.
            limit: at most so many.
            newest_first: the newest ones, and in that order.

        Raises:
            InvalidPattern: the path cannot be understood.
            StoreError: the store cannot be read.
        """
        filters = self._filters(
            operation=operation,
            from_time=from_time,
            to_time=to_time,
            path=path,
            session=session,
            job=job,
            agent=agent,
        )
        if limit is not None and (not isinstance(limit, int) or limit < 0):
            raise ConfigError(f"limit={limit!r}: a number of rows, or None for all of them")

        def work(store: Store) -> list[AuditRecord]:
            return list(islice(selected(store, filters, newest_first=newest_first), limit))

        return await self._read(work)

    @contextlib.asynccontextmanager
    async def stream(self, **filters: Any) -> AsyncIterator[Following]:
        """Follow what is done from now on, also by other processes; filters as for `logs`."""
        which = self._filters(**filters)
        after = await self._read(last_number)
        yield Following(self._read, which, after)

    async def export(
        self,
        file: str | os.PathLike[str],
        /,
        format: Format = "json",  # noqa: A002 - the word of AgentFS
        **filters: Any,
    ) -> int:
        """Write rows to a file of this machine: all of them, or none if it cannot be written.

        Args:
            file: its path; what is there is replaced. Only its owner may read it.
            format: "json", "jsonl" or "csv".
            filters: as for `logs`, `path` among them.

        Returns:
            How many rows it has.

        Raises:
            ConfigError: there is no such format.
            OperationError: it cannot be written; what was there is as before.
        """
        if format not in FORMATS:
            raise ConfigError(f"format={format!r}: an audit is exported as {', '.join(FORMATS)}")
        which = self._filters(**filters)
        return await self._read(partial(export, file, format, which))

    async def verify(self, *, noted: str = "") -> Verified:
        """Look at every row of the project: whether one was edited, taken away, or put in.

        Args:
            noted: a `Verified.head.mark` of before, kept elsewhere: then one also knows that the
                chain was not made anew.
        """
        return await self._read(partial(verify, noted=noted))

    async def retain(self, since: datetime | timedelta, *, who: Who | None = None) -> int:
        """Keep what is not older than that, of all workspaces; how many rows were taken away.

        That is done is a row as well; the chain can be verified as before.
        """
        if isinstance(since, timedelta):
            since = datetime.now(UTC) - since
        return await self._read(partial(retain, nanoseconds(since), who or Who()))

    async def _read(self, work: Callable[[Store], T]) -> T:
        """Carry out work on all that was done until now."""

        def read(store: Store) -> T:
            store.audit.catch_up()
            return work(store)

        return await self._do(read)

    def _filters(
        self,
        *,
        operation: str | Sequence[str] | None = None,
        from_time: datetime | None = None,
        to_time: datetime | None = None,
        path: str | None = None,
        session: str | None = None,
        job: str | None = None,
        agent: str | None = None,
    ) -> dict[str, Any]:
        operations = (operation,) if isinstance(operation, str) else tuple(operation or ())
        if operation is not None and not operations:
            raise ConfigError("operation: one at least, or None for all of them")
        found: dict[str, Any] = {
            "workspace": self.workspace,
            "operations": operations,
            "from_ns": None if from_time is None else nanoseconds(from_time),
            "to_ns": None if to_time is None else nanoseconds(to_time),
            "session": session,
            "job": job,
            "agent": agent,
        }
        return found | place_filter(path)
