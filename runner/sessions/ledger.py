"""The ledger of sessions: which there are, and what each was doing; one file for a state directory.

    sessions     one row each: its directory, its agent, its conversation, how far it is
    turns        begun → ok | an error's class | cut; with the prompt as long as it did not end well
    processes    begun before a program is started, ended when nothing of it is left

Rules:

1. Written before the act: before a program starts, before a prompt is sent, when the program says
   its conversation's id, and after each turn. So whoever comes after a SIGKILL knows which
   conversation to resume, which prompt was cut, and what may still be running.
2. Only the owner of a session (store.py has the lock) writes about it; everybody may read.
3. No fsync (WAL): after a SIGKILL all is there; after a power failure the last turns may not be.
4. No credentials: what an agent's record has of them was taken out before (opening.py).
5. What fails is a `LedgerError` that names the file, and changes nothing.

All SQL of sessions stands here. Statements are short and made in the caller's thread: some tens of
microseconds each, but for a prompt of megabytes. It decides nothing about what a session does.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import TypeVar

import attrs
import msgspec

from runner.errors import LedgerError
from runner.sessions.record import PastProcess, PastTurn, Record

VERSION = 1
# How long another process may be in its own short write.
PATIENCE = 5.0

RecordT = TypeVar("RecordT")

SCHEMA = """
CREATE TABLE sessions (
    id TEXT PRIMARY KEY, agent TEXT NOT NULL, setup TEXT NOT NULL, program TEXT NOT NULL,
    program_version TEXT NOT NULL, directory TEXT NOT NULL, private TEXT NOT NULL,
    conversation TEXT NOT NULL, resume INTEGER NOT NULL, turns INTEGER NOT NULL,
    last_good INTEGER NOT NULL, in_flight INTEGER NOT NULL, cut INTEGER NOT NULL,
    standing TEXT NOT NULL, parent TEXT NOT NULL, parent_turn INTEGER NOT NULL,
    origin TEXT NOT NULL, history TEXT NOT NULL, marker TEXT NOT NULL, context INTEGER NOT NULL,
    created TEXT NOT NULL, updated TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX by_directory ON sessions (directory);
CREATE TABLE turns (
    session TEXT NOT NULL, number INTEGER NOT NULL, state TEXT NOT NULL, prompt TEXT,
    began TEXT NOT NULL, ended TEXT, error_text TEXT NOT NULL DEFAULT '',
    marker TEXT NOT NULL DEFAULT '', tokens INTEGER NOT NULL DEFAULT 0, cost_usd REAL,
    cursor INTEGER NOT NULL,
    PRIMARY KEY (session, number)
);
CREATE TABLE processes (
    session TEXT NOT NULL, run TEXT NOT NULL, pid INTEGER NOT NULL DEFAULT 0,
    began TEXT NOT NULL,
    PRIMARY KEY (session, run)
) WITHOUT ROWID;
"""


_COLUMNS = tuple(each.name for each in attrs.fields(Record))
_FIXED = ("id", "directory", "created")  # what has an index is not to be written again and again
_UPSERT = (
    f"INSERT INTO sessions ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))})"  # noqa: S608
    " ON CONFLICT DO UPDATE SET "
    + ", ".join(f"{name} = excluded.{name}" for name in _COLUMNS if name not in _FIXED)
)
_SESSIONS = f"SELECT {', '.join(_COLUMNS)} FROM sessions"  # noqa: S608
_TURN = tuple(each.name for each in attrs.fields(PastTurn))
_PROCESS = tuple(each.name for each in attrs.fields(PastProcess))


def ledger_of(state: str) -> str:
    """Where the ledger of a state directory is."""
    return os.path.join(state, "sessions.db")


class SessionLedger:
    """The ledger of a state directory; its file is opened, or made, at first use.

    Attributes:
        path: of the file.
    """

    def __init__(self, path: str) -> None:
        """Nothing happens yet."""
        self.path = path
        self._connection: sqlite3.Connection | None = None

    # ------------------------------------------------------------ reading

    @property
    def is_there(self) -> bool:
        """Whether anything was ever kept."""
        return self._connection is not None or os.path.exists(self.path)

    def load(self, session: str) -> Record | None:
        """What is known of a session; None if there is none of that id.

        Raises:
            LedgerError: it cannot be read, or is of a newer version.
        """
        found = self._records(Record, _COLUMNS, f"{_SESSIONS} WHERE id = ?", session)
        return found[0] if found else None

    def sessions(self) -> list[Record]:
        """All sessions, the last used first.

        Raises:
            LedgerError: as above.
        """
        return self._records(Record, _COLUMNS, f"{_SESSIONS} ORDER BY updated DESC, id")

    def turns(self, session: str) -> list[PastTurn]:
        """The turns of a session, in their order.

        Raises:
            LedgerError: as above.
        """
        sql = f"SELECT {', '.join(_TURN)} FROM turns WHERE session = ? ORDER BY number"  # noqa: S608
        return self._records(PastTurn, _TURN, sql, session)

    def processes(self, session: str) -> list[PastProcess]:
        """The runs that may have left a program of a session.

        Raises:
            LedgerError: as above.
        """
        sql = f"SELECT {', '.join(_PROCESS)} FROM processes WHERE session = ?"  # noqa: S608
        return self._records(PastProcess, _PROCESS, sql, session)

    def neighbours(self, session: str, number: int, directory: str) -> list[tuple[str, bool]]:
        """Whose last turn was not over when a turn began, at work where that one can see it.

        Returns:
            Of each other session in the directory, in one inside it or around it: its private
            directory, and whether that turn is over by now.

        Raises:
            LedgerError: as above.
        """
        below = directory.rstrip("/") + "/"
        around = [below[:at] or "/" for at, each in enumerate(below) if each == "/"]
        sql = (
            "SELECT s.private, t.ended IS NOT NULL FROM sessions s"  # noqa: S608 - marks only
            " JOIN turns t ON t.session = s.id AND t.number = s.turns"
            f" WHERE (s.directory IN ({', '.join('?' * len(around))})"
            " OR (s.directory > ? AND s.directory < ?)) AND s.id != ? AND (t.ended IS NULL"
            " OR t.ended >= (SELECT began FROM turns WHERE session = ? AND number = ?))"
        )
        values = (*map(_text, (*around, below, below[:-1] + "0")), session, session, number)
        try:
            rows = self._opened().execute(sql, values).fetchall()
        except sqlite3.Error as exc:
            raise LedgerError(f"the sessions' ledger {self.path!r} cannot be read: {exc}") from exc
        return [(str(_read(private)), bool(is_over)) for private, is_over in rows]

    # ------------------------------------------------------------ writing, each before its act

    def save(self, record: Record) -> None:
        """Write what is known of a session.

        Raises:
            LedgerError: it cannot be written; what was there before still is.
        """
        with self._writing() as connection:
            _upsert(connection, record)

    def begin_turn(self, record: Record, prompt: str, cursor: int) -> None:
        """A turn is about to begin: the one that the record says is in flight.

        Raises:
            LedgerError: as above.
        """
        with self._writing() as connection:
            _upsert(connection, record)
            connection.execute(
                "INSERT OR REPLACE INTO turns (session, number, state, prompt, began, cursor)"
                " VALUES (?, ?, 'begun', ?, ?, ?)",
                (record.id, record.in_flight, _text(prompt), record.updated, cursor),
            )

    def end_turn(
        self,
        record: Record,
        number: int,
        state: str,
        *,
        error_text: str = "",
        marker: str = "",
        tokens: int = 0,
        cost_usd: float | None = None,
    ) -> None:
        """A turn has come to its end; an empty state: it never began.

        Raises:
            LedgerError: as above.
        """
        with self._writing() as connection:
            _upsert(connection, record)
            if not state:
                sql = "DELETE FROM turns WHERE session = ? AND number = ?"
                connection.execute(sql, (record.id, number))
                return
            connection.execute(
                "UPDATE turns SET state = ?, ended = ?, error_text = ?, marker = ?, tokens = ?,"
                " cost_usd = ?, prompt = CASE ? WHEN 'ok' THEN NULL ELSE prompt END"
                " WHERE session = ? AND number = ?",
                (
                    *(state, record.updated, _text(error_text), marker, tokens, cost_usd, state),
                    *(record.id, number),
                ),
            )

    def begin_process(self, session: str, run: str) -> None:
        """A run is about to start a program.

        Raises:
            LedgerError: as above.
        """
        sql = "INSERT OR REPLACE INTO processes (session, run, began) VALUES (?, ?, ?)"
        with self._writing() as connection:
            connection.execute(sql, (session, run, _now()))

    def set_pid(self, session: str, run: str, pid: int) -> None:
        """The program was started.

        Raises:
            LedgerError: as above.
        """
        sql = "UPDATE processes SET pid = ? WHERE session = ? AND run = ?"
        with self._writing() as connection:
            connection.execute(sql, (pid, session, run))

    def end_process(self, session: str, run: str) -> None:
        """Nothing is left of the program of a run.

        Raises:
            LedgerError: as above.
        """
        sql = "DELETE FROM processes WHERE session = ? AND run = ?"
        with self._writing() as connection:
            connection.execute(sql, (session, run))

    def forget(self, session: str) -> None:
        """Remove all that is known of a session.

        Raises:
            LedgerError: as above.
        """
        with self._writing() as connection:
            for table, column in (
                ("sessions", "id"),
                ("turns", "session"),
                ("processes", "session"),
            ):
                connection.execute(f"DELETE FROM {table} WHERE {column} = ?", (session,))  # noqa: S608

    def close(self) -> None:
        """Let go of the file; the next use opens it again."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(sqlite3.Error):  # what was written is written
                connection.close()

    def __del__(self) -> None:
        self.close()

    def __repr__(self) -> str:
        state = "closed" if self._connection is None else "open"
        return f"<SessionLedger {self.path!r}, {state}>"

    # ------------------------------------------------------------ SQL

    def _records(
        self, cls: type[RecordT], names: Sequence[str], sql: str, *values: object
    ) -> list[RecordT]:
        try:
            rows = self._opened().execute(sql, values).fetchall()
            return [
                # SQLite keeps yes and no as numbers, which only a lax conversion takes.
                msgspec.convert(dict(zip(names, map(_read, row), strict=True)), cls, strict=False)
                for row in rows
            ]
        except (sqlite3.Error, msgspec.ValidationError) as exc:
            raise LedgerError(f"the sessions' ledger {self.path!r} cannot be read: {exc}") from exc

    @contextlib.contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        connection = self._opened()
        try:
            with _transaction(connection):
                yield connection
        except sqlite3.Error as exc:
            what = f"the sessions' ledger {self.path!r} cannot be written: {exc}"
            raise LedgerError(what) from exc

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None:
            try:
                self._connection = _connect(self.path)
            except (sqlite3.Error, OSError) as exc:
                what = f"the sessions' ledger {self.path!r} cannot be opened: {exc}"
                raise LedgerError(what) from exc
        return self._connection


def _connect(path: str) -> sqlite3.Connection:
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    # Prompts are in it; SQLite gives its other files the mode of this one.
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    connection = sqlite3.connect(
        path, timeout=PATIENCE, isolation_level=None, check_same_thread=False
    )
    try:
        _begin(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def _begin(connection: sqlite3.Connection, path: str) -> None:
    version = _version(connection)
    if version > VERSION:
        raise LedgerError(
            f"the sessions' ledger {path!r} is of a newer version of runner ({version}; this one"
            f" writes {VERSION})"
        )
    _use_wal(connection)
    connection.execute("PRAGMA synchronous = NORMAL")
    if version < VERSION:
        with _transaction(connection):
            if _version(connection) == 0:  # nobody was quicker
                for statement in SCHEMA.split(";"):
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {VERSION}")


def _use_wal(connection: sqlite3.Connection) -> None:
    until = time.monotonic() + PATIENCE
    while True:
        try:  # this does not wait for others that do the same (SQLite's busy handler is not asked)
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as exc:
            if exc.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                raise
            time.sleep(0.005)
        else:
            return


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


def _upsert(connection: sqlite3.Connection, record: Record) -> None:
    record.updated = _now()
    record.created = record.created or record.updated
    connection.execute(_UPSERT, [_plain(getattr(record, name)) for name in _COLUMNS])


def _plain(value: object) -> object:
    return _text(value) if isinstance(value, str) else value


def _text(text: str) -> str | bytes:
    """A text as SQLite takes it: one with undecodable bytes (of a path, a prompt) as bytes."""
    try:
        text.encode()
    except UnicodeEncodeError:
        try:
            return text.encode("utf-8", "surrogateescape")
        except UnicodeEncodeError:
            return text.encode("utf-8", "backslashreplace")
    return text


def _read(value: object) -> object:
    return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else value


def _now() -> str:
    return datetime.now(UTC).isoformat()
