"""Which names workspaces and snapshots can have, and what errors say of those that are not there."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.errors import (
    CommitError,
    HookVeto,
    InvalidName,
    ObjectMissing,
    SnapshotExists,
    SnapshotNotFound,
    StoreError,
    UncommittedChanges,
    WorkspaceBusy,
    WorkspaceExists,
    WorkspaceNotFound,
)
from runner.workspaces.names import check_name, near, split_snapshot
from runner.workspaces.records import Base


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("", "is empty"),
        ("a/b", "a `/`"),
        ("..", "no name of its own"),
        (".", "no name of its own"),
        ("a\0b", "NUL"),
        ("-rf", "begins with `-`"),
        ("a\nb", "control character"),
        ("a\x7f", "control character"),
        ("a\u2028b", "control character"),
        (" a", "begins or ends with a space"),
        ("a" * 129, "129 bytes"),
        ("ä" * 65, "130 bytes"),
        ("\udcff", "not UTF-8"),
        (None, "no text"),
        (b"a", "no text"),
    ],
)
def test_a_name_that_is_none_is_refused_with_what_and_where_and_how(name, wrong):
    with pytest.raises(InvalidName) as caught:
        check_name(name)

    error = caught.value
    assert wrong in error.what
    assert error.where == "the name of a workspace"
    assert "at most 128 bytes" in error.how
    assert len(str(error)) < 300


@given(st.text(max_size=200))
def test_a_name_is_taken_as_it_is_or_refused(name):
    try:
        taken = check_name(name, "snapshot")
    except InvalidName:
        return
    assert taken == name
    assert "/" not in name
    assert split_snapshot(name) == (None, name)
    assert split_snapshot(f"ws/{name}") == ("ws", name)


@pytest.mark.parametrize("reference", ["a/", "/a", "a/b/c", "/", "", "a/..", "-a/b", 7])
def test_a_reference_to_a_snapshot_has_one_or_two_names(reference):
    with pytest.raises(InvalidName):
        split_snapshot(reference)


def test_errors_name_what_may_have_been_meant():
    assert near("feture", ["feature", "main"]) == ("feature",)
    assert str(WorkspaceNotFound("feture", ["feature"])).endswith("did you mean 'feature'?")
    assert "?" not in str(WorkspaceNotFound("x"))
    assert "'a/s' or 'b/s'" in str(SnapshotNotFound("s", candidates=["a/s", "b/s"]))
    assert "in the workspace 'a'" in str(SnapshotNotFound("s", "a"))


def test_errors_say_what_was_in_the_way():
    changes = [Base(path=f"f{n}") for n in range(7)]  # whatever has a path

    assert "'f4' and 2 more" in str(UncommittedChanges("it would be lost", changes))
    assert str(UncommittedChanges("it would be lost")) == "it would be lost"
    assert CommitError("both changed it", changes[:1]).conflicts == (changes[0],)
    assert "process 7" in str(WorkspaceBusy("a", 7))
    assert "another process" in str(WorkspaceBusy("a"))
    assert "'a' already" in str(WorkspaceExists("a"))
    assert "'s' already" in str(SnapshotExists("s", "a"))
    assert str(HookVeto("pre-commit", "no")) == "the hook pre-commit refuses it: no"
    assert str(StoreError("it is of version 9", "store.db", "use a newer runner")) == (
        "store.db: it is of version 9 (use a newer runner)"
    )
    assert "00ff" in str(ObjectMissing(b"\x00\xff"))
