"""`runner snapshot` and `runner gc`: taken, listed, compared, restored, removed, given back."""

from __future__ import annotations

import os
import sqlite3

import pytest


@pytest.fixture
def taken(project):
    """Workspaces `one` and `two`, each with a snapshot `first`."""
    for name in ("one", "two"):
        assert 0 == project("workspace", "create", name).code
        ended = project("snapshot", "create", name, "first", "-m", "as it was")
        assert (0, f"{name}/first\n") == (ended.code, ended.out)
    return project


def test_they_are_listed_and_shown(taken) -> None:
    (record,) = taken.json("snapshot", "ls", "one")
    assert ("runner.snapshot/1", "one", "first", "as it was", "user") == tuple(
        record[key] for key in ("schema", "workspace", "name", "description", "kind")
    )
    assert [record] == taken.json("snapshot", "show", "one/first")
    assert "snapshot:     one/first\ndescription:  as it was\n" in (
        taken("snapshot", "show", "one/first").out
    )
    lines = taken("snapshot", "ls").out.splitlines()
    assert [["workspace", "snapshot"], ["one", "first"], ["two", "first"]] == [
        each.split()[:2] for each in lines
    ]
    several = taken("snapshot", "show", "first")
    assert (2, True) == (several.code, "say which, 'one/first' or 'two/first'" in several.err)
    (workspace,) = taken.json("workspace", "show", "one")
    assert [record] == workspace["snapshots"]
    assert "first" in taken("workspace", "show", "one").out


def test_one_without_a_name_has_the_time_in_it_and_what_is_left_out_is_said(project) -> None:
    project("workspace", "create", "one")
    code = "import socket; socket.socket(socket.AF_UNIX).bind('sock')"
    project("workspace", "exec", "one", "python3", "-c", code)

    made = project("snapshot", "create", "one", "--verify")
    assert made.out.startswith("one/snapshot-2")
    assert made.err.startswith("left out: sock: ")
    (record,) = project.json("snapshot", "create", "one")
    assert ["sock"] == [each["path"] for each in record["skipped"]]
    assert "left out: sock: " in project("snapshot", "show", str(record["name"])).out


def test_a_workspace_becomes_what_it_was_and_what_it_is_is_kept(taken) -> None:
    taken("workspace", "exec", "one", "echo new > new; echo 2 > b.txt")
    assert "b.txt\nnew\n" == taken("snapshot", "diff", "one/first", "--name-only").out
    refused = taken("snapshot", "restore", "one/first")
    assert (11, "") == (refused.code, refused.out)
    restored = taken("snapshot", "restore", "one/first", "--force")
    undo = restored.err.split()[-1]

    assert restored.err.startswith("one is one/first now; what it was is one/undo-")
    assert "" == taken("workspace", "status", "one").out
    (record,) = taken.json("snapshot", "diff", "one/first", undo)
    assert (["b.txt", "new"], undo) == (
        [each["path"] for each in record["changes"]], record["after"]
    )  # fmt: skip
    (back,) = taken.json("snapshot", "restore", undo, "--into", "two")
    assert ("two", undo) == (back["workspace"], back["snapshot"])
    assert "new\n" == taken("workspace", "exec", "two", "cat new").out
    assert "two is one/" in taken("snapshot", "restore", undo, "--into", "two").err
    assert 1 == taken("snapshot", "diff", "one/first", undo, "--exit-code").code


def test_they_are_removed_all_or_none_and_stay_when_their_workspace_goes(taken) -> None:
    refused = taken("snapshot", "rm", "one/first", "two/fist")
    assert (4, True) == (refused.code, "did you mean 'first'?" in refused.err)
    assert 2 == len(taken.json("snapshot", "ls"))
    assert 0 == taken("workspace", "rm", "two").code
    assert "(removed)" in taken("snapshot", "ls").out
    assert "removed: one/first\n" == taken("snapshot", "rm", "one/first", "first").err
    (left,) = taken.json("snapshot", "ls")
    assert ("first", None) == (left["name"], left["workspace"])
    assert (0, "there are no snapshots\n") == (
        taken("snapshot", "ls", "one").code, taken("snapshot", "ls", "one").err
    )  # fmt: skip
    (removed,) = taken.json("snapshot", "rm", taken("snapshot", "create", "one").out.strip())
    assert "runner.snapshot_removed/1" == removed["schema"]


REFUSED = [
    (("create", "none"), 4, "there is no workspace 'none'"),
    (("create", "one", "first"), 2, "has a snapshot 'first' already"),
    (("create", "one", "-x"), 2, "-x"),
    (("ls", "oen"), 4, "did you mean 'one'?"),
    (("show", "one/fist"), 4, "did you mean 'first'?"),
    (("show", "nobody/first"), 4, "there is no workspace 'nobody'"),
    (("show", "a/b/c"), 2, "has a `/` in it"),
    (("diff", "one/first", "one/none"), 4, "there is no snapshot 'none'"),
    (("restore", "one/first", "--into", "none"), 4, "there is no workspace 'none'"),
    (("restroe", "x"), 2, "did you mean 'restore'"),
]


def test_what_cannot_be_done_is_one_clear_message(taken) -> None:
    for args, code, said in REFUSED:
        ended = taken("snapshot", *args)

        assert (code, "") == (ended.code, ended.out), (args, ended.err)
        assert said in ended.err, (args, ended.err)


def test_what_nothing_needs_is_given_back(taken) -> None:
    dry = taken("gc", "--dry-run")
    assert "0 objects would be dropped, 0 B\n" in dry.out
    (record,) = taken.json("gc", "--check")
    assert ("runner.gc/1", False, 0, []) == tuple(
        record[key] for key in ("schema", "dry_run", "objects", "problems")
    )
    assert "objects dropped" in taken("gc").out


def test_what_no_person_made_goes_by_the_rules_of_the_configuration(taken) -> None:
    taken("workspace", "exec", "one", "echo new > new")
    undo = taken("snapshot", "restore", "one/first", "--force").err.split("/")[-1].strip()
    config = taken.cwd / "runner.toml"
    config.write_text('workspace = { keep_undo = 0, keep_undo_for = "0s" }')

    (record,) = taken.json("gc", "--dry-run", "--config", str(config))
    assert [undo] == [each["name"] for each in record["snapshots"]]
    dropped = taken("gc", "--config", str(config))
    assert f"the snapshot {undo} dropped: " in dropped.out
    assert ["first", "first"] == [each["name"] for each in taken.json("snapshot", "ls")]


def test_a_store_that_is_not_whole_drops_nothing(taken) -> None:
    state = os.environ["XDG_STATE_HOME"]
    (project,) = os.scandir(os.path.join(state, "runner", "projects"))
    with sqlite3.connect(os.path.join(project.path, "store.db")) as connection:
        connection.execute("UPDATE contents SET data = x'00'")
    connection.close()

    ended = taken("gc", "--check")
    assert (8, "") == (ended.code, ended.out)
    assert ended.err.endswith("nothing was dropped: the store is not whole\n")
