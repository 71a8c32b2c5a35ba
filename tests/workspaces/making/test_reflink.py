"""Trees whose files share their blocks with the base's, on file systems that can do that."""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

import runner
from runner.errors import WorkspaceError
from runner.workspaces import mounts, probing
from runner.workspaces.making import make

PACKAGES = {"btrfs": "btrfs-progs", "xfs": "xfsprogs"}
SIZE = 400 << 20  # of a sparse file: what the greater of the two wants at least
MIB = 1 << 20
FIEMAP, SYNC, SHARED = 0xC020660B, 1, 0x2000  # linux/fiemap.h
HEADER, EXTENT = "=QQLLLL", "=QQQ16xL12x"


@pytest.fixture(params=["btrfs", "xfs"])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """A small file system that can share blocks, with a base in it."""
    kind = request.param
    if shutil.which(f"mkfs.{kind}") is None:
        pytest.skip(f"no mkfs.{kind}: apt-get install {PACKAGES[kind]}")
    image, place = tmp_path / "image", tmp_path / "disk"
    place.mkdir()
    image.touch()
    os.truncate(image, SIZE)
    subprocess.run([f"mkfs.{kind}", "-q", image], check=True, stderr=subprocess.DEVNULL)
    done = subprocess.run(["mount", "-o", "loop", image, place], capture_output=True, check=False)
    if done.returncode:
        pytest.skip(f"needs root, loop devices, and {kind} in the kernel: {done.stderr.decode()}")
    try:
        (place / "base/d").mkdir(parents=True)
        (place / "base/d/large").write_bytes(os.urandom(2 * MIB) + b"rest")
        (place / "base/small").write_text("one\n")
        yield place
    finally:
        mounts.unmount(str(place))


def extents(path: Path) -> list[int]:
    """The flags of where a file's blocks are."""
    room = bytearray(struct.pack(HEADER, 0, (1 << 64) - 1, SYNC, 0, 64, 0) + bytes(64 * 56))
    with open(path, "rb") as file:
        fcntl.ioctl(file, FIEMAP, room)
    found = struct.unpack_from(HEADER, room)[3]
    return [struct.unpack_from(EXTENT, room, 32 + 56 * each)[3] for each in range(found)]


def test_its_files_share_their_blocks_until_one_is_written(disk: Path) -> None:
    base, tree = disk / "base", disk / "workspaces/one/tree"
    with open(base / "sparse", "wb") as file:
        file.truncate(10 << 30)
        file.seek(5 << 30)
        file.write(b"island")
    os.link(base / "small", base / "d/second")
    os.chmod(base / "small", 0o640)
    (base / "link").symlink_to("/nowhere")
    os.mkfifo(base / "fifo")
    made = make(str(base), str(tree.parent), way="reflink")

    assert (made.way, made.why) == (
        "reflink",
        "reflink: files share their blocks until one is written",
    )
    assert sorted(os.listdir(tree)) == ["d", "fifo", "link", "small", "sparse"]
    for name in ("d/large", "sparse"):
        assert extents(tree / name)
        assert all(flags & SHARED for flags in extents(tree / name))
    assert os.stat(tree / "sparse").st_blocks < 1000
    assert os.stat(tree / "small").st_ino == os.stat(tree / "d/second").st_ino
    assert stat.S_IMODE(os.stat(tree / "small").st_mode) == 0o640

    before = (base / "d/large").read_bytes()
    assert (tree / "d/large").read_bytes() == before
    with open(tree / "d/large", "r+b") as file:
        file.write(b"x" * 4096)
        os.fsync(file.fileno())
    assert (base / "d/large").read_bytes() == before
    assert (tree / "d/large").read_bytes() == b"x" * 4096 + before[4096:]
    assert not all(flags & SHARED for flags in extents(tree / "d/large"))


def test_it_is_the_best_way_where_no_overlay_can_be_mounted(
    disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(22, "Invalid argument")

    monkeypatch.setattr(probing, "_known", {})
    monkeypatch.setattr(probing.mounts, "mount", refuse)
    made = make(str(disk / "base"), str(disk / "workspaces/one"))

    assert made.way == "reflink"
    assert made.why.startswith("overlay: it cannot be mounted here: Invalid argument (keep")


async def test_a_workspace_of_shared_blocks_is_as_any_other(disk: Path) -> None:
    async with runner.open_runner(state=disk / "state") as r:
        project = r.project(disk / "base")
        ws = await project.create("one", way="reflink")
        taken = await ws.snapshots.create("s")
        await ws.append("d/large", "more")
        await ws.write("new", "x")
        found = [str(each) for each in (await ws.status()).changes]
        await ws.snapshots.restore("s", force=True)
        captured = await ws.snapshots.create("t")
        await project.delete("one")

        assert ws.way == "reflink"
        assert found == ["M d/large", "A new"]
        assert captured.root == taken.root
        assert os.stat(disk / "base/d/large").st_size == 2 * MIB + 4


def test_between_two_file_systems_no_block_is_shared(disk: Path, tmp_path: Path) -> None:
    with pytest.raises(WorkspaceError, match="by reflink: files cannot share .*: .*cross-device"):
        make(str(disk / "base"), str(tmp_path / "elsewhere/one"), way="reflink")
    assert os.listdir(tmp_path / "elsewhere") == []


def test_an_overlay_is_mounted_on_it_as_well(disk: Path) -> None:
    assert probing.probe(str(disk / "base"), str(disk / "workspaces"))[0].works
