"""The log of operations: what is in it, what is not, where it goes."""

from __future__ import annotations

import io
import json
import logging
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import attrs
import pytest
import trio

from runner import errors as e
from runner import messages as m
from runner import open_runner
from runner.errors import ConfigError
from runner.scopes import operation_log
from runner.scopes.log_sinks import Console, JsonLines, line_of
from runner.scopes.operation_log import LogEntry, LogStatistics, OperationLog, asking_as


@pytest.fixture
async def runner(tmp_path):
    async with open_runner(state=tmp_path / "state") as made:
        yield made


@pytest.fixture
def entries():
    return []


@pytest.fixture
def scope(runner, tmp_path, entries):
    return runner.scope(tmp_path / "w", operation_log=OperationLog(entries, mode="verbose"))


def entry(**more):
    given = {"at": datetime.now(UTC), "scope": "w", "op": "exec", "subject": "ls", **more}
    return LogEntry(**given)


def facts(entry, *names):
    return tuple(getattr(entry, each) for each in names)


async def test_an_entry_says_what_was_done_and_what_came_of_it(scope, entries):
    before = datetime.now(UTC)
    await scope.write("a.txt", "hello")
    await scope.read("a.txt")
    await scope.copy("a.txt", "b.txt")
    await scope.exec("echo out; echo err >&2; exit 3", input="in")
    await scope.ls()
    await scope.glob("*.txt")
    await scope.edit("a.txt", "hello", "by")

    assert [facts(each, "op", "subject", "target", "outcome") for each in entries] == [
        ("write", "a.txt", None, "ok"),
        ("read", "a.txt", None, "ok"),
        ("copy", "a.txt", "b.txt", "ok"),
        ("exec", "echo out; echo err >&2; exit 3", None, "ok"),
        ("ls", ".", None, "ok"),
        ("glob", ".", None, "ok"),
        ("edit", "a.txt", None, "ok"),
    ]
    assert [facts(each, "size_in", "size_out", "items") for each in entries] == [
        (5, 0, None), (0, 5, None), (0, 0, None), (2, 8, None), (0, 0, 2), (0, 0, 2), (2, 0, None),
    ]  # fmt: skip
    assert entries[3].exit_code == 3
    assert {each.scope for each in entries} == {scope.path}
    assert all(each.duration > 0 for each in entries)
    assert all(before <= each.at <= before + timedelta(minutes=1) for each in entries)


async def test_what_carries_many_is_one_entry_with_their_number_and_size(scope, entries):
    await scope.upload([("a", "12"), ("b", "345"), ("../c", "6")])
    await scope.download(["a", "missing", "b"])
    async with scope.batch() as batch:
        await batch.write("d", "1234")
        await batch.remove("a")

    assert [facts(each, "op", "subject", "size_in", "size_out", "items") for each in entries] == [
        ("upload", "a", 6, 0, 3),
        ("download", "a", 0, 5, 3),
        ("batch", "d", 4, 0, 2),
    ]
    assert [each.reason for each in entries] == ["1 of 3 failed", "1 of 3 failed", ""]


async def test_a_failure_is_an_entry_with_its_reason(scope, entries):
    with pytest.raises(e.NotFound):
        await scope.read("missing")
    with pytest.raises(e.PathEscapes):
        await scope.write("../out", "")
    with pytest.raises(e.DangerousCommand):
        await scope.exec("rm -rf /")
    await scope.destroy()
    with pytest.raises(e.Destroyed):
        await scope.ls()

    assert [facts(each, "op", "outcome", "error") for each in entries] == [
        ("read", "failed", "NotFound"),
        ("write", "failed", "PathEscapes"),
        ("exec", "failed", "DangerousCommand"),
        ("ls", "failed", "Destroyed"),
    ]
    assert entries[0].reason == "no such file or directory"


async def test_a_cancelled_operation_is_an_entry_too(scope, entries):
    with trio.move_on_after(0.2):
        await scope.exec("sleep 100")

    assert [facts(each, "op", "outcome", "error") for each in entries] == [
        ("exec", "cancelled", None)
    ]
    assert entries[0].duration >= 0.2


async def test_standard_logs_what_changes_something_and_nothing_else(runner, tmp_path):
    entries = []
    scope = runner.scope(tmp_path / "w", operation_log=OperationLog(entries))
    await scope.write("a", "")
    for _ in range(3):
        await scope.read("a")
        await scope.exists("a")
        await scope.ls()
        await scope.tree()
        await scope.grep("x")
    await scope.exec("true")
    started = await scope.ask(m.Start(command="sleep 100"))
    await scope.ask(m.ListProcesses())
    await scope.ask(m.Poll(id=started.id))
    await scope.ask(m.Kill(id=started.id))
    await scope.remove("a")
    async with scope.open_stream("b", "wb") as stream:
        await stream.send(b"piece")
    async with scope.open_stream("b") as stream:
        await stream.receive()

    assert [each.op for each in entries] == [
        "write", "exec", "start", "kill", "remove", "open_stream", "commit_stream",
    ]  # fmt: skip


async def test_who_asked_is_who_the_block_or_the_log_says(runner, tmp_path):
    entries = []
    scope = runner.scope(tmp_path / "w", operation_log=OperationLog(entries, who="the log"))

    async def ask(who):
        with asking_as(who):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(scope.touch, who)

    await scope.touch("the log")
    async with trio.open_nursery() as nursery:
        for who in "abc":
            nursery.start_soon(ask, who)
    with asking_as("outer"):
        with asking_as("inner"):
            await scope.touch("inner")
        await scope.touch("outer")

    assert len(entries) == 6
    assert all(each.who == each.subject for each in entries)


async def test_scopes_inside_write_to_the_logs_around_them_and_to_their_own(runner, scope, entries):
    own = []
    inner = scope.scope("a").scope("b", operation_log=OperationLog(own))
    await inner.write("f", "")
    await inner.read("f")
    await scope.touch("g")

    assert [facts(each, "op", "scope") for each in entries] == [
        ("write", inner.path), ("read", inner.path), ("touch", scope.path),
    ]  # fmt: skip
    assert [each.op for each in own] == ["write"]


async def test_secrets_are_not_in_it(runner, tmp_path, monkeypatch):
    monkeypatch.setenv("SOME_API_KEY", "of-this-process")
    entries = []
    log = OperationLog(entries, secrets=["my own words"])
    scope = runner.scope(tmp_path / "w", env={"DB_PASSWORD": "of-the-scope"}, operation_log=log)
    inner = scope.scope("in", env={"TOKEN": "of-the-inner"})
    await inner.mkdir(".")
    await inner.exec(
        "echo of-the-scope of-the-inner of-the-command of-this-process my own words "
        "sk-abcdefghijklmnopqrst; curl -u x https://u:p@host --token abc || true",
        env={"MY_SECRET": "of-the-command"},
    )
    with pytest.raises(e.NotFound):
        await scope.move("of-the-scope", "b-of-the-scope")

    command = entries[1].subject
    assert command == (
        "echo [redacted] [redacted] [redacted] [redacted] [redacted] "
        "[redacted]; curl -u x https://[redacted]@host --token [redacted] || true"
    )
    assert facts(entries[2], "subject", "target") == ("[redacted]", "b-[redacted]")


async def test_long_texts_are_cut_after_they_were_redacted(scope, entries):
    secret = "sk-" + "x" * 100
    await scope.exec("true " + "y" * 4080 + " " + secret + "z" * 10_000)

    assert len(entries[0].subject) < 4200
    assert "sk-" not in entries[0].subject
    assert entries[0].subject.endswith(" more") or entries[0].subject.endswith("[redacted]")


async def test_a_sink_that_fails_loses_neither_the_operation_nor_other_sinks(
    runner, tmp_path, caplog
):
    entries = []

    def fail(_):
        raise OSError("disk full")

    log = OperationLog(fail, entries, fail)
    scope = runner.scope(tmp_path / "w", operation_log=log)
    with caplog.at_level(logging.ERROR, "runner.operation_log"):
        await scope.write("a", "kept")
        await scope.write("a", "kept")
        with pytest.raises(e.NotFound):
            await scope.remove("missing")

    assert await scope.read("a") == "kept"
    assert [each.outcome for each in entries] == ["ok", "ok", "failed"]
    assert log.statistics() == LogStatistics(entries=3, lost=6)
    assert len(caplog.records) == 2
    assert repr(log) == "<OperationLog standard, 3 entries, 6 lost>"


async def test_what_is_about_many_names_all_of_them(runner, tmp_path):
    entries = []
    scope = runner.scope(tmp_path / "w", operation_log=OperationLog(entries, mode="verbose"))
    await scope.upload([("a", "1"), ("b", "2")])
    await scope.download(["b", "none"])
    async with scope.batch() as batch:
        await batch.write("c", "x")
        await batch.move("a", "d")
    await scope.upload([(f"many/{number}", "") for number in range(1200)])

    assert [each.paths for each in entries[:3]] == [
        ("a", "b"),
        ("b", "none"),
        ("write c", "move a → d"),
    ]
    assert (len(entries[3].paths), entries[3].items) == (1000, 1200)


async def test_streams_and_programs_are_called_by_what_they_are_about(runner, tmp_path):
    entries = []
    scope = runner.scope(tmp_path / "w", operation_log=OperationLog(entries))
    async with scope.open_stream("big.csv", "wb") as stream:
        await stream.send(b"x")
    program = await scope.start("sleep 100")
    await program.kill()

    assert [(each.op, each.subject) for each in entries] == [
        ("open_stream", "big.csv"),
        ("commit_stream", "big.csv"),
        ("start", "sleep 100"),
        ("kill", "sleep 100"),
    ]
    assert entries[0].id == entries[1].id
    assert entries[2].id == entries[3].id


def test_only_so_many_names_of_streams_are_kept(monkeypatch):
    monkeypatch.setattr(operation_log, "MOST_NAMES", 2)
    entries = []
    log = OperationLog(entries)
    for number in "123":
        log.write(entry(op="start", subject=f"program {number}", id=number))
    for number in "13":
        log.write(entry(op="kill", subject=number, id=number))

    assert [each.subject for each in entries[3:]] == ["1", "program 3"]


def test_a_sink_that_would_have_to_be_awaited_is_refused_or_counted(caplog):
    async def later(entry):
        raise AssertionError

    class Later:
        async def __call__(self, entry):
            raise AssertionError

    for sink in (later, "log.txt", None):
        with pytest.raises(ConfigError, match="a sink is a list"):
            OperationLog(sink)
    log = OperationLog(Later())
    log.write(entry())

    assert log.statistics().lost == 1
    assert "cannot be awaited" in caplog.text


def test_a_console_that_knows_few_characters_loses_no_entry():
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    Console(stream)(entry(subject="ü\udcff"))

    assert b"\\u2713" in raw.getvalue()
    assert b"\\xfc" in raw.getvalue()


def test_a_pipe_that_nobody_reads_holds_nothing_up(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="No such device"):
        JsonLines(tmp_path / "pipe")(entry())


def test_a_mode_that_is_none_is_refused():
    with pytest.raises(e.ConfigError, match="'standard' or 'verbose'"):
        OperationLog(mode="loud")


ENTRY = LogEntry(
    at=datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=UTC), scope="w", op="exec", subject="ls",
    duration=0.0123, who="me",
)  # fmt: skip


def test_the_console_has_a_line_for_each_entry_and_terminals_are_safe(capsys):
    stream = io.StringIO()
    Console(stream)(ENTRY)
    Console()(attrs.evolve(ENTRY, who="", op="read", size_out=3, items=1))
    hostile = attrs.evolve(
        ENTRY, subject="a\nb\x1b[2J\udcff", target="t\x07", outcome="failed", error="NotFound",
        reason="no\rway", size_in=7, exit_code=2,
    )  # fmt: skip

    assert stream.getvalue() == "[2026-01-02T03:04:05.678+00:00] [me/w] ✓ exec ls (12 ms)\n"
    assert capsys.readouterr().err.endswith("[w] ✓ read ls (12 ms, 3 B out, 1 items)\n")
    assert line_of(hostile).endswith(
        "✗ exec a\\nb\\x1b[2J\\udcff → t\\x07 (12 ms, 7 B in, exit 2) NotFound: no\\rway"
    )
    assert line_of(hostile).isprintable()


def test_a_file_gets_a_line_of_json_for_each_entry(tmp_path):
    path = tmp_path / "log.jsonl"
    with JsonLines(path) as sink:
        assert not path.exists()
        sink(ENTRY)
        sink(attrs.evolve(ENTRY, subject="caf\udce9\n"))
    sink(ENTRY)
    sink.close()
    records = [json.loads(line) for line in path.read_text().splitlines()]

    assert path.stat().st_mode & 0o777 == 0o600
    assert [each["subject"] for each in records] == ["ls", "caf\udce9\n", "ls"]
    assert set(records[0]) == {each.name for each in attrs.fields(LogEntry)}
    assert datetime.fromisoformat(records[0]["at"]) == ENTRY.at


def test_a_line_that_was_torn_by_a_full_disk_spoils_no_other(tmp_path):
    path = tmp_path / "log.jsonl"
    code = f"""
import datetime, os, resource, signal
from runner.scopes.log_sinks import JsonLines
from runner.scopes.operation_log import LogEntry

entry = LogEntry(at=datetime.datetime.now(datetime.UTC), scope="w", op="exec", subject="ls")
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
sink = JsonLines({str(path)!r})
sink(entry)
limit = os.stat({str(path)!r}).st_size + 50
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
for _ in range(2):
    try:
        sink(entry)
    except OSError:
        print("lost")
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
sink(entry)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "lost\nlost\n"
    good = []
    for line in path.read_text().splitlines():
        try:
            good.append(json.loads(line))
        except ValueError:
            assert len(line) == 50

    assert len(good) == 2


async def test_a_file_is_written_to_by_several_processes_at_once(tmp_path):
    path = tmp_path / "log.jsonl"
    code = (
        "import sys; from datetime import datetime, UTC\n"
        "from runner.scopes.log_sinks import JsonLines\n"
        "from runner.scopes.operation_log import LogEntry\n"
        f"sink = JsonLines({str(path)!r})\n"
        "for number in range(300):\n"
        "    sink(LogEntry(at=datetime.now(UTC), scope='w', op='x', subject='y' * 3000))\n"
    )
    programs = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(3)]
    for each in programs:
        assert each.wait() == 0

    assert len([json.loads(line) for line in path.read_text().splitlines()]) == 900


async def test_a_full_disk_does_not_fail_an_operation(runner, tmp_path):
    log = OperationLog(JsonLines("/dev/full"))
    scope = runner.scope(tmp_path / "w", operation_log=log)
    await scope.write("a", "kept")

    assert await scope.read("a") == "kept"
    assert log.statistics().lost == 1


async def test_without_a_log_an_operation_goes_straight_to_the_worker(runner, tmp_path):
    """No frame, no entry: what `ask` gives is the coroutine of the operation itself."""
    scope = runner.scope(tmp_path / "w")
    asked = scope.ask(m.Exists(path="a"))

    assert asked.cr_code is type(scope)._ask.__code__
    assert await asked is False


def test_the_readme_shows_a_log():
    readme = (Path(__file__).parents[2] / "README.md").read_text()

    assert "operation_log=OperationLog(" in readme
