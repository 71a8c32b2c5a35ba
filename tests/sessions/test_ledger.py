"""The ledger of sessions: what is written is there for whoever comes next, and nothing else is."""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from runner.errors import LedgerError, RunnerError
from runner.sessions.ledger import SessionLedger, ledger_of
from runner.sessions.making import Sessions
from runner.sessions.record import Record
from runner.sessions.tables import VERSION


@pytest.fixture
def path(tmp_path: Path) -> str:
    return ledger_of(str(tmp_path / "state"))


@pytest.fixture
def ledger(path: str) -> Iterator[SessionLedger]:
    ledger = SessionLedger(path)
    yield ledger
    ledger.close()


def a_record(**changes: object) -> Record:
    return Record(
        **{"id": "one", "agent": "fake", "directory": "/w", "conversation": "c"} | changes
    )


def test_a_record_comes_back_as_it_was(ledger: SessionLedger, path: str) -> None:
    odd = a_record(turns=3, resume=True, directory="/w/\udcff", setup="{}", context=True)
    assert ledger.load("one") is None
    ledger.save(odd)
    ledger.close()  # and opened anew by its next use

    assert odd == ledger.load("one")
    assert odd.created
    assert [odd] == SessionLedger(path).sessions()
    assert "open" in repr(ledger)


def test_a_text_that_is_no_unicode_at_all_is_kept_as_well_as_can_be(ledger: SessionLedger) -> None:
    record = a_record(in_flight=1)
    ledger.begin_turn(record, "\ud800 half", 0)

    assert "\\ud800 half" == ledger.turns("one")[0].prompt


def test_the_prompt_of_a_turn_is_kept_until_it_has_come_to_a_good_end(
    ledger: SessionLedger,
) -> None:
    for number, state in enumerate(("ok", "crashed", "cut", "", "begun"), 1):
        record = a_record(turns=number, in_flight=number)
        ledger.begin_turn(record, f"prompt {number}", 100 * number)
        if state != "begun":
            record.in_flight = 0
            ledger.end_turn(record, number, state, marker="m", tokens=5, cost_usd=0.5)
    turns = ledger.turns("one")

    assert [(1, "ok"), (2, "crashed"), (3, "cut"), (5, "begun")] == [
        (turn.number, turn.state) for turn in turns
    ]
    assert [None, "prompt 2", "prompt 3", "prompt 5"] == [turn.prompt for turn in turns]
    assert ("m", 5, 0.5, 100) == (
        turns[0].marker, turns[0].tokens, turns[0].cost_usd, turns[0].cursor
    )  # fmt: skip
    assert (None, "") == (turns[-1].ended, turns[-1].marker)


def test_a_turn_of_a_number_that_was_never_carried_out_may_begin_again(
    ledger: SessionLedger,
) -> None:
    record = a_record(turns=1, in_flight=1)
    ledger.begin_turn(record, "first", 0)
    ledger.begin_turn(record, "second", 7)

    assert [("second", 7)] == [(turn.prompt, turn.cursor) for turn in ledger.turns("one")]


def test_a_process_is_known_from_before_its_start_until_nothing_is_left(
    ledger: SessionLedger,
) -> None:
    ledger.begin_process("one", "run-a")
    ledger.begin_process("one", "run-b")
    ledger.set_pid("one", "run-b", 77)
    assert {("run-a", 0), ("run-b", 77)} == {
        (process.run, process.pid) for process in ledger.processes("one")
    }

    ledger.end_process("one", "run-b")
    assert ["run-a"] == [process.run for process in ledger.processes("one")]
    assert [] == ledger.processes("another")


def test_the_last_used_session_comes_first_and_a_forgotten_one_leaves_nothing(
    ledger: SessionLedger, path: str
) -> None:
    for name in ("a", "b", "c"):
        ledger.begin_turn(a_record(id=name, in_flight=1), "p", 0)
        ledger.begin_process(name, "r")
    ledger.save(a_record(id="a"))
    assert ["a", "c", "b"] == [record.id for record in ledger.sessions()]

    ledger.forget("a")
    ledger.forget("never there")
    with contextlib.closing(sqlite3.connect(path)) as connection:
        assert not [line for line in connection.iterdump() if "'a'" in line]
    assert ["c", "b"] == [record.id for record in ledger.sessions()]


def test_it_is_its_owners_only(ledger: SessionLedger, path: str) -> None:
    ledger.save(a_record())
    directory = os.path.dirname(path)

    assert 0o700 == os.stat(directory).st_mode & 0o777
    assert {0o600} == {
        os.stat(os.path.join(directory, name)).st_mode & 0o777 for name in os.listdir(directory)
    }


# ---------------------------------------------------------------- what can be wrong with the file


def spoil_garbage(path: str) -> None:
    Path(path).write_bytes(b"no database, but long enough to be looked at " * 100)


def spoil_inside(path: str) -> None:
    size = os.path.getsize(path)
    with open(path, "r+b") as file:
        file.seek(100)
        file.write(b"\xff" * (size - 100))


def spoil_newer(path: str) -> None:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA user_version = {VERSION + 1}")


def spoil_directory(path: str) -> None:
    os.unlink(path)
    os.mkdir(path)


def spoil_table(path: str) -> None:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("DROP TABLE sessions")


SPOILS: tuple[tuple[Callable[[str], None], str], ...] = (
    (spoil_garbage, "file is not a database"),
    (spoil_inside, "malformed|corrupt|not a database"),
    (spoil_newer, rf"newer version of runner \({VERSION + 1}; this one writes {VERSION}\)"),
    (spoil_directory, "cannot be opened"),
    (spoil_table, "no such table"),
)


@pytest.mark.parametrize(("spoil", "message"), SPOILS)
async def test_a_ledger_that_cannot_be_used_is_said_before_anything_is_started(
    sessions: Sessions,
    work: Path,
    state: Path,
    fake: Callable[..., object],
    spoil: Callable[[str], None],
    message: str,
) -> None:
    path = ledger_of(str(state))
    SessionLedger(path).save(a_record())
    spoil(path)

    async with sessions.make_session(str(work), driver=fake(), id="mine") as session:
        for _ in range(2):
            with pytest.raises(LedgerError, match=message) as caught:
                await session.send("write f x")
            assert path in str(caught.value)
        assert 0 == session.statistics().starts
    async with sessions.make_session(str(work), driver=fake(), durable=False) as session:
        assert (await session.send("say that is not touched")).ok
    assert [] == list(work.iterdir())


async def test_a_full_disk_keeps_a_turn_from_beginning_and_then_it_goes_on(
    sessions: Sessions, work: Path, state: Path, fake: Callable[..., object]
) -> None:
    state.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(state)]
    mounted = subprocess.run(mount, capture_output=True, check=False)
    if mounted.returncode != 0:
        pytest.skip(f"mounting a small disk needs root: {mounted.stderr.decode()}")
    try:
        async with sessions.make_session(str(work), driver=fake(), id="mine") as session:
            await session.send("say one")
            filler = state / "filler"
            with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
                while file.write(b"x" * 512):
                    pass
            with pytest.raises(RunnerError, match="full|space"):
                for _ in range(100):  # what SQLite has reserved may take some
                    await session.send("say two")
            filler.unlink()
            turn = await session.send("say three")
        sessions.ledger.close()
    finally:
        subprocess.run(["umount", "-l", str(state)], check=True)

    assert turn.ok


async def test_a_ledger_that_must_not_be_written_is_said_before_anything_is_started(
    sessions: Sessions, work: Path, state: Path, fake: Callable[..., object]
) -> None:
    SessionLedger(ledger_of(str(state))).save(a_record())
    (state / "sessions").mkdir()
    mount = ["mount", "--bind", "-o", "ro", ledger_of(str(state)), ledger_of(str(state))]
    mounted = subprocess.run(mount, capture_output=True, check=False)
    if mounted.returncode != 0:
        pytest.skip(f"a file that root must not write needs a mount: {mounted.stderr.decode()}")
    try:
        async with sessions.make_session(str(work), driver=fake(), id="mine") as session:
            with pytest.raises(LedgerError, match="cannot be|readonly|Read-only"):
                await session.send("write f x")
        assert 0 == session.statistics().starts
    finally:
        sessions.ledger.close()
        subprocess.run(["umount", "-l", ledger_of(str(state))], check=True)


def test_writing_when_the_files_may_not_grow_is_an_error_and_changes_nothing(
    ledger: SessionLedger,
) -> None:
    ledger.save(a_record(turns=1))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1, hard))
    try:
        with pytest.raises(LedgerError, match="cannot be written"):
            ledger.begin_turn(a_record(turns=2, in_flight=2), "p" * 10_000, 0)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    kept = ledger.load("one")
    assert kept is not None
    assert (1, []) == (kept.turns, ledger.turns("one"))


def test_on_a_full_disk_it_can_be_read(ledger: SessionLedger, path: str) -> None:
    ledger.save(a_record(turns=1))
    ledger.close()
    reading, other = SessionLedger(path, only_read=True), SessionLedger(path)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1, hard))
    try:
        with pytest.raises(LedgerError, match="cannot be opened: .*is there room on the disk"):
            other.sessions()
        assert ["one"] == [each.id for each in reading.sessions()]
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        reading.close()

    with pytest.raises(LedgerError, match="cannot be opened: file is not a database"):
        Path(path).write_bytes(b"x" * 5000)
        SessionLedger(path, only_read=True).sessions()
    with pytest.raises(LedgerError, match="cannot be opened: unable to open"):
        SessionLedger(str(Path(path).parent), only_read=True).sessions()


def test_many_processes_that_begin_it_at_once_all_succeed(path: str) -> None:
    script = (
        "import sys; from runner.sessions.ledger import SessionLedger;"
        "from runner.sessions.record import Record;"
        "ledger = SessionLedger(sys.argv[1]); sys.stdin.readline();"
        "record = Record(id=sys.argv[2], agent='a', directory='/', conversation='');\n"
        "for _ in range(20): ledger.save(record)"
    )
    started = [
        subprocess.Popen([sys.executable, "-c", script, path, str(number)], stdin=subprocess.PIPE)
        for number in range(8)
    ]
    for process in started:
        assert process.stdin is not None
        process.stdin.write(b"\n")
        process.stdin.flush()
    for process in started:
        process.communicate(timeout=60)

    assert [0] * 8 == [process.returncode for process in started]
    assert 8 == len(SessionLedger(path).sessions())


async def test_sessions_that_are_not_kept_do_not_touch_it(
    sessions: Sessions, work: Path, state: Path, fake: Callable[..., object]
) -> None:
    for driver in (None, fake()):
        async with sessions.make_session(str(work), driver=driver, durable=False) as session:
            await session.send("say one")

    assert not os.path.exists(ledger_of(str(state)))


async def test_the_ledger_is_made_anew_when_the_state_directory_was_removed(
    sessions: Sessions, work: Path, state: Path, fake: Callable[..., object]
) -> None:
    async with sessions.make_session(str(work), driver=fake(), id="mine") as session:
        await session.send("say one")
    sessions.ledger.close()
    shutil.rmtree(state)
    async with sessions.make_session(str(work), driver=fake(), id="mine") as session:
        turn = await session.send("say two")

    assert (True, 1) == (turn.ok, turn.number)
