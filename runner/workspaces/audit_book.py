"""A connection to a store for its audit alone: opened when needed; any thread, one at a time."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from runner.database import SqlError, connect, failed
from runner.errors import StoreError
from runner.workspaces.audit_rows import Writer
from runner.workspaces.database import SCHEMA


class Book:
    """Who writes to the audit of a store.

    What makes SQLite wait for the disk (moving its log into its file) is done by `tidy`.

    Args:
        path: of the store.

    Attributes:
        lock: of who writes.
        rows: the writer; None = it was never needed.
    """

    def __init__(self, path: str) -> None:
        """Nothing is opened yet."""
        self.path = path
        self.lock = threading.Lock()
        self.rows: Writer | None = None

    def open(self) -> Writer:
        """The writer; for who has the lock."""
        if self.rows is None:
            connection = connect(self.path, SCHEMA, patience=0)
            connection.execute("PRAGMA wal_autocheckpoint = 0")
            self.rows = Writer(connection)
        return self.rows

    @contextmanager
    def told(self) -> Iterator[None]:
        """What SQLite says is an error of the store's."""
        try:
            yield
        except SqlError as exc:
            raise failed(self.path, SCHEMA, "written", exc) from exc

    @contextmanager
    def writing(self, patience: float) -> Iterator[Writer]:
        """A transaction of who has the lock.

        Raises:
            StoreError: others write to it all that time.
        """
        rows = self.open()
        with rows.writing(patience) as has_begun:
            if not has_begun:
                what = f"others have been writing to it for {patience:g} seconds"
                raise StoreError(what, self.path, "nothing was done; try again")
            yield rows

    def tidy(self) -> None:
        """Move SQLite's log into its file, as far as nobody reads it."""
        self.open().connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()

    def close(self) -> None:
        """Let go of the store; for who has the lock."""
        rows, self.rows = self.rows, None
        if rows is not None:
            rows.connection.close()
