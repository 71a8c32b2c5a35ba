"""The trail of a workspace: what is being done in it, and what was done, into its project's audit.

    begin ──► intent in the store ──► the act ──► end: intent away, rows there; one transaction

Rules:

1. Nothing is changed before its intent is in the store; nothing is answered before its rows are.
2. An intent without an end is of a process that was killed: the next one that opens the workspace
   looks at what it was about (`settle`), and writes rows with `ok` unknown.
3. It has a connection of its own, which never waits in trio's thread to begin: `begin_now` says
   None where somebody else writes at this moment. Who has begun ends, and waits for that.
4. What makes SQLite wait for the disk (moving its log into its file) is done every now and then, in
   a thread: `tidy`.

For any thread.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from runner.database import SqlError, connect, failed
from runner.errors import StoreError
from runner.scopes.redaction import Redactor, secret_values
from runner.workspaces.audit_acts import Begun, Doing, Sight, intent_details, settled
from runner.workspaces.audit_rows import Writer, row
from runner.workspaces.database import SCHEMA
from runner.workspaces.records import AuditRecord, Json, Who
from runner.workspaces.store import Store
from runner.workspaces.witness import Witness

PATIENCE = 60.0  # seconds; somebody else may be putting a large file there
EVERY = 1000  # ends between two tidyings
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
        self._lock = threading.Lock()
        self._secrets = frozenset(secrets) | secret_values(os.environ)
        self._redactors: dict[frozenset[str], Redactor] = {}
        self._ends = 0

    # ------------------------------------------------------------ acts

    def begin_now(self, doing: Doing, who: Who, before: Sight) -> Begun | None:
        """Write down what is about to be done; None if that would have to be waited for."""
        if self._rows is None or self._ends >= EVERY or not self._lock.acquire(blocking=False):
            return None
        try:
            return self._begin(self._rows, doing, who, before, 0.0)
        finally:
            self._lock.release()

    def begin(self, doing: Doing, who: Who, before: Sight) -> Begun:
        """Write down what is about to be done.

        Raises:
            StoreError: it cannot be; then it may not be done.
        """
        with self._opened() as rows:
            if self._ends >= EVERY:
                self._tidy(rows)
            begun = self._begin(rows, doing, who, before, PATIENCE)
        if begun is None:
            raise self._busy()
        return begun

    def end(self, begun: Begun, rows: Iterable[AuditRecord]) -> None:
        """Write down what has been done; no rows: nothing was.

        Raises:
            StoreError: it cannot be; the intent says so to the next who opens the workspace.
        """
        with self._opened() as found:
            self._ends += 1
            with found.writing(PATIENCE) as has_begun:
                if not has_begun:
                    raise self._busy()
                found.ending(begun.intent, rows)

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
        cut = list(self._store.intents.rows(workspace=self.workspace))
        for intent in cut:
            found = [*settled(intent, witness)]
            with self._opened() as rows, rows.writing(PATIENCE) as has_begun:
                if not has_begun:
                    raise self._busy()
                rows.ending(intent.seq, found)
        return len(cut)

    def close(self) -> None:
        """Let go of the store; the next use opens it again."""
        with self._lock:
            rows, self._rows = self._rows, None
            if rows is not None:
                rows.connection.close()

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

    # ------------------------------------------------------------ the store

    def _begin(
        self, rows: Writer, doing: Doing, who: Who, before: Sight, patience: float
    ) -> Begun | None:
        about = intent_details(doing, before)
        record = self.row(doing.operation, who, path=next(iter(before), ""), details=about)
        with self._translated(), rows.writing(patience) as has_begun:
            if not has_begun:
                return None
            number = rows.add_intent(record)
        return Begun(intent=number, doing=doing, who=who, before=before, at=record.time_ns)

    @contextmanager
    def _opened(self) -> Iterator[Writer]:
        with self._lock, self._translated():
            if self._rows is None:
                connection = connect(self._path, SCHEMA, patience=0)
                connection.execute("PRAGMA wal_autocheckpoint = 0")
                self._rows = Writer(connection)
            yield self._rows

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except SqlError as exc:
            raise failed(self._path, SCHEMA, "written", exc) from exc

    def _tidy(self, rows: Writer) -> None:
        self._ends = 0
        rows.connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()

    def _busy(self) -> StoreError:
        what = f"others have been writing to it for {PATIENCE:g} seconds"
        return StoreError(what, self._path, "nothing was done; try again")
