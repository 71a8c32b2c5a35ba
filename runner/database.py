"""Our SQLite files: how each is opened, or made, at first use; and transactions.

Rules:

1. What fails is an error of the file's owner that names the file, and changes nothing.
2. A file of a newer version of runner is refused, and one that another program has made. An older
   one is made a newer one by who opens it to write, and refused to who only reads.
3. Many processes may use one file (WAL). Whoever finds another in its own short write waits for it,
   for `patience` at most; who makes the file waits for others that do the same.
4. No fsync, unless the schema asks for it: after a SIGKILL all is there; after a power failure the
   last transactions may not be, and nothing else is wrong.

This is the one module that imports sqlite3. What is not here: what stands in a file, and who may
write it (sessions/ledger.py, jobs/ledger.py, workspaces/store.py).
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import stat
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import TypeAlias

import attrs

from runner.errors import RunnerError

# For who holds a connection, and who says what can go wrong with it.
Connection: TypeAlias = sqlite3.Connection
Cursor: TypeAlias = sqlite3.Cursor
SqlError: TypeAlias = sqlite3.Error

# How long another process may be in its own short write.
PATIENCE = 5.0

# The file's path, what is wrong with it ("cannot be opened: …"), and what that came from.
Failure: TypeAlias = Callable[[str, str, Exception | None], RunnerError]


@attrs.frozen(kw_only=True)
class Schema:
    """What a kind of file is.

    Attributes:
        statements: that make it, separated by semicolons.
        version: of them.
        failure: makes the error of what cannot be done with such a file.
        application: what SQLite keeps as `application_id`, by which such a file is known; 0 = none.
        pages: pragmas that have to stand before anything else is written.
        upgrades: by an older version, the statements that make the next one of it.
        durable: each transaction waits for the disk.
        private: it is made for its owner only, and the directory that it is in as well.
    """

    statements: str
    version: int
    failure: Failure
    application: int = 0
    pages: str = ""
    upgrades: Mapping[int, str] = attrs.field(factory=dict)
    durable: bool = False
    private: bool = True


def connect(
    path: str, schema: Schema, *, patience: float | None = None, only_read: bool = False
) -> Connection:
    """Open a file, or make it; waits for others that do the same.

    Args:
        path: of the file.
        schema: what it is.
        patience: seconds that a statement waits for other processes; None = `PATIENCE`.
        only_read: it is there, and nothing is to be written: then it can be opened on a full disk
            as well, and where nothing may be written.

    Returns:
        For any thread, one at a time; its transactions are begun by `transaction`.

    Raises:
        RunnerError: the schema's own; it cannot be opened, is of a newer version, or not ours.
    """
    try:
        connection = _connect_to_read(path, schema) if only_read else _connect(path, schema)
    except (SqlError, OSError) as exc:
        raise failed(path, schema, "opened", exc) from exc
    if patience is not None:
        _wait_at_most(connection, patience)
    return connection


@contextlib.contextmanager
def transaction(connection: Connection) -> Iterator[None]:
    """Write, all or nothing."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        with contextlib.suppress(SqlError):  # the one that matters is on its way already
            connection.execute("ROLLBACK")
        raise


def failed(path: str, schema: Schema, what: str, exc: Exception) -> RunnerError:
    """The error of a file that cannot be "opened", "read", "written"."""
    why = str(exc.strerror) if isinstance(exc, OSError) else str(exc)
    if why == "disk I/O error":
        why += "; is there room on the disk?"
    return schema.failure(path, f"cannot be {what}: {why}", exc)


@attrs.define(eq=False)
class Database:
    """A file that one task uses, opened, or made, at first use.

    A statement is made in the caller's thread, and takes some tens of microseconds, but for a text
    of megabytes. Where another process is in its own short write, it waits for `patience` at most.
    Who has other tasks to keep going gives little of that; opens the file in a thread; and waits
    for `is_free` before it writes.

    Attributes:
        path: of the file.
        schema: what it is.
        patience: seconds that a statement waits for other processes.
        only_read: nothing is to be written.
    """

    path: str
    schema: Schema
    patience: float = PATIENCE
    only_read: bool = False
    _connection: Connection | None = None
    _opening: threading.Lock = attrs.field(factory=threading.Lock)

    @property
    def is_open(self) -> bool:
        """Whether the next statement need not open it."""
        return self._connection is not None

    def open(self) -> None:
        """Open it, or make it, if it is not open; waits for others that do the same.

        Raises:
            RunnerError: the schema's own; as for `connect`.
        """
        with self._opening:
            if self._connection is None:
                self._connection = connect(
                    self.path, self.schema, patience=self.patience, only_read=self.only_read
                )

    def is_free(self) -> bool:
        """Whether it can be written now: no other process does.

        Raises:
            RunnerError: the schema's own; it cannot be, for another reason.
        """
        connection = self._opened()
        try:
            _wait_at_most(connection, 0)
            try:
                connection.execute("BEGIN IMMEDIATE")
                connection.execute("ROLLBACK")
            finally:
                _wait_at_most(connection, self.patience)
        except SqlError as exc:
            if is_busy(exc):
                return False
            raise failed(self.path, self.schema, "written", exc) from exc
        return True

    @contextlib.contextmanager
    def reading(self) -> Iterator[Connection]:
        """Read, as it is at one moment."""
        connection = self._opened()
        try:
            yield connection
        except SqlError as exc:
            raise failed(self.path, self.schema, "read", exc) from exc

    @contextlib.contextmanager
    def writing(self) -> Iterator[Connection]:
        """Write, all or nothing."""
        connection = self._opened()
        try:
            with transaction(connection):
                yield connection
        except SqlError as exc:
            raise failed(self.path, self.schema, "written", exc) from exc

    def close(self) -> None:
        """Let go of the file; the next use opens it again."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(SqlError):  # what was written is written
                connection.close()

    def _opened(self) -> Connection:
        if self._connection is None:
            self.open()
        assert self._connection is not None
        return self._connection


# ---------------------------------------------------------------- opening


def _connect(path: str, schema: Schema) -> Connection:
    if schema.private:
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        # SQLite gives its other files the mode of this one. It is made without being opened: who
        # closes a file takes away all locks that this process has on it, those of SQLite's other
        # connections as well; another process then takes it for nobody's, and removes its log.
        # Source: fcntl(2), "Advisory record locking"; sqlite.org/howtocorrupt.html, 2.2.
        with contextlib.suppress(FileExistsError):
            os.mknod(path, 0o600 | stat.S_IFREG)
    return _begun(path, schema, _begin)


def _connect_to_read(path: str, schema: Schema) -> Connection:
    try:
        return _begun(path, schema, _check_to_read)
    except sqlite3.OperationalError as exc:
        if exc.sqlite_errorcode & 0xFF != sqlite3.SQLITE_IOERR:
            raise
    # There is no room for the memory that processes share: so no other has it open.
    return _begun(path, schema, _check_to_read, "PRAGMA locking_mode = EXCLUSIVE")


def _begun(
    path: str, schema: Schema, begin: Callable[[Connection, str, Schema], object], first: str = ""
) -> Connection:
    connection = sqlite3.connect(
        path, timeout=PATIENCE, isolation_level=None, check_same_thread=False
    )
    try:
        connection.execute(first)
        begin(connection, path, schema)
    except BaseException:
        connection.close()
        raise
    return connection


def _begin(connection: Connection, path: str, schema: Schema) -> None:
    version = _check(connection, path, schema)
    if version == 0:
        for each in schema.pages.split(";"):
            connection.execute(each)
    _use_wal(connection)
    connection.execute(f"PRAGMA synchronous = {'FULL' if schema.durable else 'NORMAL'}")
    if version < schema.version:
        with transaction(connection):
            version = _check(connection, path, schema)  # somebody may have been quicker
            texts = [schema.upgrades[each] for each in range(version, schema.version) if version]
            for each in ";".join(texts if version else [schema.statements]).split(";"):
                connection.execute(each)
            connection.execute(f"PRAGMA application_id = {schema.application}")
            connection.execute(f"PRAGMA user_version = {schema.version}")


def _check(connection: Connection, path: str, schema: Schema) -> int:
    """Its version; 0 if nothing was ever written to it."""
    sql = (
        "SELECT user_version, application_id, (SELECT COUNT(*) FROM sqlite_master)"
        " FROM pragma_user_version, pragma_application_id"
    )
    version, application, tables = map(int, connection.execute(sql).fetchone())
    if application != schema.application if version else tables:
        raise schema.failure(path, "was made by another program: nothing was changed in it", None)
    if version > schema.version:
        newer = f"is of a newer version of runner ({version}; this one writes {schema.version})"
        raise schema.failure(path, f"{newer}: use that one", None)
    return version


def _check_to_read(connection: Connection, path: str, schema: Schema) -> None:
    version = _check(connection, path, schema)
    if 0 < version < schema.version:
        older = f"is of an older version of runner ({version}): whoever writes it next mends that"
        raise schema.failure(path, older, None)


def _use_wal(connection: Connection) -> None:
    until = time.monotonic() + PATIENCE
    while True:
        try:  # this does not wait for others that do the same (SQLite's busy handler is not asked)
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as exc:
            if not is_busy(exc) or time.monotonic() > until:
                raise
            time.sleep(0.005)
        else:
            return


def _wait_at_most(connection: Connection, patience: float) -> None:
    connection.execute(f"PRAGMA busy_timeout = {int(1000 * patience)}")


def is_busy(exc: SqlError) -> bool:
    """Whether another connection is in its own write."""
    return getattr(exc, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY
