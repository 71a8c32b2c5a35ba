"""Streams on local files: what only a disk has, on both ways of containment."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import trio

from runner import errors as e
from runner import messages as m
from runner.backends import open_files
from runner.backends.files import is_temporary
from runner.backends.local import LocalBackend


def names(root):
    return sorted(os.listdir(root))


async def test_mode_and_owner_are_kept_and_links_are_followed(local, root):
    (root / "d").mkdir()
    (root / "d/script").write_text("#!/bin/sh\n")
    (root / "d/script").chmod(0o751)
    (root / "link").symlink_to("d/script")
    if os.geteuid() == 0:
        os.chown(root / "d/script", 1234, 1234)

    async with local.open_stream("link", "wb", encoding="utf-8") as stream:
        await stream.send("#!/bin/bash\n")

    status = (root / "d/script").stat()
    assert status.st_mode & 0o7777 == 0o751
    assert os.geteuid() != 0 or (status.st_uid, status.st_gid) == (1234, 1234)
    assert (root / "link").is_symlink()
    assert (root / "d/script").read_text() == "#!/bin/bash\n"
    assert names(root / "d") == ["script"]


async def test_a_new_file_has_the_mode_of_new_files(local, root):
    async with local.open_stream("f", "wb") as stream:
        await stream.send(b"x")
    (root / "other").touch()

    assert (root / "f").stat().st_mode == (root / "other").stat().st_mode


async def test_what_took_its_place_meanwhile_is_replaced_with_its_own_mode(local, root):
    (root / "f").write_bytes(b"old")
    async with local.open_stream("f", "wb") as stream:
        (root / "f").unlink()
        (root / "f").write_bytes(b"other")
        (root / "f").chmod(0o640)
        await stream.send(b"new")

    assert (root / "f").read_bytes() == b"new"
    assert (root / "f").stat().st_mode & 0o777 == 0o640


async def test_a_directory_that_took_its_place_stays(local, root):
    with pytest.raises(e.WrongType):
        async with local.open_stream("f", "wb") as stream:
            await stream.send(b"new")
            (root / "f").mkdir()

    assert names(root) == ["f"]
    assert not local.holds()


@pytest.mark.parametrize("kind", ["fifo", "socket", "device"])
async def test_what_is_no_file_is_neither_read_nor_replaced(local, root, kind):
    path = root / "odd"
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "socket":
        import socket

        with socket.socket(socket.AF_UNIX) as sock:
            sock.bind(str(path))
    else:
        if os.geteuid() != 0:
            pytest.skip("making a device needs root")
        try:
            os.mknod(path, 0o600 | 0o020000, os.makedev(1, 3))
        except PermissionError:
            pytest.skip("this container lets nobody make devices")
    with trio.fail_after(5):
        for mode in ("rb", "wb", "ab"):
            with pytest.raises(e.WrongType):
                async with local.open_stream("odd", mode):
                    pass
    assert names(root) == ["odd"]


async def test_a_full_disk_is_said_and_the_file_is_as_before(local, small_disk):
    await local.write("disk/f", b"old")
    with pytest.raises(e.NoSpace):
        async with local.open_stream("disk/f", "wb") as stream:
            for _ in range(100):
                await stream.send(b"x" * 100_000)

    assert (small_disk / "f").read_bytes() == b"old"
    assert names(small_disk) == ["f"]


async def test_a_file_that_is_cut_short_while_it_is_read_ends_there(local, root):
    (root / "f").write_bytes(b"0123456789")
    async with local.open_stream("f") as stream:
        assert await stream.receive(4) == b"0123"
        os.truncate(root / "f", 6)
        assert await stream.receive(4) == b"45"
        assert await stream.receive(4) == b""


async def test_a_bounded_number_of_streams_is_open(local, monkeypatch):
    monkeypatch.setattr(open_files, "MOST", 2)
    await local.write("f", b"x")
    async with local.open_stream("f"), local.open_stream("g", "wb"):
        for mode in ("rb", "wb"):
            with pytest.raises(e.OperationError, match="2 streams are open here"):
                async with local.open_stream("f", mode):
                    pass


async def test_closing_the_backend_closes_its_streams(root):
    local = LocalBackend(root)
    await local.write("f", b"x")
    await local.ask(m.OpenReader(path="f"))
    opened = await local.ask(m.OpenWriter(path="f"))
    await local.ask(m.WriteStream(id=opened.id, data=b"y"))
    assert any(map(is_temporary, names(root)))
    before = len(os.listdir("/proc/self/fd"))

    await local.aclose()

    assert names(root) == ["f"]
    assert len(os.listdir("/proc/self/fd")) <= before - 3
    with pytest.raises(e.NotFound):
        await local.ask(m.CommitStream(id=opened.id))


async def test_pieces_of_many_writers_are_not_mixed(local, root):
    async with local.open_stream("f", "wb") as stream, trio.open_nursery() as nursery:
        for number in range(8):
            nursery.start_soon(stream.send, b"%d" % number * 500_000)

    content = (root / "f").read_bytes()
    assert len(content) == 4_000_000
    assert sorted(content[at : at + 500_000] for at in range(0, 4_000_000, 500_000)) == [
        b"%d" % number * 500_000 for number in range(8)
    ]


@pytest.mark.parametrize("attempt", range(10))
async def test_a_write_that_is_cancelled_leaves_nothing(local, root, attempt):
    await local.write("f", b"old")
    with trio.move_on_after(attempt * 0.0004):
        async with local.open_stream("f", "wb") as stream:
            for _ in range(50):
                await stream.send(b"x" * 300_000)
            await trio.sleep_forever()

    assert (root / "f").read_bytes() == b"old"
    assert names(root) == ["f"]
    assert not local.holds()


async def test_a_large_file_passes_in_little_memory(local, root):
    with open(root / "large", "wb") as file:
        file.truncate(300_000_000)

    def resident():
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    before = most = resident()
    async with local.open_stream("large") as source, local.open_stream("copy", "wb") as target:
        while piece := await source.receive(1 << 20):
            await target.send(piece)
            most = max(most, resident())

    assert (root / "copy").stat().st_size == 300_000_000
    assert most - before < 32 << 20


VICTIM = """
import sys, trio
from runner.backends.local import LocalBackend

async def main():
    local = LocalBackend(sys.argv[1])
    async with local.open_stream("f", "wb") as stream:
        await stream.send(b"new" * 100_000)
        print("up", flush=True)
        await trio.sleep_forever()

trio.run(main)
"""


async def test_a_process_that_is_killed_leaves_the_file_as_before(local, root):
    await local.write("f", b"old")
    with subprocess.Popen(
        [sys.executable, "-c", VICTIM, str(root)], stdout=subprocess.PIPE
    ) as victim:
        assert victim.stdout is not None
        await trio.to_thread.run_sync(victim.stdout.readline)
        victim.kill()

    assert await local.read("f") == "old"
    assert len(names(root)) == 2
    assert [each.name for each in (await local.ls()).entries] == ["f"]
    await local.write("f", b"newer")  # the next write after a listing removes it
    assert names(root) == ["f"]
