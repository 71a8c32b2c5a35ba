"""`runner audit`: filtered, followed, exported, verified."""

from __future__ import annotations

import csv
import json
import os
import signal
import sqlite3

import pytest

from runner.cli.audit_filters import row_text
from runner.workspaces.records import AuditRecord


@pytest.fixture
def done(project):
    """Something was done in a workspace `one`."""
    project("workspace", "create", "one", "--agent-id", "me")
    project("snapshot", "create", "one", "first")
    project("workspace", "create", "two")
    return project


def test_rows_are_told_and_filtered(done) -> None:
    lines = done("audit").out.splitlines()
    assert [["one", "create"], ["one", "snapshot"], ["two", "create"]] == [
        each.split()[2:4] for each in lines
    ]
    assert "name=first" in lines[1]
    assert "(agent me)" in lines[1]
    rows = done.json("audit", "one", "--operation", "snapshot", "--since", "1h", "--agent", "me")
    assert [("runner.audit/1", "one", "snapshot")] == [
        (each["schema"], each["workspace_name"], each["operation"]) for each in rows
    ]
    assert ["snapshot", "create"] == [each["operation"] for each in done.json("audit", "-n", "2")]
    nothing = done("audit", "--until", "2026-01-31T12:00", "--path", "src/**")
    assert (0, "", "there are no such rows\n") == (nothing.code, nothing.out, nothing.err)


def test_what_was_done_in_a_workspace_that_is_gone_is_told_by_its_last_name(done) -> None:
    done("workspace", "rename", "two", "three")
    done("workspace", "rm", "three")
    told = done("audit", "three")
    assert [["three", "create"], ["three", "rename"], ["three", "delete"]] == [
        each.split()[2:4] for each in told.out.splitlines()
    ]
    assert 4 == done("audit", "two").code
    done("workspace", "create", "three")
    assert ["create"] == [each["operation"] for each in done.json("audit", "three")]


@pytest.mark.parametrize("ending", ["json", "jsonl", "csv"])
def test_rows_are_exported_by_the_name_of_the_file(done, ending: str) -> None:
    ended = done("audit", "one", "--export", f"a.{ending}")
    assert (0, f"2 rows in a.{ending}\n") == (ended.code, ended.err)
    text = (done.cwd / f"a.{ending}").read_text()
    rows = {
        "json": json.loads,
        "jsonl": lambda text: [json.loads(line) for line in text.splitlines()],
        "csv": lambda text: list(csv.DictReader(text.splitlines())),
    }[ending](text)
    assert ["create", "snapshot"] == [each["operation"] for each in rows]


def test_an_edited_row_is_found(done) -> None:
    whole = done("audit", "--verify")
    assert 0 == whole.code
    mark = whole.out.split()[-1]
    (record,) = done.json("audit", "--verify", "--noted", mark)
    assert (True, 3, mark) == (record["ok"], record["rows"], record["mark"])
    (project,) = os.scandir(os.path.join(os.environ["XDG_STATE_HOME"], "runner", "projects"))
    with sqlite3.connect(os.path.join(project.path, "store.db")) as connection:
        connection.execute("UPDATE audit SET operation = 'nothing' WHERE seq = 2")
    connection.close()

    ended = done("audit", "--verify")
    assert (1, True) == (ended.code, "not as they were written" in ended.out)


def test_what_is_done_is_followed_until_ctrl_c(done, beside) -> None:
    follower = beside.start("audit", "one", "--follow", "-n", "1", "--json")
    assert follower.stdout is not None
    assert "snapshot" == json.loads(follower.stdout.readline())["operation"]
    done("snapshot", "create", "one", "second")
    row = json.loads(follower.stdout.readline())
    follower.send_signal(signal.SIGINT)

    assert ("one", "second") == (row["workspace_name"], row["details"]["name"])
    assert 130 == follower.wait(30)
    assert follower.stderr is not None
    assert b"" == follower.stderr.read()


REFUSED = [
    (("none",), 4, "there is no workspace 'none'"),
    (("--since", "yesterday"), 2, "--since: 'yesterday' is no time"),
    (("--format", "xml", "--export", "x"), 2, "jsonl"),
    (("--format", "csv"), 2, "--format goes with --export"),
    (("--noted", "x"), 2, "--noted goes with --verify"),
    (("--verify", "--follow"), 2, "--follow and --verify cannot both be had"),
    (("--verify", "--agent", "me"), 2, "no other choice goes with it"),
    (("--export", "x", "-n", "1"), 2, "no other choice goes with it"),
    (("--export", "no/such/x"), 4, "no/such"),
    (("--path", "["), 1, "["),
    (("--operatoin", "x"), 2, "--operation"),
]


def test_what_cannot_be_done_is_one_clear_message(done) -> None:
    for args, code, said in REFUSED:
        ended = done("audit", *args)

        assert (code, "") == (ended.code, ended.out), (args, ended.err)
        assert said in ended.err, (args, ended.err)


@pytest.mark.parametrize(
    ("record", "text"),
    [
        ({"path": "a\x1b", "size_after": 3}, r'write      "a\033"  3 B'),
        ({"size_before": 3}, "write      3 B -> gone"),
        ({"size_before": 3, "size_after": 2048}, "write      3 B -> 2.0 KiB"),
        ({"ok": False}, "write     failed"),
        ({"ok": None, "session": "s", "job": "j"}, "write     cut off  (session s, job j)"),
    ],
)
def test_rows_are_lines_for_people(record: dict[str, object], text: str) -> None:
    row = AuditRecord(time_ns=0, workspace="w" * 32, operation="write", **record)

    assert f"wwwwwwww      {text}" == row_text(row, {}).partition("  ")[2]
    assert ("\x1b[31m" in row_text(row, {}, is_coloured=True)) is (not row.ok)
