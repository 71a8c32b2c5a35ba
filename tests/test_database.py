"""Our SQLite files: made once, refused when they are of others, and all or nothing."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import attrs
import pytest

from runner import database
from runner.database import Database, Schema, connect, transaction
from runner.errors import LedgerError


def failure(path: str, what: str, cause: Exception | None) -> LedgerError:
    return LedgerError(f"the file {path!r} {what} [{type(cause).__name__}]")


SCHEMA = Schema(
    statements="CREATE TABLE a (b); CREATE TABLE c (d)",
    version=2,
    failure=failure,
    application=77,
    pages="PRAGMA page_size = 1024; PRAGMA auto_vacuum = INCREMENTAL",
)


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "state" / "file.db")


def made(path: str, *statements: str) -> None:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        for each in statements:
            connection.execute(each)


def value(connection: sqlite3.Connection, name: str) -> object:
    return connection.execute(f"PRAGMA {name}").fetchone()[0]


def test_a_file_is_made_with_all_that_its_schema_says(path: str) -> None:
    with contextlib.closing(connect(path, SCHEMA)) as connection:
        found = {
            name: value(connection, name)
            for name in (
                "user_version", "application_id", "page_size", "auto_vacuum", "journal_mode",
                "synchronous",
            )
        }  # fmt: skip

    assert [2, 77, 1024, 2, "wal", 1] == list(found.values())
    assert 0o600 == os.stat(path).st_mode & 0o777
    assert 0o700 == os.stat(os.path.dirname(path)).st_mode & 0o777


def test_a_durable_one_waits_for_the_disk(tmp_path: Path) -> None:
    durable = Schema(statements="", version=1, failure=failure, durable=True, private=False)
    with contextlib.closing(connect(str(tmp_path / "file"), durable)) as connection:
        assert 2 == value(connection, "synchronous")


def test_a_second_connection_takes_no_lock_from_the_first(path: str) -> None:
    with (
        contextlib.closing(connect(path, SCHEMA)) as first,
        contextlib.closing(connect(path, SCHEMA)) as second,
        contextlib.closing(connect(path, SCHEMA, only_read=True)) as third,
    ):
        first.execute("INSERT INTO a VALUES (1)")
        # Another process that lets go of it, as the last one that has it, would remove the log.
        script = (
            "import sqlite3, sys; file = sqlite3.connect(sys.argv[1]);"
            " file.execute('INSERT INTO a VALUES (2)'); file.commit(); file.close()"
        )
        subprocess.run([sys.executable, "-c", script, path], check=True)
        second.execute("INSERT INTO a VALUES (3)")
        assert os.path.exists(path + "-wal")
        for each in (first, second, third):
            assert [(1,), (2,), (3,)] == each.execute("SELECT b FROM a ORDER BY b").fetchall()
    with contextlib.closing(sqlite3.connect(path)) as other:
        assert [(1,), (2,), (3,)] == other.execute("SELECT b FROM a ORDER BY b").fetchall()


def test_many_who_open_a_new_file_at_once_make_it_once(path: str) -> None:
    errors = []

    def use() -> None:
        try:
            with contextlib.closing(connect(path, SCHEMA)) as connection, transaction(connection):
                connection.execute("INSERT INTO a VALUES (1)")
        except Exception as exc:  # noqa: BLE001
            errors.append(exc)

    threads = [threading.Thread(target=use) for _ in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()

    with contextlib.closing(connect(path, SCHEMA)) as connection:
        assert (8,) == connection.execute("SELECT COUNT(*) FROM a").fetchone()
    assert [] == errors


@pytest.mark.parametrize(
    ("statements", "what"),
    [
        (["CREATE TABLE theirs (x)"], "was made by another program"),
        (["PRAGMA user_version = 1"], "was made by another program"),
        (["PRAGMA user_version = 1", "PRAGMA application_id = 5"], "was made by another program"),
        (
            ["PRAGMA user_version = 3", "PRAGMA application_id = 77"],
            r"is of a newer version of runner \(3; this one writes 2\): use that one",
        ),
    ],
)
@pytest.mark.parametrize("only_read", [False, True])
def test_a_file_that_is_not_ours_is_refused_and_left_as_it_is(
    path: str, statements: list[str], what: str, only_read: bool
) -> None:
    made(path, *statements)
    before = Path(path).read_bytes()

    with pytest.raises(LedgerError, match=what):
        connect(path, SCHEMA, only_read=only_read)
    assert before == Path(path).read_bytes()


def test_a_damaged_file_is_an_error_that_names_it(path: str) -> None:
    os.makedirs(os.path.dirname(path))
    Path(path).write_bytes(b"no database " * 1000)

    with pytest.raises(LedgerError, match=r"file\.db' cannot be opened: file is not a database"):
        connect(path, SCHEMA)


def test_a_directory_that_cannot_be_made_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")

    with pytest.raises(LedgerError, match=r"x\.db' cannot be opened: .* \[(NotADir|FileExists)"):
        connect(str(tmp_path / "file" / "x.db"), SCHEMA)


def test_a_transaction_is_all_or_nothing(path: str) -> None:
    with contextlib.closing(connect(path, SCHEMA)) as connection:
        with pytest.raises(ZeroDivisionError), transaction(connection):
            connection.execute("INSERT INTO a VALUES (1)")
            raise ZeroDivisionError
        with transaction(connection):
            connection.execute("INSERT INTO a VALUES (2)")

        assert [(2,)] == connection.execute("SELECT b FROM a").fetchall()


def test_patience_is_how_long_a_statement_waits_for_another_process(path: str) -> None:
    with (
        contextlib.closing(connect(path, SCHEMA)) as one,
        contextlib.closing(connect(path, SCHEMA, patience=0.01)) as two,
        transaction(one),
        pytest.raises(sqlite3.OperationalError, match="locked"),
        transaction(two),
    ):
        pass


def test_a_file_of_one_task_is_opened_by_its_first_use_and_again_after_it_was_closed(
    path: str,
) -> None:
    file = Database(path, SCHEMA, patience=0.01)
    assert not file.is_open
    with file.writing() as connection:
        connection.execute("INSERT INTO a VALUES (1)")
    assert file.is_open
    assert file.is_free()
    file.close()
    file.close()

    with file.reading() as connection:
        assert [(1,)] == connection.execute("SELECT b FROM a").fetchall()
    with contextlib.closing(connect(path, SCHEMA)) as other, transaction(other):
        assert not file.is_free()
    file.close()


def test_what_a_file_of_one_task_cannot_do_is_said_with_its_name(path: str) -> None:
    file = Database(path, SCHEMA)
    with pytest.raises(LedgerError, match="cannot be read: no such table: nope"):
        with file.reading() as connection:
            connection.execute("SELECT * FROM nope")
    with pytest.raises(LedgerError, match="cannot be written: no such table: nope"):
        with file.writing() as connection:
            connection.execute("INSERT INTO nope VALUES (1)")
    file._opened().close()
    with pytest.raises(LedgerError, match="cannot be written: Cannot operate on a closed"):
        file.is_free()


def test_a_switch_to_wal_that_never_comes_to_its_turn_is_given_up(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "PATIENCE", 0.05)
    made(path, "PRAGMA journal_mode = DELETE")
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(LedgerError, match="cannot be opened: database is locked"):
            connect(path, SCHEMA)


def test_an_empty_file_that_is_only_read_stays_as_it_is(path: str) -> None:
    os.makedirs(os.path.dirname(path))
    Path(path).touch()
    with contextlib.closing(connect(path, SCHEMA, only_read=True)):
        pass

    assert b"" == Path(path).read_bytes()


def test_a_file_of_an_older_version_is_made_a_newer_one_by_who_writes(path: str) -> None:
    older = attrs.evolve(SCHEMA, version=1)
    newer = attrs.evolve(
        SCHEMA, version=3, upgrades={1: "ALTER TABLE a ADD COLUMN e", 2: "DROP TABLE c"}
    )
    with contextlib.closing(connect(path, older)) as connection, transaction(connection):
        connection.execute("INSERT INTO a VALUES (5)")
    with pytest.raises(LedgerError, match=r"is of an older version of runner \(1\)"):
        connect(path, newer, only_read=True)
    for only_read in (False, False, True):
        with contextlib.closing(connect(path, newer, only_read=only_read)) as connection:
            assert [(5, None)] == connection.execute("SELECT b, e FROM a").fetchall()
            assert 3 == value(connection, "user_version")
    with pytest.raises(LedgerError, match="is of a newer version"):
        connect(path, older)
