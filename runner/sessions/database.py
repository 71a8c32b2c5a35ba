"""The file of the sessions' ledger: SQLite, opened, or made, at first use; its transactions.

Rules:

1. What fails is a `LedgerError` that names the file, and changes nothing.
2. A statement is made in the caller's thread, and takes some tens of microseconds, but for a prompt
   of megabytes. Where another process is in its own short write, it waits for `patience` at most.
3. Who has other tasks to keep going gives little of that; opens the file in a thread, which may
   wait for others that make it; and waits for `is_free` before it writes (store.py).
4. No fsync (WAL): after a SIGKILL all is there; after a power failure the last turns may not be.

What is not here: what stands in it (ledger.py).
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
import time
from collections.abc import Iterator

import attrs
import msgspec

from runner.errors import LedgerError

# How long another process may be in its own short write.
PATIENCE = 5.0


@attrs.define(eq=False)
class Database:
    """A file with a schema.

    Attributes:
        path: of the file.
        schema: the statements that make it.
        version: of that.
        patience: seconds that a statement waits for other processes.
        only_read: nothing is to be written: then it can be opened on a full disk as well, and where
            nothing may be written.
    """

    path: str
    schema: str
    version: int
    patience: float = PATIENCE
    only_read: bool = False
    _connection: sqlite3.Connection | None = None
    _opening: threading.Lock = attrs.field(factory=threading.Lock)

    @property
    def is_open(self) -> bool:
        """Whether the next statement need not open it."""
        return self._connection is not None

    def open(self) -> None:
        """Open it, or make it, if it is not open; waits for others that do the same.

        Raises:
            LedgerError: it cannot be, or is of a newer version.
        """
        with self._opening:
            if self._connection is None:
                try:
                    self._connection = (
                        self._connect_to_read() if self.only_read else self._connect()
                    )
                except (sqlite3.Error, OSError) as exc:
                    raise self._error("opened", exc) from exc

    def is_free(self) -> bool:
        """Whether it can be written now: no other process does.

        Raises:
            LedgerError: it cannot be, for another reason.
        """
        connection = self._opened()
        try:
            connection.execute("PRAGMA busy_timeout = 0")
            try:
                connection.execute("BEGIN IMMEDIATE")
                connection.execute("ROLLBACK")
            finally:
                connection.execute(f"PRAGMA busy_timeout = {int(1000 * self.patience)}")
        except sqlite3.Error as exc:
            if _is_busy(exc):
                return False
            raise self._error("written", exc) from exc
        return True

    @contextlib.contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Read, as it is at one moment."""
        connection = self._opened()
        try:
            yield connection
        except (sqlite3.Error, msgspec.ValidationError) as exc:
            raise self._error("read", exc) from exc

    @contextlib.contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Write, all or nothing."""
        connection = self._opened()
        try:
            with _transaction(connection):
                yield connection
        except sqlite3.Error as exc:
            raise self._error("written", exc) from exc

    def close(self) -> None:
        """Let go of the file; the next use opens it again."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(sqlite3.Error):  # what was written is written
                connection.close()

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None:
            self.open()
        assert self._connection is not None
        return self._connection

    def _error(self, what: str, exc: Exception) -> LedgerError:
        why = exc.strerror if isinstance(exc, OSError) else str(exc)
        if why == "disk I/O error":
            why += "; is there room on the disk?"
        return LedgerError(f"the sessions' ledger {self.path!r} cannot be {what}: {why}")

    # ------------------------------------------------------------ opening

    def _connect(self) -> sqlite3.Connection:
        os.makedirs(os.path.dirname(self.path), mode=0o700, exist_ok=True)
        # Prompts are in it; SQLite gives its other files the mode of this one.
        os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        return self._begun()

    def _connect_to_read(self) -> sqlite3.Connection:
        try:
            return self._begun()
        except sqlite3.OperationalError as exc:
            if exc.sqlite_errorcode & 0xFF != sqlite3.SQLITE_IOERR:
                raise
        # There is no room for the memory that processes share: so no other has it open.
        return self._begun("PRAGMA locking_mode = EXCLUSIVE")

    def _begun(self, first: str = "") -> sqlite3.Connection:
        connection = sqlite3.connect(
            self.path, timeout=PATIENCE, isolation_level=None, check_same_thread=False
        )
        try:
            connection.execute(first)
            self._begin(connection)
            connection.execute(f"PRAGMA busy_timeout = {int(1000 * self.patience)}")
        except BaseException:
            connection.close()
            raise
        return connection

    def _begin(self, connection: sqlite3.Connection) -> None:
        version = _version(connection)
        if version > self.version:
            raise LedgerError(
                f"the sessions' ledger {self.path!r} is of a newer version of runner ({version};"
                f" this one writes {self.version})"
            )
        if self.only_read:
            return
        _use_wal(connection)
        connection.execute("PRAGMA synchronous = NORMAL")
        if version < self.version:
            with _transaction(connection):
                if _version(connection) == 0:  # nobody was quicker
                    for statement in self.schema.split(";"):
                        connection.execute(statement)
                    connection.execute(f"PRAGMA user_version = {self.version}")


def _use_wal(connection: sqlite3.Connection) -> None:
    until = time.monotonic() + PATIENCE
    while True:
        try:  # this does not wait for others that do the same (SQLite's busy handler is not asked)
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as exc:
            if not _is_busy(exc) or time.monotonic() > until:
                raise
            time.sleep(0.005)
        else:
            return


def _is_busy(exc: sqlite3.Error) -> bool:
    return getattr(exc, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


@contextlib.contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        with contextlib.suppress(sqlite3.Error):  # the one that matters is on its way already
            connection.execute("ROLLBACK")
        raise
