"""A batch is all of its changes or none, and each is checked as if those before it had been made."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import tempfile
from pathlib import Path

import pytest

from runner.errors import (
    AlreadyExists,
    InvalidArgument,
    InvalidPath,
    NotEmpty,
    NotFound,
    OperationError,
    PathEscapes,
    PermissionDenied,
    StoreDamaged,
    WrongType,
)
from runner.workspaces.batching import Batch
from runner.workspaces.journal import roll_forward
from runner.workspaces.staging import place_beside
from runner.workspaces.store import Store

ORDINARY = 1_800_000_001


@pytest.fixture
def batch(store, live):
    def begin(**options):
        return Batch(store, "w", live, **options)

    os.makedirs(live + "/src/deep")
    Path(live, "a.txt").write_bytes(b"a")
    os.chmod(live + "/a.txt", 0o755)
    Path(live, "src/b.txt").write_bytes(b"b")
    Path(live, "src/deep/c.txt").write_bytes(b"c")
    os.symlink("src", live + "/link")
    os.symlink("a.txt", live + "/to-a")
    os.mkfifo(live + "/fifo", 0o640)
    return begin


def files(live):
    found = {}
    for above, directories, names in os.walk(live):
        for name in [*directories, *names]:
            path = os.path.join(above, name)
            status = os.lstat(path)
            what = stat.S_IFMT(status.st_mode)
            if what == stat.S_IFREG:
                what = Path(path).read_bytes()
            elif what == stat.S_IFLNK:
                what = os.readlink(path)
            found[os.path.relpath(path, live)] = what
    return found


def test_nothing_changes_before_the_end_and_then_everything(batch, live):
    before = files(live)

    with batch() as b:
        b.write("a.txt", b"new")
        b.write("made/on/the/way", [b"in ", b"pieces"], mode=0o600)
        b.remove("src", recursive=True)
        assert files(live) == before
        assert b.read("a.txt") == b"new"
        assert not b.exists("src/b.txt")
        assert not b.exists("src")
        assert b.exists("made/on")

    assert Path(live, "a.txt").read_bytes() == b"new"
    assert stat.S_IMODE(os.stat(live + "/a.txt").st_mode) == 0o755
    assert Path(live, "made/on/the/way").read_bytes() == b"in pieces"
    assert stat.S_IMODE(os.stat(live + "/made/on/the/way").st_mode) == 0o600
    assert not os.path.exists(live + "/src")
    assert os.listdir(place_beside(live)) == []


def test_an_exception_in_it_leaves_nothing(batch, live, store):
    before = files(live)

    with pytest.raises(ZeroDivisionError), batch() as b:
        b.write("a.txt", b"new")
        b.move("src", "moved")
        raise ZeroDivisionError

    assert files(live) == before
    assert store.journal.list() == []
    assert os.listdir(place_beside(live)) == []
    b.discard()
    with pytest.raises(InvalidArgument, match="it is over"):
        b.write("a.txt", b"late")


def test_what_else_is_written_and_fails_leaves_nothing(batch, live, store):
    before = files(live)

    def fail():
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), batch(also=fail) as b:
        b.write("a.txt", b"new")

    assert files(live) == before
    assert store.journal.list() == []


@pytest.mark.parametrize("durable", [False, True])
def test_trees_are_moved_and_copied(batch, live, durable):
    inode = os.stat(live + "/src/b.txt").st_ino

    with batch(durable=durable) as b:
        b.chmod("src/b.txt", 0o600)
        b.copy("src", "copied")
        b.move("src", "moved/there")
        b.chmod("moved/there/deep", 0o700)
        b.append("moved/there/b.txt", b" and more")
        b.append("copied/b.txt", b", copied")
        b.append("copied/b.txt", b", twice")
        b.append("fresh", b"new")
        b.copy("to-a", "also-to-a")
        b.copy("fifo", "another-fifo")
        b.move("fifo", "moved/fifo")
        b.move("moved/there/deep/c.txt", "c.txt")
        b.move("a.txt", "a.txt", overwrite=True)

    assert files(live) == {
        "a.txt": b"a",
        "link": "src",
        "to-a": "a.txt",
        "also-to-a": "a.txt",
        "another-fifo": stat.S_IFIFO,
        "moved": stat.S_IFDIR,
        "moved/fifo": stat.S_IFIFO,
        "moved/there": stat.S_IFDIR,
        "moved/there/b.txt": b"b and more",
        "moved/there/deep": stat.S_IFDIR,
        "c.txt": b"c",
        "copied": stat.S_IFDIR,
        "copied/b.txt": b"b, copied, twice",
        "copied/deep": stat.S_IFDIR,
        "copied/deep/c.txt": b"c",
        "fresh": b"new",
    }
    assert stat.S_IMODE(os.stat(live + "/copied/b.txt").st_mode) == 0o600
    assert stat.S_IMODE(os.stat(live + "/moved/there/b.txt").st_mode) == 0o600
    assert stat.S_IMODE(os.stat(live + "/moved/there/deep").st_mode) == 0o700
    assert stat.S_IMODE(os.stat(live + "/another-fifo").st_mode) == 0o640
    assert os.stat(live + "/moved/there/b.txt").st_ino != inode


def test_a_moved_file_is_the_same_file(batch, live):
    inode = os.stat(live + "/src/b.txt").st_ino

    with batch() as b:
        b.move("src/b.txt", "first")
        b.move("first", "second")
        b.chmod("second", 0o711)
        b.move("second", "third")

    status = os.stat(live + "/third")
    assert (status.st_ino, stat.S_IMODE(status.st_mode), status.st_nlink) == (inode, 0o711, 1)
    assert not os.path.exists(live + "/second")


def test_what_was_removed_can_be_made_anew_as_something_else(batch, live):
    with batch() as b:
        b.remove("src", recursive=True)
        b.write("src/new", b"a directory again")
        b.remove("a.txt")
        b.mkdir("a.txt/is/a/directory")
        b.remove("fifo")
        b.write("fifo", b"a file")
        b.remove("link")
        b.mkdir("link")
        b.mkdir("gone/again")
        b.chmod("gone/again", 0o700)
        b.remove("gone", recursive=True)
        b.remove("nothing", missing_ok=True)

    assert files(live) == {
        "src": stat.S_IFDIR,
        "src/new": b"a directory again",
        "a.txt": stat.S_IFDIR,
        "a.txt/is": stat.S_IFDIR,
        "a.txt/is/a": stat.S_IFDIR,
        "a.txt/is/a/directory": stat.S_IFDIR,
        "to-a": "a.txt",
        "fifo": b"a file",
        "link": stat.S_IFDIR,
    }


def test_links_inside_are_followed_also_those_that_were_moved(batch, live):
    with batch() as b:
        b.write("link/through", b"1")
        b.write("to-a", b"not the link")
        b.move("link", "moved-link")
        b.write("moved-link/too", b"2")
        b.write("src/../up", b"3")
        assert b.read("moved-link/through") == b"1"

    assert Path(live, "src/through").read_bytes() == b"1"
    assert Path(live, "src/too").read_bytes() == b"2"
    assert Path(live, "up").read_bytes() == b"3"
    assert Path(live, "a.txt").read_bytes() == b"not the link"
    assert os.readlink(live + "/to-a") == "a.txt"


@pytest.mark.parametrize(
    ("error", "call"),
    [
        (NotFound, lambda b: b.read("nothing")),
        (NotFound, lambda b: b.chmod("nothing", 0o600)),
        (NotFound, lambda b: b.move("nothing", "there")),
        (NotFound, lambda b: b.remove("nothing")),
        (NotFound, lambda b: b.write("nothing/../x", b"")),
        (NotFound, lambda b: (b.remove("a.txt"), b.copy("a.txt", "there"))),
        (AlreadyExists, lambda b: b.copy("a.txt", "src/b.txt")),
        (AlreadyExists, lambda b: b.copy("a.txt", "a.txt")),
        (AlreadyExists, lambda b: (b.write("x", b""), b.move("a.txt", "x"))),
        (AlreadyExists, lambda b: b.mkdir("a.txt")),
        (AlreadyExists, lambda b: b.mkdir("src", exist_ok=False)),
        (NotEmpty, lambda b: b.remove("src")),
        (NotEmpty, lambda b: b.move("src/deep", "link/../src", overwrite=True)),
        (InvalidPath, lambda b: b.move("src", "src/deep/er")),
        (InvalidPath, lambda b: b.copy("a.txt", "a.txt", overwrite=True)),
        (InvalidPath, lambda b: b.write("", b"")),
        (InvalidPath, lambda b: b.write("n" * 256, b"")),
        (InvalidPath, lambda b: b.write("loop", b"")),
        (WrongType, lambda b: b.write("src", b"")),
        (WrongType, lambda b: b.write("a.txt/below", b"")),
        (WrongType, lambda b: b.write("a.txt/", b"")),
        (WrongType, lambda b: b.write("fifo", b"")),
        (WrongType, lambda b: (b.move("fifo", "f"), b.write("f", b""))),
        (WrongType, lambda b: b.append("src", b"")),
        (WrongType, lambda b: b.move("a.txt", "src", overwrite=True)),
        (WrongType, lambda b: b.move("src", "a.txt", overwrite=True)),
        (PathEscapes, lambda b: b.write("/etc/passwd", b"")),
        (PathEscapes, lambda b: b.write("../out", b"")),
        (PathEscapes, lambda b: b.read("away/passwd")),
        (PathEscapes, lambda b: b.remove("away/passwd")),
        (PermissionDenied, lambda b: b.remove(".", recursive=True)),
        (PermissionDenied, lambda b: b.chmod(".", 0o700)),
        (PermissionDenied, lambda b: b.move("a.txt", ".", overwrite=True)),
        (InvalidArgument, lambda b: b.chmod("a.txt", -1)),
        (InvalidArgument, lambda b: b.write("a.txt", b"", mode=0o10000)),
        (InvalidArgument, lambda b: b.chmod("a.txt", 0o20000)),
    ],
)
def test_what_cannot_be_done_is_refused_at_once_and_all_of_it_never_was(
    batch, live, store, error, call
):
    os.symlink("/etc", live + "/away")
    os.symlink("loop", live + "/loop")
    before = files(live)

    with pytest.raises(error) as raised, batch() as b:
        b.write("other", b"written before")
        call(b)

    assert isinstance(raised.value, OperationError)
    assert raised.value.scope == live
    assert files(live) == before
    assert store.journal.list() == []


def test_one_that_goes_on_after_a_refusal_is_whole_without_it(batch, live):
    with batch() as b:
        with pytest.raises(NotFound):
            b.remove("nothing")
        b.write("a.txt", b"new")

    assert Path(live, "a.txt").read_bytes() == b"new"


def test_absolute_paths_that_lie_inside_are_accepted(batch, live):
    with batch() as b:
        b.write(live + "/src/absolute", b"x")

    assert Path(live, "src/absolute").read_bytes() == b"x"


def test_one_whose_contents_somebody_removed_is_given_up_and_said_once(batch, live, store):
    class Cut(BaseException):
        pass

    def cut(*_):
        raise Cut

    with pytest.MonkeyPatch.context() as patch, pytest.raises(Cut):
        patch.setattr("runner.workspaces.carrying.Carrier.carry_out", cut)
        with batch() as b:
            b.write("a.txt", b"new")
    place = place_beside(live)
    (left,) = os.listdir(place)
    os.rename(f"{place}/{left}", f"{place}/{left}-away")

    with pytest.raises(StoreDamaged, match="is gone"):
        roll_forward(store, "w", live, place)

    assert [] == roll_forward(store, "w", live, place)
    assert Path(live, "a.txt").read_bytes() != b"new"
    with batch() as b:
        b.write("a.txt", b"newer")
    assert Path(live, "a.txt").read_bytes() == b"newer"


def test_a_batch_without_changes_writes_no_row(batch, store, live):
    told = []

    with batch(also=lambda: told.append(store.journal.list())):
        pass

    assert told == [[]]


def test_on_an_overlay_what_is_moved_is_copied_where_it_has_to_be(store, tmp_path):
    if os.geteuid() != 0:
        pytest.skip("mounts as root: run the tests as root, or in `unshare -Urm`")
    place = tmp_path / "workspace"
    for name in ("lower/src/deep", "upper", "work", "tree"):
        (place / name).mkdir(parents=True)
    (place / "lower/src/deep/file").write_bytes(b"below")
    os.mkfifo(place / "lower/src/fifo")
    options = f"lowerdir={place}/lower,upperdir={place}/upper,workdir={place}/work"
    tree = str(place / "tree")
    subprocess.run(["mount", "-t", "overlay", "-o", options, "overlay", tree], check=True)
    try:
        os.mkdir(tree + "/mount")
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", tree + "/mount"], check=True)
        Path(tree, "mount/file").write_bytes(b"of another mount")

        with Batch(store, "w", tree) as b:
            b.move("src", "moved")
            b.move("mount/file", "file")
            b.write("mount/other", b"copied over")

        subprocess.run(["umount", tree + "/mount"], check=False)
        assert sorted(os.listdir(tree)) == ["file", "mount", "moved"]
        assert Path(tree, "moved/deep/file").read_bytes() == b"below"
        assert Path(tree, "file").read_bytes() == b"of another mount"
        assert (place / "lower/src/deep/file").exists()
    finally:
        subprocess.run(["umount", "-l", tree], check=True)


def test_what_modes_forbid_to_an_ordinary_user_is_refused_at_once(store, batch, live):
    if os.geteuid() != 0:
        pytest.skip("only root can give files away")
    with tempfile.TemporaryDirectory() as place:
        tree = place + "/tree"
        shutil.copytree(live, tree, symlinks=True, ignore=lambda *_: ["fifo"])
        os.chown(place, ORDINARY, ORDINARY)
        os.chown(tree, ORDINARY, ORDINARY)
        for each in ("src", "src/b.txt", "src/deep", "a.txt"):
            os.chmod(f"{tree}/{each}", 0o755)
        os.setegid(ORDINARY)
        os.seteuid(ORDINARY)
        try:
            own = Store.open(place + "/store.db")
            with Batch(own, "w", tree) as b:
                for refused in (
                    lambda: b.write("src/new", b"in a directory that is root's"),
                    lambda: b.write("src/b.txt", b"a file that is root's"),
                    lambda: b.chmod("src", 0o700),
                    lambda: b.remove("src/b.txt"),
                    lambda: b.remove("src", recursive=True),
                    lambda: b.move("src/b.txt", "here"),
                ):
                    with pytest.raises(PermissionDenied):
                        refused()
                b.write("mine", b"x")
                b.chmod("mine", 0o400)
            assert sorted(os.listdir(tree)) == ["a.txt", "link", "mine", "src", "to-a"]
            own.close()
        finally:
            os.seteuid(0)
            os.setegid(0)


def test_a_staging_that_cannot_be_made_is_said(store, live):
    Path(os.path.dirname(live), "staging").write_bytes(b"in the way")

    with pytest.raises(OperationError, match="batch '.'"):
        Batch(store, "w", live).__enter__()


def test_it_may_be_committed_by_hand_and_then_it_is_over(batch, live):
    with batch() as b:
        b.write("a.txt", b"new")
        done = b.commit()
        assert Path(live, "a.txt").read_bytes() == b"new"

    assert done.act.kind == "batch"
