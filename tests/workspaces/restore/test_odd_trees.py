"""Everything odd that a tree can have, through the handles: made, captured, changed, restored."""

import os
import stat

import pytest

import runner


@pytest.fixture
async def project(tmp_path, odd_before):
    base = tmp_path / "base"
    base.mkdir()
    odd_before(str(base))
    with open(base / "sparse", "wb") as file:
        file.truncate(10 << 30)
        file.seek(5 << 30)
        file.write(b"in the midst")
    async with runner.open_runner(state=tmp_path / "state") as r:
        yield r.project(base)


@pytest.mark.parametrize("way", ["overlay", "copy"])
async def test_a_tree_with_everything_odd_is_there_again_after_everything_was_changed(
    project, seen, odd_change, way
):
    base = seen(project.path)
    ws = await project.create("one", way=way)
    before = seen(ws.path)
    taken = await ws.snapshots.create("first")
    odd_change(ws.path)
    with open(f"{ws.path}/sparse", "r+b") as file:
        file.truncate(6 << 30)
    changed = seen(ws.path)
    undo = await ws.snapshots.restore("first", force=True)
    restored = seen(ws.path)
    await ws.snapshots.restore(undo.name)

    assert base == before == restored
    assert changed == seen(ws.path)
    assert base == seen(project.path)
    assert () == taken.skipped == taken.unstable
    assert os.stat(f"{ws.path}/sparse").st_blocks < 4096  # of 512 bytes
    assert (await project.check()).problems == ()


@pytest.mark.parametrize("way", ["overlay", "copy"])
async def test_what_no_snapshot_can_have_is_said_by_name(project, way):
    ws = await project.create("one", way=way)
    os.mknod(f"{ws.path}/socket", stat.S_IFSOCK | 0o600)
    await ws.write("x", "1")
    taken = await ws.snapshots.create("first")
    await ws.write("x", "2")
    await ws.snapshots.restore("first", force=True)

    assert [("socket", "a socket")] == list(taken.skipped)
    assert "1" == await ws.read("x")


@pytest.mark.parametrize("way", ["overlay", "copy"])
async def test_a_tree_with_everything_odd_is_the_same_in_a_workspace_made_of_its_snapshot(
    project, seen, odd_change, way
):
    ws = await project.create("one", way=way)
    odd_change(ws.path)
    await ws.snapshots.create("changed")
    other = await project.create("two", snapshot="one/changed")

    assert seen(ws.path) == seen(other.path)
