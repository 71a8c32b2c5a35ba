"""Changes are applied to a base all together, or not at all if anything there is not as expected."""

from __future__ import annotations

import os
from pathlib import Path

import attrs
import pytest

from runner.errors import CommitError, InvalidPath, NotFound
from runner.workspaces.journal import roll_forward_base
from runner.workspaces.listing import EMPTY, Entry, EntryType
from runner.workspaces.objects import NO_ID, content
from runner.workspaces.restoring import Application, apply


def file(data, mode=0o644):
    return Entry(b"-", EntryType.FILE, mode, content(data).id, len(data))


def directory(mode=0o755):
    return Entry(b"-", EntryType.DIRECTORY, mode, EMPTY.id)


FIFO = Entry(b"-", EntryType.FIFO, 0o644, NO_ID)
LINK = Entry(b"-", EntryType.LINK, 0, content(b"target").id)


@pytest.fixture
def base(tmp_path):
    base = tmp_path / "base"
    (base / "src/deep").mkdir(parents=True)
    (base / "src/a.py").write_bytes(b"old")
    (base / "src/deep/b.py").write_bytes(b"deep")
    (base / "other").write_bytes(b"nobody's business")
    return str(base)


@pytest.fixture
def commit(store, base, tmp_path):
    store.put([content(each) for each in (b"old", b"new", b"deep", b"target")])

    def commit(*changes, **options):
        wanted = [Application(path=path, before=old, after=new) for path, old, new in changes]
        return apply(store, "w", base, wanted, place=str(tmp_path / "staging"), **options)

    return commit


def test_changes_of_every_kind_are_applied(commit, base, seen, store):
    done = commit(
        ("src/a.py", file(b"old"), file(b"new", 0o755)),
        ("src/deep", directory(), None),
        ("src/deep/b.py", file(b"deep"), None),
        ("new/with/parents", None, file(b"new")),
        ("empty", None, directory(0o700)),
        ("link", None, LINK),
        ("fifo", None, FIFO),
        (os.fsdecode(b"\xff\n"), None, file(b"new")),
    )

    assert done.act is not None
    assert {name: each[:2] for name, each in seen(base).items()} == {
        b"src": (0o040000, 0o755),
        b"src/a.py": (0o100000, 0o755),
        b"other": (0o100000, 0o644),
        b"new": (0o040000, 0o755),
        b"new/with": (0o040000, 0o755),
        b"new/with/parents": (0o100000, 0o644),
        b"empty": (0o040000, 0o700),
        b"link": (0o120000, 0),
        b"fifo": (0o010000, 0o644),
        b"\xff\n": (0o100000, 0o644),
    }
    assert Path(base, "src/a.py").read_bytes() == b"new"
    assert store.journal.list() == []


def test_a_file_becomes_a_directory_and_the_other_way_round(commit, base):
    commit(
        ("src/a.py", file(b"old"), directory()),
        ("src/a.py/in", None, file(b"new")),
        ("src/deep", directory(), file(b"new")),
        ("src/deep/b.py", file(b"deep"), None),
    )

    assert Path(base, "src/a.py/in").read_bytes() == b"new"
    assert Path(base, "src/deep").read_bytes() == b"new"


@pytest.mark.parametrize(
    ("path", "before", "after", "why"),
    [
        ("src/a.py", file(b"new"), None, "it is not as it was"),
        ("src/a.py", file(b"older"), None, "it is not as it was"),
        ("src/a.py", file(b"old", 0o755), None, "it is not as it was"),
        ("src/a.py", LINK, None, "it is not as it was"),
        ("src/a.py", directory(), None, "it is not as it was"),
        ("src/a.py", None, file(b"new"), "something is there"),
        ("src/gone", file(b"old"), file(b"new"), "it is gone"),
        ("other/file", None, file(b"new"), "other is no directory"),
        ("other/file/deep", None, file(b"new"), "other is no directory"),
        ("src/deep", directory(), None, "'b.py' is in it, and is not to be removed"),
        ("src/deep", directory(), file(b"new"), "'b.py' is in it, and is not to be removed"),
        ("way/out", None, file(b"new"), "way is no directory"),
    ],
)
def test_what_is_not_as_expected_is_said_and_nothing_is_applied(
    commit, base, seen, path, before, after, why
):
    os.symlink("/tmp", base + "/way")
    was = seen(base)

    with pytest.raises(CommitError, match="nothing was applied") as raised:
        commit((path, before, after), ("src/fine", None, file(b"new")))

    assert [(each.path, each.why) for each in raised.value.conflicts] == [(path, why)]
    assert seen(base) == was


@pytest.mark.parametrize(
    "path", ["", "/etc/passwd", "../out", "a/../../b", "a/", "a\0b", "n" * 256]
)
def test_a_path_that_is_none_of_the_base_is_refused(commit, base, seen, path):
    was = seen(base)

    with pytest.raises(InvalidPath):
        commit((path, None, file(b"new")))

    assert seen(base) == was


def test_something_in_what_is_to_be_no_directory_is_refused(commit, base, seen):
    was = seen(base)

    with pytest.raises(ValueError, match="src/a.py is no directory"):
        commit(("src/a.py", file(b"old"), file(b"new")), ("src/a.py/in", None, file(b"new")))

    assert seen(base) == was


def test_a_base_that_is_gone_is_said(commit, base):
    os.rename(base, base + "-moved")

    with pytest.raises(NotFound, match="commit"):
        commit(("a", None, file(b"new")))


def test_nothing_to_apply_writes_what_else_is_to_be_true(commit, store):
    told = []

    done = commit(
        ("src/a.py", file(b"old"), file(b"old")), also=lambda: told.append(store.journal.list())
    )

    assert done.act is None
    assert told == [[]]


def test_what_another_commit_could_not_finish_is_finished_first(commit, store, base, tmp_path):
    class Cut(BaseException):
        pass

    def cut(*_):
        raise Cut

    with pytest.MonkeyPatch.context() as patch, pytest.raises(Cut):
        patch.setattr("runner.workspaces.carrying.Carrier.carry_out", cut)
        commit(("src/a.py", file(b"old"), file(b"new")))
    assert Path(base, "src/a.py").read_bytes() == b"old"
    (act,) = store.journal.list("w")

    commit(("src/a.py", file(b"new"), file(b"deep")))

    assert Path(base, "src/a.py").read_bytes() == b"deep"
    assert store.journal.list() == []
    assert os.listdir(tmp_path / "staging") == []
    assert attrs.evolve(act, id=0).kind == "commit"
    assert roll_forward_base(store, base) == []
