"""The file of a project's store, for many threads: one connection writes, others read beside it.

Rules:

1. One thread at a time writes; it sees what it has written, the others what was committed.
2. A transaction inside one joins it: all or nothing. If a part of it failed and somebody went on,
   nothing of it is written, and that is an error.
3. What fails is a `StoreError` that names the file, and changes nothing.

What is not here: what stands in it (statements.py).
"""

from __future__ import annotations

import contextlib
import errno
import os
import threading
from collections.abc import Iterator, Sequence

import attrs

from runner.database import (
    PATIENCE,
    Connection,
    Cursor,
    Schema,
    SqlError,
    connect,
    failed,
    transaction,
)
from runner.errors import StoreDamaged, StoreError
from runner.workspaces.statements import (
    APPLICATION,
    FREE,
    GIVE_BACK,
    PAGES,
    TABLES,
    VERSION,
)

_HOW = {
    "SQLITE_FULL": "make room on the disk",
    "SQLITE_IOERR": "make room on the disk, or see what is wrong with it",
    "SQLITE_BUSY": "another process is at work on it: try again",
    "SQLITE_READONLY": "it and its directory have to be writable for this user",
    "SQLITE_CANTOPEN": "its directory has to be writable for this user",
    "ENOSPC": "make room on the disk",
    "EDQUOT": "make room on the disk",
    "EACCES": "it and its directory have to be writable for this user",
    "EPERM": "it and its directory have to be writable for this user",
    "EROFS": "it has to be where files can be written",
}


def _failure(path: str, what: str, cause: Exception | None) -> StoreError:
    if isinstance(cause, OSError):
        name = errno.errorcode.get(cause.errno or 0, "")
    else:  # of SQLite; its extended ones have three words
        name = "_".join(getattr(cause, "sqlite_errorname", "").split("_")[:2])
    if name in {"SQLITE_CORRUPT", "SQLITE_NOTADB"}:
        how = "move it away, or put a copy of it in its place; live trees are not in it"
        return StoreDamaged(what, path, how)
    return StoreError(what, path, _HOW.get(name, ""))


SCHEMA = Schema(
    statements=TABLES, version=VERSION, failure=_failure, application=APPLICATION, pages=PAGES
)
# Pages of the file that the writing connection keeps in memory, in KiB.
_CACHE = 32 << 10


class File:
    """An open store's file."""

    def __init__(self, path: str, *, patience: float = PATIENCE, durable: bool = False) -> None:
        """Open it, or make it.

        Raises:
            StoreError: it cannot be.
        """
        self.path = path
        self._patience = patience
        self._schema = attrs.evolve(SCHEMA, durable=durable)
        self._lock = threading.RLock()
        self._inside = 0  # the thread in whose transaction we are
        self._is_doomed = False
        self._is_open = True
        self._readers: list[Connection] = []
        self._writer = connect(path, self._schema, patience=patience)
        self._writer.execute(f"PRAGMA cache_size = -{_CACHE}")

    @contextlib.contextmanager
    def writing(self) -> Iterator[Connection]:
        """Write, all or nothing, in the transaction of this thread if it is in one."""
        with self._lock:
            self._see_that_it_is_open()
            if self._inside:
                try:
                    yield self._writer
                except BaseException as exc:
                    self._is_doomed = True
                    self._say("written", exc)
                    raise
                return
            self._inside, self._is_doomed = threading.get_ident(), False
            try:
                with transaction(self._writer):
                    yield self._writer
                    self._see_that_all_went_well()
            except SqlError as exc:
                self._say("written", exc)
            finally:
                self._inside = 0

    def change(self, sql: str, values: Sequence[object] = ()) -> Cursor:
        """The same for one statement, which is all or nothing by itself."""
        with self._lock:
            self._see_that_it_is_open()
            try:
                return self._writer.execute(sql, values)
            except BaseException as exc:
                self._is_doomed = True
                self._say("written", exc)
                raise

    @contextlib.contextmanager
    def reading(self) -> Iterator[Connection]:
        """Read: what this thread has written, if it is in a transaction; else what is committed."""
        is_inside = self._inside == threading.get_ident()
        self._see_that_it_is_open()
        connection = self._writer if is_inside else self._reader()
        try:
            yield connection
        except SqlError as exc:
            self._say("read", exc)
        finally:
            if not is_inside:
                self._readers.append(connection)
                if not self._is_open:  # meanwhile
                    self._close_readers()

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            if self._is_open:
                self._is_open = False
                _close(self._writer)
                self._close_readers()

    def settle(self) -> None:
        """Bring all that was written into the file itself, if nobody is reading."""
        self.change("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def give_back(self) -> bool:
        """Give some free room back to the disk; whether there was any. Not in a transaction."""
        with self._lock:
            if self._inside or self.change(FREE).fetchone() == (0,):
                return False
            try:
                # `execute` would take one step, which is one page: this pragma has no rows.
                self._writer.executescript(GIVE_BACK)
            except SqlError as exc:
                self._say("written", exc)
            return True

    @property
    def size(self) -> int:
        """Bytes on the disk, with what SQLite keeps beside the file."""
        size = 0
        for suffix in ("", "-wal", "-shm"):
            with contextlib.suppress(FileNotFoundError):
                size += os.stat(self.path + suffix).st_size
        return size

    # ------------------------------------------------------------ inside

    def _reader(self) -> Connection:
        with contextlib.suppress(IndexError):
            return self._readers.pop()
        return connect(self.path, self._schema, patience=self._patience, only_read=True)

    def _close_readers(self) -> None:
        with contextlib.suppress(IndexError):
            while True:
                _close(self._readers.pop())

    def _see_that_it_is_open(self) -> None:
        if not self._is_open:
            raise StoreError("the store is closed", self.path)

    def _see_that_all_went_well(self) -> None:
        if self._is_doomed:
            what = "a part of what was to be written together failed: nothing of it was written"
            raise StoreError(what, self.path)

    def _say(self, what: str, exc: BaseException) -> None:
        """Raise the error that an error of SQLite is to whoever uses the store."""
        if isinstance(exc, SqlError):
            raise failed(self.path, self._schema, what, exc) from exc


def _close(connection: Connection) -> None:
    with contextlib.suppress(SqlError):  # what was written is written
        connection.close()
