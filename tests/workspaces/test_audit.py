from __future__ import annotations

import csv
import json
import os
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import attrs
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from runner.backends.base import LATER
from runner.backends.local import LocalBackend
from runner.errors import ConfigError, InvalidPattern, OperationError, StoreDamaged, StoreError
from runner.scopes.who import Who
from runner.workspaces import audit as audits
from runner.workspaces import pending
from runner.workspaces.audit import Audit
from runner.workspaces.audit_acts import Doing
from runner.workspaces.audit_export import WRITERS, path_of, shown_path
from runner.workspaces.audit_reading import verify
from runner.workspaces.audit_rows import append, row
from runner.workspaces.auditing import AuditedBackend
from runner.workspaces.chain import GENESIS, RETENTION
from runner.workspaces.pending import MOST, ROOM, Log
from runner.workspaces.records import AuditRecord
from runner.workspaces.settling import settle, tidy_logs
from runner.workspaces.store import Store
from runner.workspaces.trail import Trail
from runner.workspaces.witness import Witness

DAY = 86_400 * 1_000_000_000
NOON = datetime(2026, 5, 17, 12, tzinfo=UTC)
NOON_NS = int(NOON.timestamp()) * 1_000_000_000


@pytest.fixture
def store(tmp_path) -> Iterator[Store]:
    made = Store.open(str(tmp_path / "store.db"))
    yield made
    made.close()


@pytest.fixture
def audit(store) -> Audit:
    return audit_of(store, "w-1")


def audit_of(store: Store, workspace: str | None) -> Audit:
    async def do(work: Callable[[Store], Any]) -> Any:
        return await trio.to_thread.run_sync(work, store)

    return Audit(do, workspace)


def put(store: Store, operation: str = "write", path: str = "a", **fields: Any) -> AuditRecord:
    workspace = fields.pop("workspace", "w-1")
    who = fields.pop("who", Who())
    at = fields.pop("at", NOON_NS)
    made = attrs.evolve(row(workspace, operation, who, path=path, **fields), time_ns=at)
    return append(store, made)[0]


def paths(rows: list[AuditRecord]) -> list[str]:
    return [each.path for each in rows]


# ---------------------------------------------------------------- filters


async def test_rows_are_found_by_operation_and_by_who(store, audit):
    put(store, "write", "a", who=Who(session="s", job="j", agent="codex"))
    put(store, "remove", "b", who=Who(session="s"))
    put(store, "exec", "", workspace="w-2")

    assert paths(await audit.logs()) == ["a", "b"]
    assert paths(await audit.logs(operation="remove")) == ["b"]
    assert paths(await audit.logs(operation=["remove", "write"])) == ["a", "b"]
    assert paths(await audit.logs(session="s")) == ["a", "b"]
    assert paths(await audit.logs(session="s", job="j")) == ["a"]
    assert paths(await audit.logs(agent="codex")) == ["a"]
    assert paths(await audit.logs(agent="nobody")) == []
    assert len(await audit_of(store, None).logs()) == 3


async def test_rows_are_found_by_time_of_which_one_without_a_zone_is_local(
    store, audit, monkeypatch
):
    for number in range(4):
        put(store, path=str(number), at=NOON_NS + number * DAY)
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        local = datetime(2026, 5, 18, 21)  # noqa: DTZ001 - that is what is tested
        assert paths(await audit.logs(from_time=local)) == ["1", "2", "3"]
        assert paths(await audit.logs(to_time=local)) == ["0"]
    finally:
        monkeypatch.undo()
        time.tzset()

    assert paths(await audit.logs(from_time=NOON + timedelta(days=3))) == ["3"]
    window = {"from_time": NOON, "to_time": NOON + timedelta(days=2)}
    assert paths(await audit.logs(**window)) == ["0", "1"]
    with pytest.raises(ConfigError):
        await audit.logs(from_time="yesterday")


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("src/a.py", ["src/a.py"]),
        ("/src/a.py", ["src/a.py"]),
        ("*.py", ["src/a.py", "src/deep/b.py", "top.py"]),
        ("src/*.py", ["src/a.py"]),
        ("src/**", ["src", "src/a.py", "src/deep/b.py"]),
        ("src/**/*.py", ["src/a.py", "src/deep/b.py"]),
        ("s?c", ["src"]),
        ("src", ["src"]),
        ("[st]*", ["src", "srcs", "top.py"]),
        ("none*", []),
    ],
)
async def test_rows_are_found_by_path_or_pattern(store, audit, pattern, expected):
    for path in ("src/a.py", "src/deep/b.py", "top.py", "src", "srcs", "README"):
        put(store, path=path)

    assert sorted(paths(await audit.logs(path=pattern))) == expected


async def test_a_pattern_that_cannot_be_understood_is_refused(audit):
    with pytest.raises(InvalidPattern):
        await audit.logs(path="a/../*")
    with pytest.raises(ConfigError):
        await audit.logs(operation=[])
    with pytest.raises(ConfigError):
        await audit.logs(limit=-1)


async def test_the_newest_come_first_and_not_more_than_are_wanted(store, audit):
    for number in range(5):
        put(store, path=str(number))

    assert paths(await audit.logs(limit=2)) == ["0", "1"]
    assert paths(await audit.logs(limit=2, newest_first=True)) == ["4", "3"]
    assert paths(await audit.logs(limit=0)) == []


# ---------------------------------------------------------------- following


async def test_new_rows_are_followed_also_those_of_other_processes(store, audit):
    put(store, path="before")
    audits_pause, audits.PAUSE = audits.PAUSE, 0.01
    try:
        async with audit.stream(operation="write") as rows:
            put(store, path="one")
            put(store, "remove", path="two")
            child = os.fork()
            if child == 0:
                other = Store.open(store.path)
                append(other, row("w-1", "write", path="theirs"))
                os._exit(0)
            with trio.fail_after(10):
                assert (await rows.receive()).path == "one"
                async for each in rows:
                    assert each.path == "theirs"
                    break
            os.waitpid(child, 0)
    finally:
        audits.PAUSE = audits_pause


async def test_who_follows_gets_every_row_once_however_many_come(store, audit, monkeypatch):
    monkeypatch.setattr(audits, "MANY", 7)
    found = []
    async with audit.stream() as rows:
        rows.pause = 0.001
        for number in range(60):
            put(store, path=str(number))
        with trio.fail_after(10):
            while len(found) < 60:
                found.append((await rows.receive()).path)
        with trio.move_on_after(0.05) as cancel_scope:
            await rows.receive()

    assert found == [str(number) for number in range(60)]
    assert cancel_scope.cancelled_caught


# ---------------------------------------------------------------- export

ODD = [os.fsdecode(b"bad\xff"), "new\nline", '"quoted"', "caf\u00e9", "=1+1", "back\\slash"]


async def test_an_export_as_json_or_lines_of_it_has_every_row_and_field(store, audit, tmp_path):
    for path in ODD:
        put(store, path=path, size_after=3, details={"command": "x\udcff"})

    assert await audit.export(tmp_path / "a.json") == len(ODD)
    assert await audit.export(tmp_path / "a.jsonl", "jsonl", operation="write") == len(ODD)
    whole = json.loads((tmp_path / "a.json").read_text())
    lines = [json.loads(each) for each in (tmp_path / "a.jsonl").read_text().splitlines()]

    assert whole == lines
    assert [path_of(each["path"]) for each in whole] == ODD
    assert whole[0]["path"] == '"bad\\377"'
    assert whole[0]["time"] == "2026-05-17T12:00:00.000000Z"
    assert (whole[0]["seq"], whole[0]["size_after"], whole[0]["ok"]) == (1, 3, True)
    assert whole[1]["previous"] == whole[0]["hash"]


async def test_an_export_as_csv_has_no_formulas_in_it(store, audit, tmp_path):
    for path in ODD:
        put(store, path=path, ok=None, details={"n": 1})
    assert await audit.export(tmp_path / "a.csv", format="csv", path="none/**") == 0
    await audit.export(tmp_path / "a.csv", format="csv")

    with open(tmp_path / "a.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [each["path"] for each in rows] == [
        "'=1+1" if each == "=1+1" else shown_path(each) for each in ODD
    ]
    assert (rows[0]["ok"], rows[0]["size_before"], rows[0]["details"]) == (
        "unknown",
        "",
        '{"n": 1}',
    )


@pytest.mark.parametrize("format_", ["json", "jsonl", "csv"])
async def test_an_export_of_nothing_is_a_file_of_nothing(audit, tmp_path, format_):
    assert await audit.export(tmp_path / "a", format_) == 0

    text = (tmp_path / "a").read_text()
    assert {"json": text == "[]\n", "jsonl": not text, "csv": text.startswith("seq,")}[format_]
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o600


async def test_an_export_that_cannot_be_written_leaves_what_was_there(
    store, audit, tmp_path, monkeypatch
):
    put(store)
    (tmp_path / "there").write_text("as before")

    with pytest.raises(OperationError, match="export"):
        await audit.export(tmp_path / "no" / "directory")
    with pytest.raises(ConfigError, match="json, jsonl, csv"):
        await audit.export(tmp_path / "there", "xml")

    def fails(_rows: object) -> Iterator[str]:
        yield "half"
        raise OSError(28, "No space left on device")

    monkeypatch.setitem(WRITERS, "json", fails)
    with pytest.raises(OperationError):
        await audit.export(tmp_path / "there")
    assert (tmp_path / "there").read_text() == "as before"
    assert sorted(each for each in os.listdir(tmp_path) if "tmp" in each) == []


@given(st.binary(min_size=1, max_size=40))
def test_every_path_can_be_read_again_as_it_was_shown(raw):
    path = os.fsdecode(raw)

    assert path_of(shown_path(path)) == path
    shown_path(path).encode()


# ---------------------------------------------------------------- verifying


COLUMNS = [each.name for each in attrs.fields(AuditRecord)]


async def test_an_edit_of_any_column_in_the_file_is_found(store, audit):
    for number in range(6):
        put(
            store,
            path=f"p{number}",
            size_before=1,
            size_after=2,
            sha_before="sha256:a",
            sha_after="sha256:b",
            details={"a": 1},
            who=Who(session="s", job="j", agent="a"),
        )
    assert (await audit.verify()).ok

    for column in COLUMNS:
        values: list[Any] = ["'x'", "x'78'", "7", "NULL", "''"]
        if column == "details":
            values += ["""'{"a": 1}'""", """'{"a":1,"a":1}'""", "'[]'"]
        for value in values:
            connection = sqlite3.connect(store.path)
            before = connection.execute("SELECT * FROM audit WHERE seq = 3").fetchone()
            try:
                connection.execute(f"UPDATE audit SET {column} = {value} WHERE seq = 3")
            except sqlite3.Error:
                continue
            finally:
                connection.commit()
            found = await audit.verify()
            connection.execute("DELETE FROM audit WHERE seq NOT IN (1, 2, 4, 5, 6)")
            connection.execute(f"INSERT INTO audit VALUES ({', '.join('?' * 16)})", before)
            connection.commit()
            connection.close()

            assert not found.ok, (column, value)
    assert (await audit.verify()).ok


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM audit WHERE seq = 3",
        "DELETE FROM audit WHERE seq = 6",
        "DELETE FROM audit WHERE seq = 1",
        "DELETE FROM audit",
        "UPDATE audit SET seq = 7 WHERE seq = 6",
        "INSERT INTO audit SELECT 7, time_ns, workspace, operation, path, size_before, size_after,"
        " sha_before, sha_after, session, job, agent, ok, details, hash, hash FROM audit"
        " WHERE seq = 6",
        "DELETE FROM facts",
        "UPDATE facts SET value = replace(value, ',6,', ',5,')",
    ],
)
async def test_what_is_missing_put_in_or_cut_off_in_the_file_is_found(store, audit, statement):
    for number in range(6):
        put(store, path=str(number))
    with sqlite3.connect(store.path) as connection:
        connection.execute(statement)
    connection.close()

    assert not (await audit.verify()).ok


async def test_a_head_that_cannot_be_read_is_an_error(store, audit):
    put(store)
    with sqlite3.connect(store.path) as connection:
        connection.execute("UPDATE facts SET value = 'x'")
    connection.close()

    with pytest.raises(StoreDamaged):
        await audit.verify()


async def test_who_noted_a_mark_knows_that_the_chain_was_not_made_anew(store, audit, tmp_path):
    put(store)
    mark = (await audit.verify()).head.mark
    other = Store.open(str(tmp_path / "other.db"))
    put(other, "nothing")

    assert (await audit.verify(noted=mark)).ok
    assert not (await audit_of(other, "w-1").verify(noted=mark)).ok
    other.close()


async def test_several_that_write_at_once_make_one_chain(store, audit):
    children = []
    for number in range(3):
        child = os.fork()
        if child == 0:
            other = Store.open(store.path)
            for each in range(30):
                append(other, row(f"w-{number}", "write", path=str(each)))
            os._exit(0)
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0, 0, 0]

    found = await audit.verify()

    assert (found.ok, found.rows) == (True, 90)


# ---------------------------------------------------------------- retention


async def test_what_is_older_goes_and_the_chain_can_be_verified_afterwards(store, audit):
    for number in range(6):
        put(store, path=str(number), at=NOON_NS + number * DAY)

    assert await audit.retain(NOON + timedelta(days=2), who=Who(agent="me")) == 2
    assert paths(await audit.logs()) == ["2", "3", "4", "5"]
    assert (await audit.verify()).ok
    put(store, path="more")
    assert await audit.retain(NOON + timedelta(days=3)) == 1

    found = await audit.verify()
    assert (found.ok, found.head.first) == (True, 4)
    told = await audit_of(store, None).logs(operation=RETENTION)
    assert [(each.details["rows"], each.agent) for each in told] == [(2, "me"), (1, "")]
    with sqlite3.connect(store.path) as connection:
        connection.execute("DELETE FROM audit WHERE seq = 4")
    connection.close()
    assert not (await audit.verify()).ok


async def test_where_nothing_is_older_nothing_is_written(store, audit):
    assert await audit.retain(timedelta(days=1)) == 0
    put(store, at=time.time_ns())

    assert await audit.retain(timedelta(days=1)) == 0
    assert len(await audit_of(store, None).logs()) == 1


async def test_all_may_go(store, audit):
    put(store)
    put(store)

    assert await audit.retain(timedelta(0)) == 2
    found = await audit.verify()
    assert (found.ok, found.rows, found.head.before != GENESIS) == (True, 1, True)


async def test_what_is_missing_already_is_not_retained_away(store, audit):
    put(store)
    put(store)
    with sqlite3.connect(store.path) as connection:
        connection.execute("DELETE FROM audit")
    connection.close()

    with pytest.raises(StoreDamaged):
        await audit.retain(timedelta(0))


async def test_rows_in_a_transaction_that_fails_are_not_there(store, audit):
    put(store)
    with pytest.raises(RuntimeError), store.transaction():
        put(store, path="gone")
        raise RuntimeError

    assert paths(await audit.logs()) == ["a"]
    put(store, path="b")
    assert (await audit.verify()).ok


async def test_texts_that_are_no_unicode_are_kept_as_the_store_can(store, audit):
    put(store, path="\ud800", who=Who(agent="\udcff\ud800"))

    assert paths(await audit.logs()) == ["\\ud800"]
    assert (await audit.verify()).ok


# ---------------------------------------------------------------- killed


class Dies(LocalBackend):
    """Is killed before, or after, it has carried out a write."""

    when = "before"

    def answer_now(self, message: Any, /) -> Any:
        if getattr(message, "path", "") == "first":
            return super().answer_now(message)
        if self.when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        super().answer_now(message)
        return os.kill(os.getpid(), signal.SIGKILL)

    def write_seen(self, message: Any, see: Any) -> Any:
        def seen(*about: Any) -> bool:
            answer: bool = see(*about)
            if answer and message.path != "first" and self.when == "before":
                os.kill(os.getpid(), signal.SIGKILL)
            return answer

        answer = super().write_seen(message, seen)
        if message.path == "first" or answer is LATER:
            return answer
        return os.kill(os.getpid(), signal.SIGKILL)


@pytest.fixture
def killed(tmp_path, store) -> Callable[..., Any]:
    """Carry out something in a child that is killed; what the next opener then says of it."""
    tree = tmp_path / "tree"
    tree.mkdir()

    def run(when: str, act: Callable[[AuditedBackend], Any]) -> list[AuditRecord]:
        child = os.fork()
        if child == 0:  # pragma: no cover - it is killed
            inner = Dies(tree)
            inner.when = when
            trail = Trail(Store.open(store.path), "w-1")
            who, witness = Who(agent="a"), Witness(str(tree))
            files = AuditedBackend(inner, trail, who, witness, write_seen=inner.write_seen)
            settle(trail, Witness(str(tree)))
            try:
                trio.run(act, files)
            finally:
                os._exit(1)
        assert os.waitpid(child, 0)[1] == signal.SIGKILL
        trail = Trail(store, "w-1")
        settle(trail, Witness(str(tree)))
        assert settle(trail, Witness(str(tree))) == 0
        trail.close()
        return list(store.audit.rows())

    return run


@pytest.mark.parametrize("is_at_once", [False, True])
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_write_that_was_killed_between_intent_and_row_says_what_is_there(
    killed, tmp_path, store, when, is_at_once, monkeypatch
):
    (tmp_path / "tree" / "a").write_text("old")
    if not is_at_once:
        monkeypatch.setattr(pending, "MOST", 0)

    async def act(files: AuditedBackend) -> None:
        await files.write("first", "")
        await files.write("a", "newer")

    first, row = killed(when, act)

    assert (first.path, first.ok, first.size_after) == ("first", True, 0)
    assert (row.operation, row.path, row.ok, row.agent) == ("write", "a", None, "a")
    assert (row.size_before, row.size_after) == (3, 3 if when == "before" else 5)
    assert row.details["cut_off"] is True
    assert row.details["found"] == ("as before" if when == "before" else "changed")
    assert verify(store).ok


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_tree_that_was_being_removed_says_of_each_path_what_is_there(killed, tmp_path, when):
    (tmp_path / "tree" / "d").mkdir()
    (tmp_path / "tree" / "d" / "f").write_text("1")

    async def act(files: AuditedBackend) -> None:
        await files.remove("d", recursive=True)

    rows = killed(when, act)

    assert {each.ok for each in rows} == {None}
    assert [(each.path, each.size_before) for each in rows] == [("d", None), ("d/f", 1)]


def test_a_command_that_was_running_is_a_row_of_unknown_end(killed):
    async def act(files: AuditedBackend) -> None:
        await files.exec("true --token abcdefgh")

    (row,) = killed("before", act)

    assert (row.operation, row.path, row.ok) == ("exec", "", None)
    assert row.details["command"] == "true --token [redacted]"


def test_what_was_killed_between_its_row_and_the_end_of_its_intent_has_one_row(tmp_path, store):
    tree = tmp_path / "tree"
    tree.mkdir()
    child = os.fork()
    if child == 0:  # pragma: no cover - it is killed
        trail = Trail(Store.open(store.path), "w-1")
        files = AuditedBackend(LocalBackend(tree), trail, Who(), Witness(str(tree)))
        settle(trail, Witness(str(tree)))

        async def act() -> None:
            await files.write("first", "")
            await files.write("a", "1")
            trail._pending._log.clear = lambda **_: os.kill(os.getpid(), signal.SIGKILL)
            trail.write_down()

        try:
            trio.run(act)
        finally:
            os._exit(1)
    assert os.waitpid(child, 0)[1] == signal.SIGKILL
    trail = Trail(store, "w-1")

    assert settle(trail, Witness(str(tree))) == 0
    trail.close()
    assert [(each.path, each.ok) for each in store.audit.rows()] == [("first", True), ("a", True)]
    assert verify(store).ok


@pytest.mark.parametrize("most", [3, MOST])
def test_what_was_answered_before_a_kill_has_its_rows_in_order_and_once(
    tmp_path, store, most, monkeypatch
):
    monkeypatch.setattr(pending, "MOST", most)
    tree, (said, say) = tmp_path / "tree", os.pipe()
    tree.mkdir()
    child = os.fork()
    if child == 0:  # pragma: no cover - it is killed
        trail, witness = Trail(Store.open(store.path), "w-1"), Witness(str(tree))
        files = AuditedBackend(LocalBackend(tree), trail, Who(agent="a"), witness)
        settle(trail, witness)

        async def act() -> None:
            for number in range(10_000):
                await files.write(f"f{number % 7}", str(number))
                os.write(say, b".")

        trio.run(act)
        os._exit(1)
    os.close(say)
    count = 0
    while count < 200:
        count += len(os.read(said, 100))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    while more := os.read(said, 4096):
        count += len(more)
    os.close(said)
    trail, witness = Trail(store, "w-1"), Witness(str(tree))
    settle(trail, witness)
    trail.close()
    rows = list(store.audit.rows())

    assert count <= len(rows) <= count + 1
    assert [each.path for each in rows] == [f"f{number % 7}" for number in range(len(rows))]
    assert all(each.ok for each in rows[:count])
    assert verify(store).ok


def test_a_log_keeps_what_was_written_to_it_and_only_that(tmp_path):
    log = Log(str(tmp_path / "d" / "log"))
    log.add(b"one")
    log.add(b"two")
    log.take_back()
    log.add(b"three")
    log.close()
    again = Log(str(tmp_path / "d" / "log"))
    assert again.records() == [b"one", b"three"]
    again.add(b"four")
    again.clear(keep_last=True)
    assert again.records() == [b"four"]
    again.clear()
    assert again.records() == []
    again.close()


@pytest.mark.parametrize(
    "said", [b"\x0c\0\0\0\0\0\0\0\x08\0\0\0nonsense", b"\x03", b"\x09" + b"\xff" * 20]
)
def test_what_is_no_log_of_ours_says_nothing(tmp_path, store, said):
    # as a power failure may leave it: of what was written, some is there
    (tmp_path / "tree").mkdir()
    path = tmp_path / "pending" / "w-1"
    path.parent.mkdir()
    path.write_bytes(said)
    trail = Trail(store, "w-1")

    assert settle(trail, Witness(str(tmp_path / "tree"))) == 0
    trail.close()


async def test_a_log_of_a_workspace_that_is_gone_is_told_and_taken_away(tmp_path, store):
    (tmp_path / "tree").mkdir()
    trail, witness = Trail(store, "w-1"), Witness(str(tmp_path / "tree"))
    settle(trail, witness)
    local = LocalBackend(tmp_path / "tree")
    files = AuditedBackend(local, trail, Who(), witness, write_seen=local.write_seen)
    await files.write("a", "1")
    other = Trail(store, "w-2")
    settle(other, witness)
    other.remove()
    assert ["w-1"] == os.listdir(tmp_path / "pending")

    tidy_logs(store)  # as if the process had been killed: nobody has the row but the log
    assert [] == os.listdir(tmp_path / "pending")
    assert [("a", True)] == [(each.path, each.ok) for each in store.audit.rows()]
    tidy_logs(store)
    trail._pending.forget()
    trail.close()


def test_an_end_that_is_too_long_for_the_log_lets_nothing_else_begin(tmp_path):
    waiting = pending.Pending(Log(str(tmp_path / "log")))
    doing = Doing(operation="write")
    begun = waiting.begin(doing, Who(), {})
    assert not waiting.end(begun, {}, False, {"reason": "x" * pending.SIZE})

    assert waiting.is_full
    assert waiting.begin(doing, Who(), {}) is None
    waiting.clear()
    assert waiting.begin(doing, Who(), {}) is not None
    waiting.close()


@pytest.mark.parametrize("is_seen", [False, True])
async def test_a_crash_in_the_midst_of_what_is_done_at_once_holds_nothing_up(
    tmp_path, store, is_seen
):
    class Crashes(LocalBackend):
        def answer_now(self, message: Any, /) -> Any:
            if getattr(message, "path", "") == "crash":
                raise ZeroDivisionError
            return super().answer_now(message)

        def write_seen(self, message: Any, see: Any) -> Any:
            def seen(*about: Any) -> bool:
                answer: bool = see(*about)
                if answer and message.path == "crash":
                    raise ZeroDivisionError
                return answer

            return super().write_seen(message, seen)

    (tmp_path / "tree").mkdir()
    trail, witness = Trail(store, "w-1"), Witness(str(tmp_path / "tree"))
    inner = Crashes(tmp_path / "tree")
    write_seen = inner.write_seen if is_seen else None
    files = AuditedBackend(inner, trail, Who(), witness, write_seen=write_seen)
    settle(trail, witness)
    await files.write("a", "1")
    with pytest.raises(ZeroDivisionError):
        await files.write("crash", "1")
    await files.write("b", "1")
    await files.aclose()
    trail.close()

    assert [each.path for each in store.audit.rows()] == ["a", "b"]
    again = Trail(store, "w-1")
    assert settle(again, witness) == 1
    again.close()
    assert [(each.path, each.ok) for each in store.audit.rows()][2:] == [("crash", None)]
    assert verify(store).ok


async def test_what_is_noted_by_itself_is_a_row(tmp_path, store):
    trail = Trail(store, "w-1")
    trail.note("hook", Who(agent="a"), details={"hook": "h", "reason": "it failed"}, ok=False)
    trail.close()

    (row,) = store.audit.rows()
    assert (row.operation, row.agent, row.ok) == ("hook", "a", False)
    assert row.details["reason"] == "it failed"


async def test_two_that_write_by_turns_make_one_chain(tmp_path, store):
    (tmp_path / "tree").mkdir()
    trails = [Trail(store, "w-1"), Trail(store, "w-2")]
    for number in range(4):
        trails[number % 2].note("hook", path=str(number))
    for each in trails:
        each.close()

    assert [each.path for each in store.audit.rows()] == ["0", "1", "2", "3"]
    assert verify(store).ok


async def test_an_intent_that_is_too_long_for_the_log_is_written_all_the_same(tmp_path, store):
    (tmp_path / "tree").mkdir()
    witness, trail = Witness(str(tmp_path / "tree")), Trail(store, "w-1")
    files = AuditedBackend(LocalBackend(tmp_path / "tree"), trail, Who(agent="x" * ROOM), witness)
    settle(trail, witness)
    await files.write("a", "1")
    await files.write("b", "2")
    await files.aclose()
    trail.close()

    assert [each.path for each in store.audit.rows()] == ["a", "b"]
    assert not list(store.intents.rows())


async def test_a_store_that_cannot_have_logs_says_so(tmp_path, store):
    (tmp_path / "tree").mkdir()
    (tmp_path / "pending").write_text("a file")

    with pytest.raises(StoreError, match="pending"):
        settle(Trail(store, "w-1"), Witness(str(tmp_path / "tree")))
