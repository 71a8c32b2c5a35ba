"""Copies of trees: everything odd is in them, or is told."""

from __future__ import annotations

import errno
import os
import socket
import stat
import threading
from collections.abc import Callable
from pathlib import Path

import attrs
import pytest
import trio

from runner.backends.threads import in_thread
from runner.workspaces import blocks, copying
from runner.workspaces.copying import copy_tree
from runner.workspaces.ways import Skipped


def listing(top: Path) -> dict[bytes, tuple[object, ...]]:
    """All of a tree: type and mode, owner, time, size, and content or target."""
    found: dict[bytes, tuple[object, ...]] = {}
    root = os.fsencode(top)
    waiting = [b""]
    while waiting:
        name = waiting.pop()
        path = os.path.join(root, name) if name else root
        status = os.lstat(path)
        what: object = None
        if stat.S_ISLNK(status.st_mode):
            what = os.readlink(path)
        elif stat.S_ISREG(status.st_mode):
            what = Path(os.fsdecode(path)).read_bytes() if status.st_size < 1 << 20 else "large"
        elif stat.S_ISDIR(status.st_mode):
            waiting += [os.path.join(name, each) for each in os.listdir(path)]
        owner = status.st_uid, status.st_gid
        size = 0 if stat.S_ISDIR(status.st_mode) else status.st_size
        found[name] = (status.st_mode, owner, status.st_mtime_ns, size, what)
    return found


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Everything that a tree may hold."""
    top = tmp_path / "base"
    (top / "a" / "empty").mkdir(parents=True)
    (top / "a" / "text").write_text("text")
    (top / "a" / "nothing").touch()
    (top / "program").write_text("#!/bin/sh\n")
    (top / "program").chmod(0o4755)
    (top / "secret").write_text("s")
    (top / "secret").chmod(0o400)
    (top / "group").write_text("g")
    (top / "group").chmod(0o666)
    (top / "dangling").symlink_to("no/where")
    (top / "absolute").symlink_to("/etc/passwd")
    (top / "loop").symlink_to("loop")
    (top / "link").symlink_to("a")
    os.mkfifo(top / "fifo", 0o622)
    (top / "new\nline").write_text("n")
    (top / ("x" * 255)).write_text("long")
    Path(os.fsdecode(os.fsencode(top) + b"/bad\xff")).write_bytes(b"\xff")
    (top / "one").write_text("linked")
    os.link(top / "one", top / "a" / "two")
    os.link(top / "one", top / "three")
    (top / "closed").mkdir()
    (top / "closed" / "file").write_text("c")
    (top / "closed").chmod(0o555)
    if os.geteuid() == 0:
        os.chown(top / "group", 1234, 1235)
        os.chown(top / "dangling", 1234, 1235, follow_symlinks=False)
        os.chown(top / "a" / "empty", 1234, 1235)
    for path in (top / "a", top / "program", top):
        os.utime(path, ns=(10**18, 10**18 + 7))
    os.utime(top / "dangling", ns=(10**18, 10**18 + 9), follow_symlinks=False)
    return top


def test_a_copy_has_everything_that_the_tree_has(tree: Path, tmp_path: Path) -> None:
    assert copy_tree(str(tree), str(tmp_path / "copy")) == ()

    assert listing(tree) == listing(tmp_path / "copy")


def test_blocks_are_shared_where_they_can_be_and_copied_where_not(
    tree: Path, tmp_path: Path
) -> None:
    assert copy_tree(str(tree), str(tmp_path / "copy"), share=True) == ()

    assert listing(tree) == listing(tmp_path / "copy")


def test_names_of_one_file_are_names_of_one_file(tree: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    copy_tree(str(tree), str(copy))

    assert (copy / "one").stat().st_nlink == 3
    assert (copy / "one").samefile(copy / "a" / "two")
    assert not (copy / "one").samefile(tree / "one")


def test_a_name_of_a_file_that_has_others_elsewhere_is_a_file_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "base").mkdir()
    (tmp_path / "outside").write_text("x")
    os.link(tmp_path / "outside", tmp_path / "base" / "file")
    copy_tree(str(tmp_path / "base"), str(tmp_path / "copy"))

    assert (tmp_path / "copy" / "file").stat().st_nlink == 1


def test_holes_stay_holes(tmp_path: Path) -> None:
    base = tmp_path / "base"
    base.mkdir()
    size = 10 << 30
    with (base / "sparse").open("wb") as file:
        file.seek(5 << 30)
        file.write(b"in the middle" * 100)
        file.truncate(size)
    (base / "empty").touch()
    os.truncate(base / "empty", size)
    copy_tree(str(base), str(tmp_path / "copy"))

    for name in ("sparse", "empty"):
        status = (tmp_path / "copy" / name).stat()
        assert status.st_size == size
        assert status.st_blocks <= (base / name).stat().st_blocks + 16
    with (tmp_path / "copy" / "sparse").open("rb") as file:
        file.seek((5 << 30) - 1)
        assert file.read(1302) == b"\0" + b"in the middle" * 100 + b"\0"


def test_where_holes_are_not_told_everything_is_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "base").mkdir()
    with (tmp_path / "base" / "sparse").open("wb") as file:
        file.truncate(1 << 20)
        file.seek(300_000)
        file.write(b"data")

    def refuse(code: int) -> Callable[..., int]:
        def seek(*_: object) -> int:
            raise OSError(code, os.strerror(code))

        return seek

    monkeypatch.setattr(blocks.os, "lseek", refuse(errno.EINVAL))
    copy_tree(str(tmp_path / "base"), str(tmp_path / "copy"))
    monkeypatch.setattr(blocks.os, "lseek", refuse(errno.EIO))
    with pytest.raises(OSError, match="sparse"):
        copy_tree(str(tmp_path / "base"), str(tmp_path / "second"))
    monkeypatch.undo()

    assert listing(tmp_path / "copy" / "sparse") == listing(tmp_path / "base" / "sparse")
    first, second = (tmp_path / each / "sparse" for each in ("base", "copy"))
    assert first.read_bytes() == second.read_bytes()


def test_sockets_and_devices_are_left_out_and_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "base" / "d").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "base" / "d")  # a socket's path is short
    expected = [Skipped(path="d/socket", why="a socket")]
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")
        if os.geteuid() == 0:
            os.mknod("whiteout", stat.S_IFCHR | 0o600, os.makedev(0, 0))
            expected.append(Skipped(path="d/whiteout", why="a device"))
        skipped = copy_tree(str(tmp_path / "base"), str(tmp_path / "copy"))

    assert list(skipped) == expected
    assert os.listdir(tmp_path / "copy" / "d") == []


def test_what_is_ignored_is_not_in_it(tree: Path, tmp_path: Path) -> None:
    asked = []

    def ignore(names: tuple[str, ...], is_directory: bool) -> bool:
        asked.append((names, is_directory))
        return names[-1] in ("a", "fifo", "one")

    copy_tree(str(tree), str(tmp_path / "copy"), ignore=ignore)

    gone = {b"fifo", b"one"} | {each for each in listing(tree) if each.split(b"/")[0] == b"a"}
    assert set(listing(tree)) - set(listing(tmp_path / "copy")) == gone
    assert {(("a",), True), (("fifo",), False), (("link",), False)} <= set(asked)
    assert (tmp_path / "copy" / "three").stat().st_nlink == 1


def test_a_large_tree_is_whole(tmp_path: Path) -> None:
    base = tmp_path / "base"
    for one in range(30):
        (base / f"d{one % 5}" / f"e{one}").mkdir(parents=True)
        for two in range(20):
            (base / f"d{one % 5}" / f"e{one}" / str(two)).write_text(f"{one} {two}")
    deep = base / "deep"
    deep.mkdir()
    fd = os.open(deep, os.O_RDONLY)
    for _ in range(300):
        os.mkdir("deeper-and-deeper", dir_fd=fd)
        inner = os.open("deeper-and-deeper", os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = inner
    os.close(os.open("end", os.O_CREAT | os.O_WRONLY, dir_fd=fd))
    os.close(fd)
    copy_tree(str(base), str(tmp_path / "copy"))

    assert sum(len(files) for _, _, files in os.walk(tmp_path / "copy")) >= 600
    names = 0
    fd = os.open(tmp_path / "copy" / "deep", os.O_RDONLY)
    while "end" not in os.listdir(fd):
        inner = os.open("deeper-and-deeper", os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd, names = inner, names + 1
    os.close(fd)
    assert names == 300


@attrs.define
class _Entry:
    """What a directory said of an entry when it was read."""

    name: str
    path: str = ""
    directory: bool = False

    def is_dir(self, *, follow_symlinks: bool) -> bool:
        return self.directory

    def is_file(self, *, follow_symlinks: bool) -> bool:
        return not self.directory


@pytest.fixture
def ghosts(monkeypatch: pytest.MonkeyPatch) -> list[_Entry]:
    """Entries that are added to what directories say: gone, or something else, by now."""
    added: list[_Entry] = []
    scandir = os.scandir

    class Listed:
        def __init__(self, fd: int) -> None:
            self._entries = scandir(fd)

        def __enter__(self) -> list[object]:
            return [*self._entries, *added]

        def __exit__(self, *_: object) -> None:
            self._entries.close()
            added.clear()

    monkeypatch.setattr(copying.os, "scandir", Listed)
    return added


def test_what_goes_away_meanwhile_is_not_in_it(tmp_path: Path, ghosts: list[_Entry]) -> None:
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "stays").touch()
    ghosts += [_Entry("file"), _Entry("directory", directory=True)]
    copy_tree(str(tmp_path / "base"), str(tmp_path / "copy"))

    assert sorted(os.listdir(tmp_path / "copy")) == ["directory", "stays"]


def test_what_becomes_something_else_meanwhile_is_told_and_never_followed(
    tmp_path: Path, ghosts: list[_Entry]
) -> None:
    base = tmp_path / "base"
    base.mkdir()
    (tmp_path / "outside").write_text("outside")
    os.mkfifo(base / "fifo")
    ghosts.append(_Entry("fifo"))
    skipped = copy_tree(str(base), str(tmp_path / "copy"), ignore=lambda *_: not ghosts)

    assert [each.path for each in skipped] == ["fifo"]

    os.unlink(base / "fifo")
    (base / "link").symlink_to(tmp_path / "outside")
    ghosts.append(_Entry("link"))
    with pytest.raises(OSError, match="link") as refused:
        copy_tree(str(base), str(tmp_path / "second"), ignore=lambda *_: not ghosts)

    assert refused.value.errno == errno.ELOOP


def test_an_error_says_where_it_was_and_ends_all_threads(tmp_path: Path) -> None:
    base = tmp_path / "base"
    for number in range(50):
        (base / str(number)).mkdir(parents=True)
        (base / str(number) / "file").write_text("x")
    before = threading.active_count()

    def full(names: tuple[str, ...], _: bool) -> bool:
        if names == ("25", "file"):
            raise OSError(errno.ENOSPC, "No space left on device")
        return False

    with pytest.raises(OSError, match="No space") as failed:
        copy_tree(str(base), str(tmp_path / "copy"), ignore=full)

    assert failed.value.filename == "25"
    assert threading.active_count() == before


def test_another_error_of_a_thread_is_raised_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "x").touch()
    with pytest.raises(ZeroDivisionError):
        copy_tree(str(tmp_path / "base"), str(tmp_path / "copy"), ignore=lambda *_: 1 // 0 == 0)


async def test_a_caller_that_is_cancelled_ends_it(tmp_path: Path) -> None:
    base = tmp_path / "base"
    for number in range(40):
        (base / str(number)).mkdir(parents=True)
        (base / str(number) / "file").write_text("x")
    begun = trio.Event()
    token = trio.lowlevel.current_trio_token()
    gone = threading.Event()

    def wait(*_: object) -> bool:
        token.run_sync_soon(begun.set)
        gone.wait(10)
        return False

    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:

            async def work() -> None:
                await in_thread(lambda: copy_tree(str(base), str(tmp_path / "copy"), ignore=wait))

            nursery.start_soon(work)
            await begun.wait()
            nursery.cancel_scope.cancel()
            gone.set()

    assert len(os.listdir(tmp_path / "copy")) <= 40
    assert sum(len(files) for _, _, files in os.walk(tmp_path / "copy")) < 40


def test_without_proc_every_mode_is_set(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copying, "_umask", lambda: 0o777)
    copy_tree(str(tree), str(tmp_path / "copy"))

    assert listing(tree) == listing(tmp_path / "copy")


@pytest.mark.parametrize("mask", [0o000, 0o077])
def test_the_umask_changes_nothing(tree: Path, tmp_path: Path, mask: int) -> None:
    before = os.umask(mask)
    try:
        copy_tree(str(tree), str(tmp_path / "copy"))
    finally:
        os.umask(before)

    assert listing(tree) == listing(tmp_path / "copy")


@pytest.mark.parametrize("code", [errno.EXDEV, errno.ENOSYS])
def test_where_the_kernel_does_not_copy_it_is_done_by_hand(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def refuse(*_: object) -> int:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(copying.os, "copy_file_range", refuse)
    copy_tree(str(tree), str(tmp_path / "copy"))

    assert listing(tree) == listing(tmp_path / "copy")


def test_an_error_of_the_kernels_copy_is_an_error(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> int:
        raise OSError(errno.EIO, "bad disk")

    with monkeypatch.context() as patch:
        patch.setattr(copying.os, "copy_file_range", refuse)
        with pytest.raises(OSError, match="bad disk"):
            copy_tree(str(tree), str(tmp_path / "copy"))
        patch.setattr(blocks.fcntl, "ioctl", refuse)
        with pytest.raises(OSError, match="bad disk"):
            copy_tree(str(tree), str(tmp_path / "second"), share=True)


def test_a_file_that_becomes_shorter_is_as_long_as_it_was_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "base").mkdir()
    file = tmp_path / "base" / "file"
    file.write_bytes(b"x" * 100_000)
    ranged = os.copy_file_range

    def shorten(source: int, target: int, count: int, at: int, to: int) -> int:
        os.truncate(file, 10)
        return ranged(source, target, count, at, to)

    monkeypatch.setattr(copying.os, "copy_file_range", shorten)
    copy_tree(str(tmp_path / "base"), str(tmp_path / "copy"))

    assert (tmp_path / "copy" / "file").read_bytes() == b"x" * 10


def test_a_base_that_is_none_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError):
        copy_tree(str(tmp_path / "file"), str(tmp_path / "copy"))
    with pytest.raises(FileNotFoundError):
        copy_tree(str(tmp_path / "none"), str(tmp_path / "copy"))

    assert os.listdir(tmp_path) == ["file"]
