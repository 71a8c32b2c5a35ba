"""The trail of a workspace: what is being done in it, and what was done, into its project's audit.

    begin ──► intent in the store ──► the act ──► end: intent away, rows there; one transaction

Rules:

1. Nothing is changed before its intent is written; nothing is answered before its rows are.
2. An intent without an end is of a process that was killed: the next one that opens the workspace
   looks at what it was about (`settle`), and writes rows with `ok` unknown.
3. What is done at once, in trio's thread, has its intent in a slot (slot.py) and begins its
   transaction before it: so its end never waits for others who write. Where they do at this moment,
   or anything else would take time, `begin_now` says None. That its rows are there, at the very
   time of the intent, says that it came to its end.
4. What makes SQLite wait for the disk (moving its log into its file) is done every now and then, in
   a thread: `tidy`.

For any thread.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from runner.database import SqlError, connect, failed
from runner.errors import OperationError, StoreError
from runner.scopes.redaction import Redactor, secret_values
from runner.scopes.who import Who
from runner.workspaces.audit_acts import (
    Begun,
    Doing,
    Sight,
    intent_details,
    settled,
    slot_record,
    slot_text,
)
from runner.workspaces.audit_rows import Writer, row
from runner.workspaces.database import SCHEMA
from runner.workspaces.glancing import Glimpse
from runner.workspaces.records import AuditRecord, Json
from runner.workspaces.slot import Slot
from runner.workspaces.store import Store
from runner.workspaces.witness import Witness

PATIENCE = 60.0  # seconds; somebody else may be putting a large file there
EVERY = 1000  # ends between two tidyings
INTENTS = "intents"  # the directory of the slots, beside the store
LONGEST = 4096  # characters of a command, or of a reason
_MOST_REDACTORS = 64


class Trail:
    """Where the operations on a workspace are written down.

    Args:
        store: of the project.
        workspace: the workspace's id.
        secrets: texts that are taken out of commands besides what looks like a secret.
    """

    def __init__(self, store: Store, workspace: str, *, secrets: Iterable[str] = ()) -> None:
        """Nothing is opened yet."""
        self.workspace = workspace
        self._store, self._path = store, store.path
        self._rows: Writer | None = None
        self._slot: Slot | None = None
        self._lock = threading.Lock()
        self._secrets = frozenset(secrets) | secret_values(os.environ)
        self._redactors: dict[frozenset[str], Redactor] = {}
        self._ends = 0
        self._glimpses: list[Glimpse] = []

    # ------------------------------------------------------------ acts

    def begin_now(self, doing: Doing, who: Who, before: Sight) -> Begun | None:
        """Begin what is done at once; None if something would have to be waited for.

        Until its `end`, or its `drop`, nobody else writes to the store: there is no checkpoint of
        trio's between.
        """
        rows, slot = self._rows, self._slot
        if rows is None or slot is None or self._ends >= EVERY:
            return None
        if not self._lock.acquire(blocking=False):
            return None
        at, is_begun = time.time_ns(), False
        try:
            if rows.begin():
                is_begun = slot.write(slot_text(at, doing, who, before))
                if not is_begun:
                    rows.roll_back()
        except SqlError as exc:
            raise failed(self._path, SCHEMA, "written", exc) from exc
        finally:
            if not is_begun:
                self._lock.release()
        return Begun(intent=None, doing=doing, who=who, before=before, at=at) if is_begun else None

    def drop(self) -> None:
        """Leave what was begun at once without an end: nobody knows what became of it."""
        assert self._rows is not None
        self._rows.roll_back()
        self._lock.release()

    def begin(self, doing: Doing, who: Who, before: Sight) -> Begun:
        """Write down what is about to be done.

        Raises:
            StoreError: it cannot be; then it may not be done.
        """
        with self._opened() as rows:
            if self._ends >= EVERY:
                self._tidy(rows)
            begun = self._begin(rows, doing, who, before)
        if begun is None:
            raise self._busy()
        return begun

    def end(self, begun: Begun, rows: Iterable[AuditRecord]) -> None:
        """Write down what has been done; no rows: nothing was.

        Raises:
            StoreError: it cannot be; the intent says so to the next who opens the workspace.
        """
        self._ends += 1
        if self._glimpses:
            rows = list(rows)
            for each in self._glimpses:
                each.told.update((row.path, row) for row in rows if row.path)
        if begun.intent is None:
            self._end_now(rows)
            return
        with self._opened() as found, found.writing(PATIENCE) as has_begun:
            if not has_begun:
                raise self._busy()
            found.ending(begun.intent, rows)

    def _end_now(self, rows: Iterable[AuditRecord]) -> None:
        assert self._rows is not None
        assert self._slot is not None
        try:
            self._rows.append(rows)
            self._rows.commit()
            self._slot.clear()
        except SqlError as exc:
            self._rows.roll_back()
            raise failed(self._path, SCHEMA, "written", exc) from exc
        except BaseException:
            self._rows.roll_back()
            raise
        finally:
            self._lock.release()

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
        with self._opened() as rows, rows.writing(PATIENCE) as has_begun:
            if not has_begun:
                raise self._busy()
            rows.append([row])

    def row(self, operation: str, who: Who, **fields: Any) -> AuditRecord:
        """A row of this workspace, as of now."""
        return row(self.workspace, operation, who, **fields)

    def settle(self, witness: Witness) -> int:
        """Say of what was cut off how it looks now; for who has just got the workspace's lock.

        Returns:
            How many acts that were.
        """
        with self._opened() as rows:
            if self._slot is None:  # only now: it belongs to who has the lock
                self._slot = self._make_slot()
            cut = list(self._store.intents.rows(workspace=self.workspace))
            for intent in cut:
                found = [*settled(intent, witness)]
                with rows.writing(PATIENCE) as has_begun:
                    if not has_begun:
                        raise self._busy()
                    rows.ending(intent.seq, found)
            return len(cut) + self._settle_slot(rows, witness)

    def _settle_slot(self, rows: Writer, witness: Witness) -> int:
        assert self._slot is not None
        text = self._slot.read()
        if text is None:
            return 0
        intent = slot_record(text, self.workspace)
        at = intent.time_ns
        is_cut = not any(self._store.audit.rows(workspace=self.workspace, from_ns=at, to_ns=at + 1))
        if is_cut:
            with rows.writing(PATIENCE) as has_begun:
                if not has_begun:
                    raise self._busy()
                rows.append(settled(intent, witness))
        self._slot.clear()
        return int(is_cut)

    def close(self) -> None:
        """Let go of the store; the next use opens it again."""
        with self._lock:
            rows, self._rows = self._rows, None
            if rows is not None:
                rows.connection.close()
            slot, self._slot = self._slot, None
            if slot is not None:
                slot.close()

    # ------------------------------------------------------------ programs that run

    def follow(self, glimpse: Glimpse) -> None:
        """A program begins: note what is written down of others meanwhile."""
        self._glimpses.append(glimpse)

    def unfollow(self, glimpse: Glimpse) -> None:
        """It has ended."""
        self._glimpses.remove(glimpse)

    def spoil(self) -> None:
        """The tree is replaced: what running programs have changed cannot be told any more."""
        for each in self._glimpses:
            each.is_spoiled = True

    # ------------------------------------------------------------ secrets

    def redacted(self, text: str, env: Mapping[str, str] | None = None) -> str:
        """A text without its secrets, and not too long."""
        values = self._secrets | secret_values(env or {})
        found = self._redactors.get(values)
        if found is None:
            if len(self._redactors) >= _MOST_REDACTORS:
                self._redactors.clear()
            found = self._redactors[values] = Redactor(values)
        clean = found.redact(text)
        return clean if len(clean) <= LONGEST else f"{clean[:LONGEST]}… {len(clean) - LONGEST} more"

    def why(self, error: Exception) -> dict[str, Json]:
        """What a row says of an error."""
        reason = error.reason if isinstance(error, OperationError) else str(error)
        return {"error": type(error).__name__, "reason": self.redacted(reason)}

    # ------------------------------------------------------------ the store

    def _begin(self, rows: Writer, doing: Doing, who: Who, before: Sight) -> Begun | None:
        about = intent_details(doing, before)
        record = self.row(doing.operation, who, path=next(iter(before), ""), details=about)
        with rows.writing(PATIENCE) as has_begun:
            if not has_begun:
                return None
            number = rows.add_intent(record)
        return Begun(intent=number, doing=doing, who=who, before=before, at=record.time_ns)

    @contextmanager
    def _opened(self) -> Iterator[Writer]:
        with self._lock:
            try:
                if self._rows is None:
                    connection = connect(self._path, SCHEMA, patience=0)
                    connection.execute("PRAGMA wal_autocheckpoint = 0")
                    self._rows = Writer(connection)
                yield self._rows
            except SqlError as exc:
                raise failed(self._path, SCHEMA, "written", exc) from exc

    def _make_slot(self) -> Slot:
        path = os.path.join(os.path.dirname(self._path), INTENTS, self.workspace)
        try:
            return Slot(path)
        except OSError as exc:
            raise StoreError(f"it cannot be made: {exc.strerror}", path) from exc

    def _tidy(self, rows: Writer) -> None:
        self._ends = 0
        rows.connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()

    def _busy(self) -> StoreError:
        what = f"others have been writing to it for {PATIENCE:g} seconds"
        return StoreError(what, self._path, "nothing was done; try again")
