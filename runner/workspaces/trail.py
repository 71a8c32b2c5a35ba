"""The trail of a workspace: what is being done in it, and what was done, into its project's audit.

    begin      intent in the store ──► the act ──► end: intent away, rows there; one transaction
    begin_now  intent in a log ──► the act ──► end_now ──► the rows of many acts in the store

Rules:

1. Nothing is changed before its intent is written; nothing is answered before its end is.
2. An intent without an end is of a process that was killed: the next one that opens the workspace
   looks at what it was about (settling.py), and writes rows with `ok` unknown.
3. What is done at once, in trio's thread, has its intent and its end in a log (pending.py), as safe
   from a SIGKILL as the store; so its end never waits for others who write. Its rows come into the
   store with those of others: when there are many, when anything else is written or the audit is
   read here, and else shortly after (`on_pending`). Where that would have to wait, `begin_now` says
   None. That the first of them is there, at the very time of its intent, says that all are.
4. What makes SQLite wait for the disk (moving its log into its file) is done every now and then, in
   a thread: `tidy`.

For any thread.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from runner.errors import StoreError
from runner.scopes.who import Who
from runner.workspaces.audit_acts import (
    Begun,
    Doing,
    Sight,
    begun_of,
    intent_details,
    rows_of,
    settled,
)
from runner.workspaces.audit_book import Book
from runner.workspaces.audit_rows import Writer, row
from runner.workspaces.audit_secrets import Secrets
from runner.workspaces.beside import Beside, is_at_work
from runner.workspaces.pending import PENDING, Log, Pending, remove_logs
from runner.workspaces.records import NOTHING, AuditRecord, Json
from runner.workspaces.store import Store
from runner.workspaces.witness import Witness

PATIENCE = 60.0  # seconds; somebody else may be putting a large file there
EVERY = 1000  # ends between two tidyings
_LEAVING = 2.0  # seconds; then the log has it still
_MOMENT = 0.05  # seconds; in which whoever does something at once has done it


class Trail:
    """Where the operations on a workspace are written down.

    Args:
        store: of the project.
        workspace: the workspace's id.
        secrets: texts that are taken out of commands besides what looks like a secret.

    Attributes:
        workspace: its id.
        secrets: what is taken out of what rows say.
        beside: what runs in the tree meanwhile.
        on_pending: told in trio's thread that something is done that is not in the store yet.
    """

    def __init__(self, store: Store, workspace: str, *, secrets: Iterable[str] = ()) -> None:
        """Nothing is opened yet."""
        self.workspace = workspace
        self._store, self._book = store, Book(store.path)
        self._pending: Pending | None = None
        self._ends = 0
        self.secrets = Secrets(secrets)
        self.on_pending: Callable[[], object] = _nothing
        self._open: set[int] = set()  # intents of what is being done here
        self.beside = Beside()

    # ------------------------------------------------------------ acts that are done at once

    def begin_now(self, doing: Doing, who: Who, before: Sight) -> Begun | None:
        """Begin what is done at once; None if something would have to be waited for.

        Until its `end_now`, `take_back` or `drop` nobody else writes anything down: there is no
        checkpoint of trio's between.
        """
        pending = self._pending
        if pending is None or self._ends >= EVERY or not self._book.lock.acquire(blocking=False):
            return None
        begun = None
        try:
            if not pending.is_full or self._write_down_now():
                begun = pending.begin(doing, who, before)
        finally:
            if begun is None:
                self._book.lock.release()
        return begun

    def end_now(
        self, begun: Begun, after: Sight, ok: bool | None, more: Mapping[str, Json] = NOTHING
    ) -> None:
        """What was done at once has come to its end.

        Args:
            begun: what it was.
            after: what stands there since.
            ok: whether it went well; None = nobody knows.
            more: what else there is to say.
        """
        pending = self._pending
        assert pending is not None
        try:
            self._ends += 1
            if not pending.end(begun, after, ok, more):
                self._write_down(PATIENCE)
            if self.beside.glimpses:
                self.beside.tell(rows_of(self.row, begun, after, ok, more))
        finally:
            self._book.lock.release()
        if len(pending.done) == 1:
            self.on_pending()

    def take_back(self) -> None:
        """What was begun at once was not done so."""
        assert self._pending is not None
        self._pending.take_back()
        self._book.lock.release()

    def drop(self) -> None:
        """Leave what was begun at once without an end: nobody knows what became of it."""
        self._book.lock.release()

    @property
    def is_behind(self) -> bool:
        """Whether something was done that is not in the store yet."""
        return self._pending is not None and bool(self._pending.done)

    @property
    def behind(self) -> float:
        """For how many seconds there has been such a thing."""
        done = [] if self._pending is None else self._pending.done[:1]
        return (time.time_ns() - done[0][0].at) / 1e9 if done else 0.0

    def write_down(self, patience: float = PATIENCE) -> bool:
        """Have all that was done in the store; False if others write to it all that time."""
        if not self._book.lock.acquire(timeout=patience or _MOMENT):
            return False
        try:
            with self._book.told():
                return self._book.rows is None or self._write_down(patience)
        finally:
            self._book.lock.release()

    def _write_down_now(self) -> bool:
        assert self._pending is not None
        if self._pending.has_begun:
            return False
        with self._book.told():
            return self._write_down(0)

    def _write_down(self, patience: float) -> bool:
        pending = self._pending
        if pending is None or not pending.done:
            return True
        rows = self._book.open()
        with rows.writing(patience) as has_begun:
            if has_begun:
                rows.append(self._pending_rows())
        if has_begun:
            pending.clear()
        return has_begun

    def _pending_rows(self) -> list[AuditRecord]:
        return [] if self._pending is None else _rows_of(self.row, self._pending)

    # ------------------------------------------------------------ acts

    def begin(self, doing: Doing, who: Who, before: Sight) -> Begun:
        """Write down what is about to be done.

        Raises:
            StoreError: it cannot be; then it may not be done.
        """
        about = intent_details(doing, before)
        record = self.row(doing.operation, who, path=next(iter(before), ""), details=about)
        with self._writing() as rows:
            number = rows.add_intent(record)
        self._open.add(number)
        return Begun(intent=number, doing=doing, who=who, before=before, at=record.time_ns)

    def end(self, begun: Begun, rows: Iterable[AuditRecord]) -> None:
        """Write down what has been done; no rows: nothing was.

        Raises:
            StoreError: it cannot be; the intent says so to the next who opens the workspace.
        """
        assert begun.intent is not None
        self._ends += 1
        rows = list(rows)
        self.beside.tell(rows)
        with self._writing() as found:
            found.ending(begun.intent, rows)
        self._open.discard(begun.intent)
        glimpse = self.glimpse_path(begun)
        if os.path.lexists(glimpse):
            os.unlink(glimpse)

    def note(
        self,
        operation: str,
        who: Who = Who(),  # noqa: B008 - frozen
        *,
        path: str = "",
        ok: bool | None = True,
        details: Mapping[str, Json] | None = None,
    ) -> None:
        """Write down what was done already, or is no act of its own: that a hook failed."""
        row = self.row(operation, who, path=path, ok=ok, details=details or {})
        with self._writing() as rows:
            rows.append([row])

    def row(self, operation: str, who: Who, **fields: Any) -> AuditRecord:
        """A row of this workspace, as of now."""
        return row(self.workspace, operation, who, **fields)

    def recall(self, witness: Witness) -> int:
        """Have a log, and in the store what a process that was killed left in it.

        For who has just got the workspace's lock, to which the log belongs; before `begin_now`.

        Returns:
            How much in it was cut off.
        """
        with self._book.lock, self._book.told():
            if self._pending is not None:
                return 0
            pending = self._make_pending()
            try:
                cut = pending.recall()
            except (EOFError, TypeError, ValueError):
                cut = None  # it is none of ours
            found = _rows_of(self.row, pending)
            if cut is not None:
                found += settled(self.row, cut, witness)
            if found and not self._is_there(found[0]):
                with self._book.writing(PATIENCE) as rows:
                    rows.append(found)
            pending.forget()
            self._book.open()
            self._pending = pending
            self._store.audit.behind.add(self)
            return int(cut is not None)

    def cut_off(self) -> list[Begun]:
        """What was begun, and nobody is at it any more."""
        found = map(begun_of, self._store.intents.rows(workspace=self.workspace))
        return [each for each in found if each.intent not in self._open and not is_at_work(each)]

    def _is_there(self, row: AuditRecord) -> bool:
        at = row.time_ns
        found = self._store.audit.rows(workspace=self.workspace, from_ns=at, to_ns=at + 1)
        return any(each.operation == row.operation and each.path == row.path for each in found)

    def close(self) -> None:
        """Let go of the store; the next use opens it again."""
        with suppress(StoreError):  # the log has it still, for who comes next
            self.write_down(_LEAVING)
        self._store.audit.behind.discard(self)
        with self._book.lock:
            self._book.close()
            pending, self._pending = self._pending, None
            if pending is not None:
                pending.close()

    def remove(self) -> None:
        """Take its files away: the workspace is gone."""
        self.close()
        remove_logs(os.path.dirname(self._log_path()), self.workspace)

    # ------------------------------------------------------------ the store

    @contextmanager
    def _writing(self) -> Iterator[Writer]:
        """A transaction, in which what was done at once comes first."""
        with self._book.lock, self._book.told():
            if self._ends >= EVERY:
                self._ends = 0
                self._book.tidy()
            with self._book.writing(PATIENCE) as rows:
                rows.append(self._pending_rows())
                yield rows
            if self._pending is not None:
                self._pending.clear()

    def glimpse_path(self, begun: Begun) -> str:
        """Where the first glance is kept of something that runs."""
        return f"{self._log_path()}.{begun.intent}"

    def _log_path(self) -> str:
        return os.path.join(os.path.dirname(self._store.path), PENDING, self.workspace)

    def _make_pending(self) -> Pending:
        path = self._log_path()
        try:
            return Pending(Log(path))
        except OSError as exc:
            raise StoreError(f"it cannot be made: {exc.strerror}", path) from exc


def _rows_of(row: Callable[..., AuditRecord], pending: Pending) -> list[AuditRecord]:
    """The rows of what is done."""
    return [
        each
        for begun, after, ok, more in pending.done
        for each in rows_of(row, begun, after, ok, more)
    ]


def _nothing() -> None:
    """Nobody is told."""
