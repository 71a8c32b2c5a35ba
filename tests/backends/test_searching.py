"""Searches and listings of local trees where there is more than files and directories."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import subprocess
import tempfile
import threading
import time
import traceback
import warnings
from pathlib import Path

import pytest
import trio

from runner import errors as e
from runner.backends import files, leftovers
from runner.backends.local import LocalBackend
from runner.backends.local.woods import LocalWoods


@pytest.fixture
def odd(root):
    """A tree with all that is neither file nor directory, and names that are not UTF-8."""
    (root / "dir").mkdir()
    (root / "dir" / "file.py").write_text("needle\n")
    os.mkfifo(root / "dir" / "pipe.py")
    (root / "dir" / "loop.py").symlink_to("loop.py")
    (root / "dir" / "up").symlink_to("..")
    (root / "dir" / "out").symlink_to("/")
    with open(os.fsencode(root) + b"/dir/\xff\xfe.py", "w") as file:
        file.write("needle\n")
    return root


async def test_nothing_odd_holds_a_search_up(odd, local):
    with trio.fail_after(30):
        found = await local.glob("**/*.py")
        keys = await local.list_keys("dir/")
        tree = await local.tree(hidden=True, depth=None)
        lines = await local.grep("needle")
        await local.grep("needle", output="files", gitignore=True)

    name = "dir/\udcff\udcfe.py"
    assert found.paths == ("dir/file.py", "dir/loop.py", "dir/pipe.py", name)
    assert keys.paths == ("dir/file.py", name)
    assert [each.path for each in lines.matches] == ["dir/file.py", name]
    assert {each.name: (each.type, each.target) for each in tree.entries} == {
        "dir": ("directory", None),
        "dir/file.py": ("file", None),
        "dir/loop.py": ("link", "loop.py"),
        "dir/out": ("link", "/"),
        "dir/pipe.py": ("other", None),
        "dir/up": ("link", ".."),
        name: ("file", None),
    }
    assert "└── \udcff\udcfe.py\n" in tree.text
    assert "├── up -> ..\n" in tree.text


async def test_no_search_keeps_a_file_open(odd, local):
    (odd / ".gitignore").write_text("x/\n")
    for number in range(5):
        (odd / "dir" / f"d{number}" / "x").mkdir(parents=True)
        (odd / "dir" / f"d{number}" / "f").write_text("needle\n")

    async def every_search():
        await local.grep("needle", gitignore=True, hidden=True)
        with pytest.raises(e.InvalidPattern):
            await local.grep("(", gitignore=True)
        await local.glob("**/*", "dir", gitignore=True)
        await local.tree(gitignore=True, depth=None)
        await local.list_keys("dir/d")
        await local.ls("dir")
        await local.download(["dir/d0/f", "dir/loop.py", "dir/pipe.py"])
        for path in ("dir/d0/f", "gone/x", "dir/loop.py", "dir/out"):
            with contextlib.suppress(e.OperationError):
                await local.realpath(path)
            with contextlib.suppress(e.OperationError):
                await local.read_lines(path)

    await every_search()
    before = sorted(os.listdir("/proc/self/fd"))
    for _ in range(3):
        await every_search()
    assert len(os.listdir("/proc/self/fd")) == len(before)


async def test_what_vanishes_in_the_middle_is_left_out(root, local):
    for number in range(50):
        (root / f"d{number}").mkdir()
        for each in range(20):
            (root / f"d{number}" / f"f{each}").write_text("needle\n")
    stop = threading.Event()

    def churn():
        while not stop.is_set():
            for number in range(50):
                os.rename(root / f"d{number}", root / f"e{number}")
                os.unlink(root / f"e{number}" / "f0")
                (root / f"e{number}" / "f0").write_text("needle\n")
                os.rename(root / f"e{number}", root / f"d{number}")

    thread = threading.Thread(target=churn)
    thread.start()
    try:
        with trio.fail_after(60):
            for _ in range(15):
                assert len((await local.glob("**/*", limit=10**6)).paths) <= 2200
                assert len((await local.tree(depth=None, limit=10**6)).entries) <= 2200
                assert len((await local.list_keys()).paths) <= 2000
                found = await local.grep("needle")
                assert {each.text for each in found.matches} <= {"needle"}
                await local.ls("d7") if (root / "d7").exists() else None
    except e.NotFound:
        pass  # d7 itself, between the two
    finally:
        stop.set()
        thread.join()


async def look_at_what_may_not_be_read(root):
    backend = LocalBackend(root)
    assert (await backend.glob("**/*")).paths == ("closed", "open", "open/f", "open/g")
    assert (await backend.glob("*", "closed")).paths == ()
    assert (await backend.list_keys()).paths == ("open/f", "open/g")
    assert [each.name for each in (await backend.tree()).entries] == [
        "closed", "open", "open/f", "open/g",
    ]  # fmt: skip
    for operation in (backend.ls("closed"), backend.read_lines("open/g"), backend.digest("open/g")):
        with pytest.raises(e.PermissionDenied):
            await operation


def test_a_directory_that_may_not_be_read_is_empty_to_a_search():
    if os.geteuid() != 0:
        pytest.skip("only root can become somebody else")
    with tempfile.TemporaryDirectory() as top:  # everybody can get there
        prepare_and_look(Path(top))


def prepare_and_look(root):
    for path in ("open/f", "open/g", "closed/f"):
        (root / path).parent.mkdir(exist_ok=True)
        (root / path).write_text("needle\n")
    (root / "closed").chmod(0)
    (root / "open" / "g").chmod(0)
    root.chmod(0o755)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of threads that the child has not; it needs none
        child = os.fork()
    if child == 0:  # pragma: no cover - somebody else, who writes no report
        code = 1
        try:
            os.setgid(65534)
            os.setuid(65534)
            trio.run(look_at_what_may_not_be_read, root)
            code = 0
        except BaseException:  # noqa: BLE001 - told, and then nothing goes on
            traceback.print_exc()
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


async def test_an_error_that_is_none_of_these_is_told(root, local, monkeypatch):
    (root / "d").mkdir()
    (root / ".gitignore").write_text("x\n")

    def broken(*_, **__):
        raise OSError(errno.EIO, "broken")

    await local.stat(".")
    with LocalWoods(os.open(root, os.O_PATH)) as woods:
        with monkeypatch.context() as patch:
            patch.setattr(os, "open", broken)
            for look in (
                lambda: woods.inside(("d",)),
                lambda: woods.content((".gitignore",), 99),
                lambda: woods.entry("d/x"),
            ):
                with pytest.raises(OSError, match="broken"):
                    look()
        assert woods.content((".gitignore",), 1) == b""
        assert woods.content(("d",), 99) == b""
        assert woods.entry("gone/x") is None
        assert woods.inside(("gone",)).files == []


# ---------------------------------------------------------------- what was left behind


def _name(pid, incarnation=None):
    return f"{files.TEMPORARY}{pid:x}-{incarnation or files._incarnation()}-{secrets.token_hex(6)}"


@pytest.fixture
def dead():
    """The id of a process that is no more."""
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


async def test_temporary_names_are_no_part_of_a_scope(root, local, dead):
    names = [_name(dead), _name(os.getpid()), _name(1, "0" * 8)]
    for name in names:
        (root / name).write_text("needle\n")
    (root / ".runner-tmp-notes").write_text("needle\n")

    assert [each.name for each in (await local.ls()).entries] == [".runner-tmp-notes"]
    assert (await local.glob("**/*", hidden=True)).paths == (".runner-tmp-notes",)
    assert (await local.list_keys()).paths == (".runner-tmp-notes",)
    assert [each.name for each in (await local.tree(hidden=True)).entries] == [".runner-tmp-notes"]
    found = await local.grep("needle", hidden=True)
    assert [each.path for each in found.matches] == [".runner-tmp-notes"]


@pytest.mark.parametrize("many", [0, 300])
async def test_what_a_dead_process_left_is_removed_by_the_next_write(root, local, dead, many):
    gone, kept = _name(dead), [_name(os.getpid()), _name(dead, "0" * 8), _name(1)]
    for name in (gone, *kept):
        (root / name).write_text("")
    for number in range(many):
        (root / f"f{number}").touch()
    await local.write("before", "x")
    assert (root / gone).exists()  # nobody has looked yet
    await local.ls()
    assert (root / gone).exists()  # a listing changes nothing
    await local.write("after", "x")

    assert not (root / gone).exists()
    assert all((root / name).exists() for name in kept)
    assert len(local._place.leftovers) == 0


def test_a_name_is_left_behind_only_if_that_is_certain(dead):
    assert files.is_left_behind(_name(dead))
    assert files.is_temporary(files.temporary_name())
    for name in (
        files.temporary_name(),
        _name(1),
        _name(dead, "0" * 8),
        _name(0),
        "x",
        f"{_name(dead)}x",
    ):
        assert not files.is_left_behind(name)


def test_only_so_many_directories_are_remembered(root, monkeypatch):
    monkeypatch.setattr(leftovers, "MOST_DIRECTORIES", 2)
    noted = leftovers.Leftovers()
    for number in range(4):
        (root / str(number)).mkdir()
        fd = os.open(root / str(number), os.O_RDONLY)
        noted.note(fd, ["x"])
        noted.note(fd, [])
        os.close(fd)

    assert len(noted) == 2


# ---------------------------------------------------------------- very many


def test_a_million_entries_in_a_directory(unmeasured):
    place = "/dev/shm" if os.path.isdir("/dev/shm") and os.access("/dev/shm", os.W_OK) else None
    if place is None:
        pytest.skip("no memory file system at /dev/shm: on a disk this takes minutes")
    if os.statvfs(place).f_favail < 1_100_000:
        pytest.skip("no room for a million names in /dev/shm")
    count = 1_000_000
    top = f"{place}/runner-many-{secrets.token_hex(6)}"
    os.mkdir(top)
    try:
        fd = os.open(top, os.O_RDONLY)
        os.mknod("f0000000", dir_fd=fd)
        for number in range(
            1, count
        ):  # names of one file: a million files take twice as long to go
            os.link("f0000000", f"f{number:07}", src_dir_fd=fd, dst_dir_fd=fd)
        os.close(fd)

        async def main():
            backend = LocalBackend(top)
            gaps = []

            async def watch():
                while True:
                    start = time.monotonic()
                    await trio.sleep(0.005)
                    gaps.append(time.monotonic() - start)

            async with trio.open_nursery() as nursery:
                nursery.start_soon(watch)
                with trio.fail_after(100):
                    listing = await backend.ls(limit=5)
                    found = await backend.glob("*5", limit=3)
                    keys = await backend.list_keys("f00000", limit=2)
                with trio.move_on_after(0.05) as cancel_scope:
                    await backend.ls(limit=count)
                nursery.cancel_scope.cancel()
            assert [each.name for each in listing.entries] == [f"f{each:07}" for each in range(5)]
            assert listing.omitted == count - 5
            assert found.paths == ("f0000005", "f0000015", "f0000025")
            assert found.omitted == count // 10 - 3
            assert (keys.paths, keys.omitted) == (("f0000000", "f0000001"), 98)
            assert cancel_scope.cancelled_caught
            assert len(gaps) > 20  # others had their turns meanwhile

        with unmeasured():
            trio.run(main)
    finally:
        subprocess.run(["rm", "-r", top], check=True)


def test_the_example_in_the_readme(capsys):
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    code = readme.partition("<!-- looking -->\n```python\n")[2].partition("```")[0]
    exec(compile(code, "README.md", "exec"), {})

    said = capsys.readouterr().out
    assert said.startswith("4001\tTODO\n4002\tTODO\n 5000 4000 998\n-3\n")
    assert "Match(path='app.py', line=2, text='# TODO: write', before=('import os',)" in said
    assert "FileMatches(path='log/x.log', lines=5000)" in said
    assert "('app.py', 'log')\n.\n├── app.py\n└── log/\n    └── x.log\n ('log/x.log',)\n" in said
    assert "missing None [Errno" not in said
