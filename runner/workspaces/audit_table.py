"""The rows of a store's audit: what was done, and what is being done.

It decides nothing: rows are chained, and taken away, by who writes them (chain.py, auditing.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from runner.database import PATIENCE
from runner.workspaces import statements
from runner.workspaces.columns import Table, to_bytes
from runner.workspaces.database import File
from runner.workspaces.records import AuditRecord
from runner.workspaces.tables import Rows

# Rows that are read at once: nobody who reads slowly keeps the file from being tidied.
_AT_ONCE = 1000


class Behind(Protocol):
    """Whoever does something before its rows are in the store."""

    def write_down(self, patience: float) -> bool:
        """Have them there."""


class AuditRows(Rows[AuditRecord]):
    """What was done, in the order of its numbers; and what is being done (`Store.intents`).

    Attributes:
        behind: those in this process who have rows that may not be here yet.
    """

    def __init__(self, file: File, table: Table[AuditRecord]) -> None:
        """Nothing happens yet."""
        super().__init__(file, table)
        self.behind: set[Behind] = set()
        self._new = statements.insert(table.name, table.names)

    def append(self, record: AuditRecord) -> int:
        """Add a row; its number, which is its `seq`, or the next one if that is 0.

        Raises:
            StoreError: there is a row of that number.
        """
        values = self._table.values(record)
        values[0] = record.seq or None
        number = self._file.change(self._new, values).lastrowid
        assert number is not None
        return number

    def catch_up(self, patience: float = PATIENCE) -> None:
        """Have here what was done in this process until now; not within a transaction.

        Where others write all that time, it comes later.
        """
        for each in tuple(self.behind):
            each.write_down(patience)

    def last(self) -> AuditRecord | None:
        """The row with the highest number; None if there is none."""
        for found in self._found([], order="seq DESC LIMIT 1"):
            return found
        return None

    def rows(
        self,
        *,
        workspace: str | None = None,
        operations: Sequence[str] = (),
        from_ns: int | None = None,
        to_ns: int | None = None,
        session: str | None = None,
        job: str | None = None,
        agent: str | None = None,
        path: str | None = None,
        below: str | None = None,
        after: int = 0,
        newest_first: bool = False,
    ) -> Iterator[AuditRecord]:
        """Rows for which all of that holds, read as they are asked for.

        Args:
            workspace: its id.
            operations: one of these; empty = any.
            from_ns: not before that time.
            to_ns: before that time.
            session: whose.
            job: whose.
            agent: whose.
            path: done to exactly that.
            below: done to a path that begins so.
            after: with a higher number.
            newest_first: the highest number first.
        """
        wanted: list[tuple[str, object]] = [("seq > ?", after)]
        for column, value in (("workspace", workspace), ("time_ns >", from_ns)):
            wanted += [] if value is None else [(f"{column}= ?", value)]
        wanted += [] if to_ns is None else [("time_ns < ?", to_ns)]
        for column, text in (("session", session), ("job", job), ("agent", agent), ("path", path)):
            wanted += [] if text is None else [(f"{column} = ?", to_bytes(text))]
        if below is not None:
            start = to_bytes(below)
            wanted.append((f"substr(path, 1, {len(start)}) = ?", start))
        where = [each for each, _ in wanted]
        values = [value for _, value in wanted]
        if operations:
            where.append(f"operation IN ({', '.join('?' * len(operations))})")
            values += operations
        return self._pages(where, values, newest_first=newest_first)

    def remove_up_to(self, seq: int) -> int:
        """Take away the rows with that number and lower ones; how many there were."""
        return self._file.change(statements.REMOVE_AUDIT, (seq,)).rowcount

    def remove(self, seq: int) -> None:
        """Take away one row."""
        self._remove("seq", values=[seq])

    def _pages(
        self, where: list[str], values: list[object], *, newest_first: bool
    ) -> Iterator[AuditRecord]:
        order = f"seq {'DESC' if newest_first else 'ASC'} LIMIT {_AT_ONCE}"
        bound: list[object] = []
        while True:
            further = [f"seq {'<' if newest_first else '>'} ?"] if bound else []
            found = self._found([*where, *further], *values, *bound, order=order)
            yield from found
            if len(found) < _AT_ONCE:
                return
            bound = [found[-1].seq]
