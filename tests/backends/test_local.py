"""What only the local backend has: roots, atomicity, modes, special files, full disks, cancelling."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import socket
import stat
import subprocess
import sys
import threading

import pytest
import trio

from runner import errors as e
from runner import messages as m
from runner.backends import files, threads, trees
from runner.backends.files import SMALL, TEMPORARY
from runner.backends.local import LocalBackend
from runner.operations import line_hash
from runner.processes.host import ProcessHost


def leftovers(top):
    """Temporary names that were left anywhere."""
    return [
        os.path.join(directory, each)
        for directory, directories, names in os.walk(top)
        for each in directories + names
        if each.startswith(TEMPORARY)
    ]


# ---------------------------------------------------------------- the root


async def test_nothing_is_touched_before_the_first_operation(root, opener):
    path = root / "new" / "scope"
    backend = LocalBackend(path, opener=opener)
    assert repr(backend) == f"<LocalBackend {str(path)!r} not opened>"
    with pytest.raises(e.NotFound):
        await backend.ls()
    assert await backend.exists(".") is False
    assert not path.parent.exists()
    await backend.write("f", b"x")

    assert (path / "f").read_bytes() == b"x"
    assert repr(backend) == f"<LocalBackend {str(path)!r} {opener}>"
    assert backend.root == str(path)


async def test_a_root_that_must_be_there_is_not_made(root):
    backend = LocalBackend(root / "new", create=False)
    with pytest.raises(e.NotFound):
        await backend.write("f", b"x")

    assert not (root / "new").exists()


async def test_a_root_that_is_a_file(root):
    (root / "f").write_bytes(b"")
    backend = LocalBackend(root / "f")
    with pytest.raises(e.WrongType):
        await backend.ls()
    with pytest.raises(e.OperationError):
        await backend.write("x", b"")


async def test_a_directory_that_is_moved_is_followed(root, local):
    await local.write("f", b"x")
    root.rename(root.parent / "elsewhere")
    await local.write("g", b"y")

    assert (root.parent / "elsewhere" / "g").read_bytes() == b"y"
    assert not root.exists()


async def test_a_directory_that_is_removed_is_made_anew(root, local):
    await local.write("f", b"x")
    os.unlink(root / "f")
    root.rmdir()
    with pytest.raises(e.NotFound):
        await local.read("f", encoding=None)
    await local.write("g", b"y")

    assert (root / "g").read_bytes() == b"y"


async def test_absolute_paths_are_taken_by_both_names_of_the_root(root, opener):
    link = root.parent / "by-link"
    link.symlink_to(root)
    (root / "f").write_bytes(b"x")

    for first in (link, root):
        backend = LocalBackend(link, opener=opener)
        assert await backend.read(f"{first}/f", encoding=None) == b"x"


async def test_without_proc_the_root_is_still_known(root, monkeypatch):
    real = os.readlink

    def readlink(path, **keywords):
        if str(path).startswith("/proc/self/fd"):
            raise FileNotFoundError(errno.ENOENT, "no /proc")
        return real(path, **keywords)

    monkeypatch.setattr(os, "readlink", readlink)
    await LocalBackend(root).write(f"{root}/f", b"x")

    assert (root / "f").read_bytes() == b"x"


async def test_a_scope_of_a_scope_only_narrows(root, opener):
    outside = root.parent / "outside"
    outside.mkdir()
    (root / "link").symlink_to(outside)
    (root / "in").symlink_to("real")
    for inner in ("link", "link/deep"):
        backend = LocalBackend(root / inner, beneath=root, opener=opener)
        for operation in (backend.write("f", b"x"), backend.ls()):
            with pytest.raises(e.PathEscapes):
                await operation
    with pytest.raises(e.PathEscapes):
        await LocalBackend(outside, beneath=root, opener=opener).ls()
    good = LocalBackend(root / "a" / "b", beneath=root, opener=opener)
    with pytest.raises(e.NotFound):
        await good.ls()
    await good.write("f", b"x")
    with pytest.raises(e.PathEscapes):
        await good.read("../../link", encoding=None)

    assert (root / "a" / "b" / "f").read_bytes() == b"x"
    assert list(outside.iterdir()) == []


# ---------------------------------------------------------------- writing


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files to any group")
async def test_the_group_of_a_file_survives_in_a_directory_that_gives_files_its_own(root, local):
    os.chown(root, -1, 12345)
    root.chmod(0o2775)
    names = ("written", "uploaded", "batched", "edited")
    for name in names:
        (root / name).write_bytes(b"old")
        os.chown(root / name, -1, os.getegid())
        (root / name).chmod(0o640)
    await local.write("written", b"new")
    await local.upload([("uploaded", b"new"), ("new", b"new")])
    async with local.batch() as batch:
        await batch.write("batched", b"new")
    await local.edit("edited", "old", "new")

    for name in names:
        status = (root / name).stat()
        assert (0o640, os.getegid()) == (stat.S_IMODE(status.st_mode), status.st_gid)
        assert b"new" == (root / name).read_bytes()
    assert 12345 == (root / "new").stat().st_gid


async def test_mode_and_owner_survive(root, local):
    path = root / "f"
    path.write_bytes(b"old")
    path.chmod(0o751)
    if os.geteuid() == 0:
        os.chown(path, 12345, 54321)
    before = path.stat()
    await local.write("f", b"new")
    await local.edit("f", b"new", b"newer")
    await local.copy("f", "g")
    after = path.stat()

    assert stat.S_IMODE(after.st_mode) == 0o751
    assert (after.st_uid, after.st_gid) == (before.st_uid, before.st_gid)
    assert stat.S_IMODE((root / "g").stat().st_mode) == 0o751


async def test_a_new_file_has_the_mode_of_the_umask(root, local):
    old = os.umask(0o027)
    try:
        await local.write("f", b"")
        await local.append("g", b"")
    finally:
        os.umask(old)

    assert [stat.S_IMODE((root / each).stat().st_mode) for each in "fg"] == [0o640, 0o640]


async def test_a_link_inside_is_written_through_and_stays(root, local):
    await local.write("d/target", b"old")
    (root / "l").symlink_to("d/target")
    (root / "new").symlink_to("d/made")
    await local.write("l", b"new")
    await local.append("l", b"er")
    await local.edit("l", b"newer", b"newest")
    await local.write("new", b"made")

    assert (root / "l").is_symlink()
    assert (root / "d" / "target").read_bytes() == b"newest"
    assert (root / "d" / "made").read_bytes() == b"made"


READER = """
import pathlib, sys
path, seen, torn = pathlib.Path(sys.argv[1]), set(), 0
print("reading", flush=True)
while True:
    content = path.read_bytes()
    if content == b"stop":
        break
    seen.add(content[:1])
    torn += len(content) != 5000 or len(set(content)) != 1
print(torn, len(seen))
"""


async def test_a_reader_never_sees_half_of_a_write(root, local):
    contents = [bytes([number]) * 5000 for number in range(256)]
    await local.write("f", contents[0])
    with subprocess.Popen(  # another process, which the writer does not hold up
        [sys.executable, "-c", READER, str(root / "f")], stdout=subprocess.PIPE, text=True
    ) as reader:
        assert reader.stdout.readline() == "reading\n"
        for number in range(10_000):
            await local.write("f", contents[number % 256])
        await local.write("f", b"stop")
        torn, seen = map(int, (await trio.to_thread.run_sync(reader.stdout.read)).split())

    assert torn == 0
    assert seen > 1
    assert leftovers(root) == []


@pytest.mark.parametrize("attempt", range(12))
async def test_a_cancelled_write_leaves_the_old_or_the_new(root, local, attempt):
    old, new = b"o" * 1000, b"n" * (24 << 20)
    await local.write("f", old)
    with trio.move_on_after(0.0005 * attempt):
        await local.write("f", new, durable=attempt % 2 == 0)
    content = await local.read("f", encoding=None)

    assert content in {old, new}
    assert leftovers(root) == []


@pytest.mark.parametrize("attempt", range(8))
async def test_a_cancelled_copy_leaves_nothing_or_all(root, local, attempt):
    for number in range(300):
        (root / f"tree/{number % 10}").mkdir(parents=True, exist_ok=True)
        (root / f"tree/{number % 10}/{number}").write_bytes(b"x" * 2000)
    with trio.move_on_after(0.002 * attempt):
        await local.copy("tree", "copy")
    found = len((await local.glob("copy/*/*")).paths)

    assert found in {0, 300}
    assert leftovers(root) == []


async def test_a_cancelled_removal_leaves_a_tree_that_can_be_removed(root, local):
    for number in range(300):
        await local.write(f"tree/{number % 10}/{number}", b"")
    with trio.move_on_after(0.001):
        await local.remove("tree", recursive=True)
    await local.remove("tree", recursive=True, missing_ok=True)

    assert not await local.exists("tree")


async def test_appends_by_many_do_not_mix(root, local):
    async def add(letter):
        for _ in range(50):
            await local.append("log", letter * 99_999 + b"\n")

    async with trio.open_nursery() as nursery:
        for letter in (b"a", b"b", b"c"):
            nursery.start_soon(add, letter)
    lines = (root / "log").read_bytes().splitlines()

    assert len(lines) == 150
    assert all(len(set(each)) == 1 and len(each) == 99_999 for each in lines)


# ---------------------------------------------------------------- special files


@pytest.fixture
def special(root):
    """A FIFO, a socket, a circle of links and, as root, a device."""
    os.mkfifo(root / "fifo")
    with socket.socket(socket.AF_UNIX) as listener, contextlib.chdir(root):
        listener.bind("socket")
    (root / "circle").symlink_to("circle")
    names = ["fifo", "socket"]
    with contextlib.suppress(PermissionError):
        os.mknod(root / "device", stat.S_IFCHR | 0o666, os.makedev(1, 5))  # /dev/zero
        names.append("device")
    return names


async def test_special_files_never_block(root, local, special):
    with trio.fail_after(10):
        for name in special:
            (root / f"to-{name}").symlink_to(name)
            for path in (name, f"to-{name}"):
                for operation in (
                    lambda path=path: local.read(path),
                    lambda path=path: local.write(path, b"x"),
                    lambda path=path: local.append(path, b"x"),
                    lambda path=path: local.edit(path, b"a", b"b"),
                    lambda path=path: local.ls(path),
                    lambda path=path: local.grep("x", path),
                    lambda path=path: local.exec("true", cwd=path),
                ):
                    with pytest.raises(e.WrongType):
                        await operation()
                assert (await local.stat(path)).type == "other"
            with pytest.raises(e.WrongType):
                await local.copy(name, "copied")
            with pytest.raises(e.WrongType):
                await local.copy(name, "copied", overwrite=True)
        assert (await local.grep("x")).matches == ()
        assert {each.type for each in (await local.ls()).entries} == {"other", "link"}
        for name in special:
            await local.move(name, f"moved-{name}")
            await local.remove(f"moved-{name}")


async def test_a_fifo_with_somebody_at_its_end(root, local, special):
    reader = os.open(root / "fifo", os.O_RDONLY | os.O_NONBLOCK)
    writer = os.open(root / "fifo", os.O_WRONLY)
    os.write(writer, b"for somebody else")
    with trio.fail_after(5):
        for operation in (local.read("fifo"), local.append("fifo", b"x")):
            with pytest.raises(e.WrongType):
                await operation

    assert os.read(reader, 100) == b"for somebody else"
    os.close(reader)
    os.close(writer)


async def test_a_tree_with_a_special_file_is_not_copied_by_half(root, local, special):
    (root / "tree").mkdir()
    (root / "tree" / "f").write_bytes(b"x")
    (root / "fifo").rename(root / "tree" / "fifo")
    with pytest.raises(e.WrongType):
        await local.copy("tree", "copied")

    assert not (root / "copied").exists()
    assert leftovers(root) == []


async def test_links_are_listed_copied_and_removed_as_links(root, local):
    outside = root.parent / "kept"
    outside.mkdir()
    (outside / "f").write_bytes(b"kept")
    (root / "tree").mkdir()
    (root / "tree" / "out").symlink_to(outside)
    (root / "tree" / "up").symlink_to("../..")
    entries = {each.name: each for each in (await local.ls("tree")).entries}
    await local.copy("tree", "copied")
    found = await local.glob("**")
    await local.remove("tree", recursive=True)

    assert entries["up"].type == "link"
    assert entries["up"].target == "../.."
    assert found.paths == tuple(
        f"{top}{rest}" for top in ("copied", "tree") for rest in ("", "/out", "/up")
    )
    assert os.readlink(root / "copied" / "out") == str(outside)
    assert (outside / "f").read_bytes() == b"kept"


async def test_trees_deeper_than_descriptors_and_paths_reach(root, local):
    path = "/".join("d" * 90 for _ in range(60))  # 5,459 bytes: more than PATH_MAX
    await local.write(f"top/{path}/f", b"deep")
    deep = "/".join(["x"] * 1100)  # more than the usual 1,024 descriptors
    await local.mkdir(f"top/{deep}")
    await local.copy("top", "copied")
    assert await local.read(f"copied/{path}/f", encoding=None) == b"deep"
    assert (await local.glob("**/f")).paths == (f"copied/{path}/f", f"top/{path}/f")
    await local.remove("top", recursive=True)
    await local.remove("copied", recursive=True)

    assert (await local.ls()).entries == ()


async def test_a_time_that_no_calendar_has(root, local):
    (root / "f").write_bytes(b"")
    try:
        os.utime(root / "f", (2**40, 2**40))
    except OverflowError:
        pytest.skip("this file system keeps no such times")

    assert (await local.stat("f")).modified.year in {1970, 2446}


# ---------------------------------------------------------------- refusals of the system


def as_nobody(body):
    """Run `body` in a thread without root's rights; Linux keeps a user for each thread."""
    if os.geteuid() != 0:
        trio.run(body)
        return
    libc, failed = ctypes.CDLL(None, use_errno=True), []

    def run():
        try:
            for number in (119, 117):  # setresgid, setresuid on x86-64: this thread only
                assert libc.syscall(number, 65534, 65534, 65534) == 0
            trio.run(body)
        except BaseException as error:  # noqa: BLE001 - raised again in the test
            failed.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if failed:
        raise failed[0]


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="system calls by x86-64's numbers")
def test_what_the_system_refuses_is_permission_denied(root, opener):
    backend = LocalBackend(root, opener=opener)
    (root / "ro").mkdir()
    (root / "ro" / "f").write_bytes(b"f")
    (root / "mine").mkdir(mode=0o777)
    (root / "mine").chmod(0o777)
    (root / "mine" / "protected").write_bytes(b"p")
    (root / "mine" / "protected").chmod(0o444)
    (root / "mine" / "secret").write_bytes(b"s")
    (root / "mine" / "secret").chmod(0)
    (root / "mine" / "shut").mkdir(mode=0)
    (root / "ro").chmod(0o555)
    root.chmod(0o555)

    async def body():
        for operation in (
            lambda: backend.write("new", b""),
            lambda: backend.write("ro/f", b"x"),
            lambda: backend.append("ro/g", b"x"),
            lambda: backend.mkdir("ro/d"),
            lambda: backend.remove("ro/f"),
            lambda: backend.move("ro/f", "mine/f"),
            lambda: backend.copy("ro/f", "ro/g"),
            lambda: backend.write("mine/protected", b"x"),
            lambda: backend.append("mine/protected", b"x"),
            lambda: backend.edit("mine/protected", b"p", b"x"),
            lambda: backend.read("mine/secret"),
            lambda: backend.ls("mine/shut"),
        ):
            with pytest.raises(e.PermissionDenied):
                await operation()
        await backend.write("mine/new", b"x")
        await backend.copy("ro/f", "mine/f")
        assert await backend.read("mine/f", encoding=None) == b"f"
        found = await backend.glob("**")  # what may not be read is left out
        assert "mine/shut" in found.paths

    with contextlib.ExitStack() as stack:
        stack.callback(root.chmod, 0o755)
        stack.callback((root / "ro").chmod, 0o755)
        stack.callback((root / "mine" / "shut").chmod, 0o755)

        async def opening():
            await backend.exists(".")

        trio.run(opening)
        as_nobody(body)
    assert leftovers(root) == []


async def test_a_full_disk_leaves_what_was_there(root, local, small_disk):
    await local.write("disk/f", b"old")
    await local.write("large", b"x" * (1 << 20))
    await local.write("tree/large", b"x" * (1 << 20))
    for operation in (
        lambda: local.write("disk/f", b"x" * (1 << 20)),
        lambda: local.append("disk/f", b"x" * (1 << 20)),
        lambda: local.copy("large", "disk/copy"),
        lambda: local.copy("tree", "disk/copy"),
        lambda: local.move("large", "disk/f", overwrite=True),
        lambda: local.move("tree", "disk/tree"),
    ):
        with pytest.raises(e.NoSpace):
            await operation()

    assert await local.read("disk/f", encoding=None) == b"old"
    assert os.listdir(small_disk) == ["f"]
    assert await local.exists("tree/large")


async def streamed(backend, path, mode):
    async with backend.open_stream(path, mode) as stream:
        for _ in range(16):
            await stream.send(b"x" * (1 << 16))


async def test_edits_uploads_and_streams_on_a_full_disk_leave_what_was_there(
    root, local, small_disk
):
    await local.write("disk/f", b"old")
    large = b"x" * (1 << 20)
    line = m.LineChange(first=1, first_hash=line_hash(b"old"), text=large)
    for operation in (
        lambda: local.edit("disk/f", b"old", large),
        lambda: local.edit_lines("disk/f", [line]),
        lambda: local.write("disk/f", large, durable=True),
        lambda: streamed(local, "disk/f", "wb"),
        lambda: streamed(local, "disk/new", "wb"),
    ):
        with pytest.raises(e.NoSpace) as full:
            await operation()
        assert full.value.hint
    stored = await local.upload([("disk/f", large), ("disk/small", b"small"), ("disk/g", large)])

    assert [each.error and each.error.kind for each in stored] == ["NoSpace", None, "NoSpace"]
    assert await local.read("disk/f", encoding=None) == b"old"
    assert sorted(os.listdir(small_disk)) == ["f", "small"]
    assert not local.holds()
    with pytest.raises(e.NoSpace):
        await streamed(local, "disk/log", "ab")
    size = (await local.stat("disk/log")).size
    assert size > 0
    assert size % (1 << 16) == 0  # a piece is appended whole or not at all


async def test_a_move_to_another_file_system_within_the_scope(root, local, small_disk):
    await local.write("tree/sub/f", b"f")
    (root / "tree" / "l").symlink_to("sub/f")
    await local.move("tree", "disk/moved")
    await local.write("f", b"new")
    with pytest.raises(e.AlreadyExists):
        await local.move("f", "disk/moved")
    await local.move("f", "disk/moved/sub/f", overwrite=True)

    assert await local.read("disk/moved/l", encoding=None) == b"new"
    assert not (root / "tree").exists()
    assert not (root / "f").exists()
    with pytest.raises(e.PermissionDenied):
        await local.remove("disk", recursive=True)


async def test_who_comes_between_looking_and_renaming_is_not_replaced(root, local, monkeypatch):
    monkeypatch.setattr(trees, "status_of", lambda *_: None)  # it was not there when we looked
    await local.write("a", b"a")
    await local.write("b", b"b")
    for operation in (local.move("a", "b"), local.copy("a", "b")):
        with pytest.raises(e.AlreadyExists):
            await operation

    assert (root / "b").read_bytes() == b"b"
    assert sorted(os.listdir(root)) == ["a", "b"]


# ---------------------------------------------------------------- older systems


@pytest.mark.parametrize("code", [errno.ENOSYS, errno.EINVAL])
async def test_without_renameat2_nothing_is_replaced_either(root, local, monkeypatch, code):
    def refused(*_):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(trees, "renameat2", refused)
    await local.write("a", b"a")
    await local.write("b", b"b")
    with pytest.raises(e.AlreadyExists):
        await local.move("a", "b")
    await local.move("a", "c")

    assert await local.read("c", encoding=None) == b"a"


async def test_without_copy_file_range_content_is_copied(root, local, monkeypatch):
    def refused(*_):
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))

    monkeypatch.setattr(os, "copy_file_range", refused)
    await local.write("a", b"abc" * 1_000_000)
    await local.copy("a", "b")

    assert await local.read("b", encoding=None) == b"abc" * 1_000_000


@pytest.mark.parametrize("call", ["copy_file_range", "fsync"])
async def test_an_error_in_the_middle_leaves_nothing(root, local, monkeypatch, call):
    def broken(*_):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, call, broken)
    await local.write("a", b"abc")
    operation = local.copy("a", "b") if call != "fsync" else local.write("b", b"", durable=True)
    with pytest.raises(e.OperationError, match="Input/output error") as caught:
        await operation

    assert type(caught.value) is e.OperationError
    assert os.listdir(root) == ["a"]


async def test_what_vanishes_in_the_middle_is_left_out(root, local, monkeypatch):
    for number in range(5):
        await local.write(f"f{number}", b"")
    (root / "l").symlink_to("f1")
    real_stat, real_readlink = os.stat, os.readlink

    def vanishing(path, **keywords):
        if path == "f3":
            raise FileNotFoundError(errno.ENOENT, "gone")
        return real_stat(path, **keywords)

    def replaced(path, **keywords):
        if path == "l":
            raise OSError(errno.EINVAL, "no link any more")
        return real_readlink(path, **keywords)

    monkeypatch.setattr(os, "stat", vanishing)
    monkeypatch.setattr(os, "readlink", replaced)
    names = [each.name for each in (await local.ls()).entries]

    assert names == ["f0", "f1", "f2", "f4"]


async def test_a_tree_that_changes_while_it_is_searched(root, local):
    stop = threading.Event()

    def change():
        while not stop.is_set():
            (root / "d" / "e").mkdir(parents=True, exist_ok=True)
            (root / "d" / "e" / "f").write_bytes(b"needle\n")
            (root / "d" / "e" / "f").unlink()
            (root / "d" / "e").rmdir()

    (root / "d").mkdir()
    (root / "kept").write_bytes(b"needle\n")
    changer = threading.Thread(target=change)
    changer.start()
    try:
        for _ in range(30):
            assert "kept" in (await local.glob("**")).paths
            assert (await local.ls("d")).omitted == 0
            found = (await local.grep("needle")).matches
            assert "kept" in {each.path for each in found}
            assert {each.text for each in found} == {"needle"}
    finally:
        stop.set()
        await trio.to_thread.run_sync(changer.join)


async def test_half_of_an_append_is_taken_back(root, local, monkeypatch):
    await local.write("f", b"old")
    real = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: real(fd, data[:2]))
    with pytest.raises(e.NoSpace):
        await local.append("f", b"12345")

    assert (root / "f").read_bytes() == b"old"


# ---------------------------------------------------------------- exec


async def test_exec_runs_in_the_scope_with_its_environment(root, opener):
    backend = LocalBackend(root, env={"A": "scope", "B": "scope"}, opener=opener)
    await backend.mkdir("sub")
    done = await backend.exec(
        'pwd -P; echo "$A $B $SECRET_TOKEN"; cat', cwd="sub", env={"B": "op"}, input=b"in"
    )
    argv = await backend.exec(("printf", "%s|", "a b", "$A"))
    await backend.aclose()

    assert done.stdout == f"{root}/sub\nscope op \nin"
    assert argv.stdout == "a b|$A|"


async def test_exec_makes_the_root_and_uses_the_host_it_is_given(root):
    host = ProcessHost()
    backend = LocalBackend(root / "new", host=host)
    assert (await backend.exec("pwd -P")).stdout == f"{root}/new\n"
    await backend.aclose()
    assert (await host.run(["true"], cwd="/", env={})).exit_code == 0  # it is not ours to close
    await host.aclose()


async def test_exec_of_what_cannot_be_run(local):
    for command in (("no-such-program-anywhere",), (), ("nul\0",)):
        with pytest.raises(e.ExecFailed):
            await local.exec(command)


# ---------------------------------------------------------------- threads


async def test_long_work_has_a_limiter_of_its_own(root, local):
    await local.write("f", b"x" * (SMALL + 1))

    assert threads.file_threads() is threads.file_threads()
    assert threads.file_threads().total_tokens == threads.THREADS
    assert threads.file_threads() is not trio.to_thread.current_default_thread_limiter()


async def test_short_work_is_done_without_a_thread(root, local, monkeypatch):
    def no_thread(*_, **__):
        raise AssertionError("a thread for short work")

    monkeypatch.setattr(trio.to_thread, "run_sync", no_thread)
    await local.write("f", b"x" * SMALL)
    await local.append("f", b"")
    assert len(await local.read("f", encoding=None)) == SMALL
    await local.write("f", b"x")
    await local.edit("f", b"x", b"y")
    await local.copy("f", "g")
    await local.move("g", "h")
    await local.ls()
    await local.stat("h")
    await local.remove("h")


def test_breathing_outside_of_a_worker_thread_does_nothing():
    threads.breathe()


def test_moves_look_upwards_no_further_than_the_file_system(root):
    """A directory that was moved out of the scope meanwhile is not in anything of the scope."""
    top = os.open("/", os.O_PATH)
    here = os.open(root, os.O_PATH)
    missing = os.stat_result((0o40755, -1, -1, 1, 0, 0, 0, 0, 0, 0))
    try:
        assert trees.lies_in(here, os.stat(root.parent), top)
        assert not trees.lies_in(here, missing, here)
        assert not trees.lies_in(top, missing, here)
    finally:
        os.close(top)
        os.close(here)


def test_a_regular_file_is_required(root):
    with pytest.raises(OSError) as caught:
        files.require_regular(os.stat(root))

    assert caught.value.errno == errno.EISDIR


async def test_a_directory_that_cannot_be_opened_for_another_reason_is_an_error(
    root, local, monkeypatch
):
    await local.write("d/f", b"")
    real = os.open

    def broken(path, flags, *args, **keywords):
        if path == "." and flags & os.O_NONBLOCK:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return real(path, flags, *args, **keywords)

    monkeypatch.setattr(os, "open", broken)
    with pytest.raises(e.OperationError, match="Input/output error"):
        await local.glob("**")


async def test_what_vanishes_before_it_is_removed(root, local):
    directory = os.open(root, os.O_PATH)
    trees.remove_tree(directory, "gone", missing_ok=True)
    with pytest.raises(FileNotFoundError):
        trees.remove_tree(directory, "gone")
    os.close(directory)


async def test_directories_with_many_names(root, local):
    for number in range(600):
        (root / f"many{number:03}").touch()
    assert (await local.ls()).entries[599].name == "many599"
    await local.mkdir("d")
    for number in range(600):
        (root / f"many{number:03}").rename(root / "d" / f"{number}")
    await local.remove("d", recursive=True)

    assert (await local.ls()).entries == ()


async def test_a_file_that_shrinks_while_it_is_read_gives_what_is_left(root):
    (root / "f").write_bytes(b"x" * 10)
    fd = os.open(root / "f", os.O_RDONLY)
    try:
        assert files.read_window(fd, 4, 100) == b"x" * 6
    finally:
        os.close(fd)
