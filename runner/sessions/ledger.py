"""The ledger of sessions: which there are, and what each was doing; one file for a state directory.

    sessions     one row each: its directory, its agent, its conversation, how far it is
    turns        begun → ok | an error's class | cut; with the prompt as long as it did not end well
    processes    begun before a program is started, ended when nothing of it is left
    rewinds      begun before files and conversation are set back, ended when both were

Rules:

1. Written before the act: before a program starts, before a prompt is sent, when the program says
   its conversation's id, and after each turn. So whoever comes after a SIGKILL knows which
   conversation to resume, which prompt was cut, and what may still be running.
2. Only the owner of a session (store.py has the lock) writes about it; everybody may read.
3. No credentials: what an agent's record has of them was taken out before (opening.py).
4. What fails is a `LedgerError` that names the file, and changes nothing.

All SQL of sessions stands here and in tables.py. It decides nothing about what a session does. A
statement is made in the caller's thread; the file is opened in another one (store.py), which may
have to wait.

What is not here: how the file is opened (runner/database.py), and rows as records (rows.py).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec

from runner.database import PATIENCE, Connection, Database, failed
from runner.sessions import rows
from runner.sessions.record import PastProcess, PastRewind, PastTurn, Record
from runner.sessions.rows import RecordT
from runner.sessions.tables import SCHEMA

_FIXED = ("id", "directory", "created")  # what has an index is not to be written again and again
_UPSERT = (
    f"INSERT INTO sessions ({', '.join(rows.SESSION)})"  # noqa: S608 - names of columns
    f" VALUES ({', '.join('?' * len(rows.SESSION))}) ON CONFLICT DO UPDATE SET "
    + ", ".join(f"{name} = excluded.{name}" for name in rows.SESSION if name not in _FIXED)
)
_BEGIN_REWIND = (
    "INSERT INTO rewinds (session, turn, files, conversation, head, began)"
    " VALUES (?, ?, ?, ?, ?, ?)"
)
_END_REWIND = "UPDATE rewinds SET ended = ?, undo = ? WHERE id = ?"
_SESSIONS = f"SELECT {', '.join(rows.SESSION)} FROM sessions"  # noqa: S608


def ledger_of(state: str) -> str:
    """Where the ledger of a state directory is."""
    return os.path.join(state, "sessions.db")


class SessionLedger:
    """The ledger of a state directory; its file is opened, or made, at first use.

    Attributes:
        path: of the file.
        file: the same, as it is opened.
    """

    def __init__(self, path: str, *, patience: float = PATIENCE, only_read: bool = False) -> None:
        """Nothing happens yet.

        Args:
            path: of the file.
            patience: seconds that a statement waits for another process's own.
            only_read: it is there, and nothing will be written.
        """
        self.path = path
        self.file = Database(path, SCHEMA, patience, only_read)

    # ------------------------------------------------------------ reading

    @property
    def is_there(self) -> bool:
        """Whether anything was ever kept."""
        return self.file.is_open or os.path.exists(self.path)

    def load(self, session: str) -> Record | None:
        """What is known of a session; None if there is none of that id.

        Raises:
            LedgerError: it cannot be read, or is of a newer version.
        """
        found = self._records(Record, rows.SESSION, f"{_SESSIONS} WHERE id = ?", session)
        return found[0] if found else None

    def sessions(self) -> list[Record]:
        """All sessions, the last used first.

        Raises:
            LedgerError: as above.
        """
        return self._records(Record, rows.SESSION, f"{_SESSIONS} ORDER BY updated DESC, id")

    def turns(self, session: str) -> list[PastTurn]:
        """The turns of a session, in their order.

        Raises:
            LedgerError: as above.
        """
        sql = f"SELECT {', '.join(rows.TURN)} FROM turns WHERE session = ? ORDER BY number"  # noqa: S608
        return self._records(PastTurn, rows.TURN, sql, session)

    def rewinds(self, session: str) -> list[PastRewind]:
        """When a session was set back, or was about to be, the oldest first.

        Raises:
            LedgerError: as above.
        """
        sql = f"SELECT {', '.join(rows.REWIND)} FROM rewinds WHERE session = ? ORDER BY id"  # noqa: S608
        return self._records(PastRewind, rows.REWIND, sql, session)

    def processes(self, session: str) -> list[PastProcess]:
        """The runs that may have left a program of a session.

        Raises:
            LedgerError: as above.
        """
        sql = f"SELECT {', '.join(rows.PROCESS)} FROM processes WHERE session = ?"  # noqa: S608
        return self._records(PastProcess, rows.PROCESS, sql, session)

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
        values = (*map(rows.text, (*around, below, below[:-1] + "0")), session, session, number)
        with self.file.reading() as connection:
            found = connection.execute(sql, values).fetchall()
        return [(str(rows.read(private)), bool(is_over)) for private, is_over in found]

    # ------------------------------------------------------------ writing, each before its act

    def save(self, record: Record) -> None:
        """Write what is known of a session.

        Raises:
            LedgerError: it cannot be written; what was there before still is.
        """
        with self.file.writing() as connection:
            _upsert(connection, record)

    def begin_turn(self, record: Record, prompt: str, cursor: int, follows: int = 0) -> None:
        """A turn is about to begin: the one that the record says is in flight; after which one.

        Raises:
            LedgerError: as above.
        """
        with self.file.writing() as connection:
            _upsert(connection, record)
            connection.execute(
                "INSERT OR REPLACE INTO turns (session, number, state, prompt, began, cursor,"
                " follows) VALUES (?, ?, 'begun', ?, ?, ?, ?)",
                (record.id, record.in_flight, rows.text(prompt), record.updated, cursor, follows),
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
        with self.file.writing() as connection:
            _upsert(connection, record)
            if not state:
                sql = "DELETE FROM turns WHERE session = ? AND number = ?"
                connection.execute(sql, (record.id, number))
                return
            how = (rows.text(error_text), marker, tokens, cost_usd)
            connection.execute(
                "UPDATE turns SET state = ?, ended = ?, error_text = ?, marker = ?, tokens = ?,"
                " cost_usd = ?, conversation = ?,"
                " prompt = CASE ? WHEN 'ok' THEN NULL ELSE prompt END"
                " WHERE session = ? AND number = ?",
                (state, record.updated, *how, record.conversation, state, record.id, number),
            )

    def keep_turn(self, session: str, number: int, snapshot: str, note: str) -> None:
        """The files at the end of a turn are in a snapshot; or are not, and why.

        Raises:
            LedgerError: as above.
        """
        sql = "UPDATE turns SET snapshot = ?, snapshot_note = ? WHERE session = ? AND number = ?"
        with self.file.writing() as connection:
            connection.execute(sql, (rows.text(snapshot), rows.text(note), session, number))

    def begin_rewind(self, record: Record, turn: int, *, files: bool, conversation: bool) -> int:
        """A session is about to be set back; the answer is by which number that is known.

        Raises:
            LedgerError: as above.
        """
        values = (record.id, turn, files, conversation, record.head, _now())
        with self.file.writing() as connection:
            return connection.execute(_BEGIN_REWIND, values).lastrowid or 0

    def end_rewind(self, record: Record, rewind: int, undo: str = "") -> None:
        """It was set back, and is now what the record says.

        Raises:
            LedgerError: as above.
        """
        with self.file.writing() as connection:
            _upsert(connection, record)
            connection.execute(_END_REWIND, (record.updated, rows.text(undo), rewind))

    def rewind_conversation(self, record: Record, head: int, turn: int) -> None:
        """What was at one turn is set back to another, and is now what the record says: at once.

        Raises:
            LedgerError: as above.
        """
        with self.file.writing() as connection:
            values = (record.id, turn, False, True, head, _now())
            begun = connection.execute(_BEGIN_REWIND, values).lastrowid
            _upsert(connection, record)
            connection.execute(_END_REWIND, (record.updated, "", begun))

    def drop_rewind(self, rewind: int) -> None:
        """It was not set back.

        Raises:
            LedgerError: as above.
        """
        with self.file.writing() as connection:
            connection.execute("DELETE FROM rewinds WHERE id = ?", (rewind,))

    def begin_process(self, session: str, run: str) -> None:
        """A run is about to start a program.

        Raises:
            LedgerError: as above.
        """
        sql = "INSERT OR REPLACE INTO processes (session, run, began) VALUES (?, ?, ?)"
        with self.file.writing() as connection:
            connection.execute(sql, (session, run, _now()))

    def set_pid(self, session: str, run: str, pid: int) -> None:
        """The program was started.

        Raises:
            LedgerError: as above.
        """
        sql = "UPDATE processes SET pid = ? WHERE session = ? AND run = ?"
        with self.file.writing() as connection:
            connection.execute(sql, (pid, session, run))

    def end_process(self, session: str, run: str) -> None:
        """Nothing is left of the program of a run.

        Raises:
            LedgerError: as above.
        """
        sql = "DELETE FROM processes WHERE session = ? AND run = ?"
        with self.file.writing() as connection:
            connection.execute(sql, (session, run))

    def forget(self, session: str) -> None:
        """Remove all that is known of a session.

        Raises:
            LedgerError: as above.
        """
        with self.file.writing() as connection:
            for table, column in (
                ("sessions", "id"),
                ("turns", "session"),
                ("processes", "session"),
                ("rewinds", "session"),
            ):
                connection.execute(f"DELETE FROM {table} WHERE {column} = ?", (session,))  # noqa: S608

    def close(self) -> None:
        """Let go of the file; the next use opens it again."""
        self.file.close()

    def __del__(self) -> None:
        self.close()

    def __repr__(self) -> str:
        state = "open" if self.file.is_open else "closed"
        return f"<SessionLedger {self.path!r}, {state}>"

    def _records(
        self, cls: type[RecordT], names: Sequence[str], sql: str, *values: object
    ) -> list[RecordT]:
        with self.file.reading() as connection:
            try:
                return rows.records_of(connection.execute(sql, values), cls, names)
            except msgspec.ValidationError as exc:
                raise failed(self.path, SCHEMA, "read", exc) from exc


def _upsert(connection: Connection, record: Record) -> None:
    record.updated = _now()
    record.created = record.created or record.updated
    connection.execute(_UPSERT, rows.values_of(record))


def _now() -> str:
    return datetime.now(UTC).isoformat()
