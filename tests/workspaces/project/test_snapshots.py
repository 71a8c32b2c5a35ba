"""Snapshots of a workspace: taken in order, kept, compared, restored exactly."""

import os

import pytest
import trio
import trio.testing

from runner.errors import (
    ConfigError,
    InvalidName,
    NotFound,
    SnapshotExists,
    SnapshotNotFound,
    UncommittedChanges,
)
from runner.workspaces.comparing import Status


@pytest.fixture
async def ws(project, way):
    return await project.create("one", way=way)


async def test_snapshots_are_listed_shown_and_deleted(project, ws):
    first = await ws.snapshots.create("first", description="why")
    await ws.write("x", "1")
    second = await ws.snapshots.create()

    assert ["first", second.name] == [each.name for each in await ws.snapshots.list()]
    assert first == await ws.snapshots.show("first") == await ws.snapshots.show("one/first")
    assert ("why", "user", ws.id) == (first.description, first.kind, first.workspace)
    assert first.root == second.parent
    with pytest.raises(SnapshotExists, match="workspace 'one'"):
        await ws.snapshots.create("first")
    with pytest.raises(InvalidName):
        await ws.snapshots.create("a/b")
    with pytest.raises(SnapshotNotFound, match="did you mean 'first'"):
        await ws.snapshots.show("fist")
    await ws.snapshots.delete("first")
    with pytest.raises(SnapshotNotFound):
        await ws.snapshots.delete("first")


async def test_a_restore_makes_the_tree_exactly_that_again(ws, said):
    await ws.write("keep", "1")
    await ws.exec(["sh", "-c", "mkdir empty; ln -s nowhere link; chmod 755 keep; mkfifo fifo"])
    await ws.snapshots.create("s")
    await ws.exec(["sh", "-c", "rm -r empty link fifo src; echo 2 > keep; mkdir -p new/dir"])
    undo = await ws.snapshots.restore("s", force=True)
    tree = ws.path

    assert not await ws.diff("s", verify=True)
    assert not os.path.exists(f"{tree}/new")
    assert os.path.isdir(f"{tree}/empty")
    assert "nowhere" == os.readlink(f"{tree}/link")
    assert "1" == await ws.read("keep")
    assert "one\n" == await ws.read("src/a.py")
    assert "undo" == undo.kind
    assert await ws.snapshots.restore("s") is None  # it is that already
    again = await ws.snapshots.restore(undo.name)  # nothing is lost: no force is needed
    assert "2\n" == await ws.read("keep")
    assert "undo" == again.kind


async def test_names_of_one_file_are_so_again_and_the_tree_is_then_what_it_was(ws):
    await ws.exec(["sh", "-c", "echo 1 > one; ln one two; ln one src/three"])
    await ws.snapshots.create("s")
    await ws.exec(["sh", "-c", "rm one two src/three; echo 2 > one"])
    await ws.snapshots.restore("s", force=True)
    status = os.stat(f"{ws.path}/src/three")

    assert 3 == status.st_nlink
    assert os.path.samestat(status, os.stat(f"{ws.path}/one"))
    assert await ws.snapshots.restore("s") is None  # though the file has another number now
    await ws.exec(["sh", "-c", "cp one other; mv other one"])  # equal, and no longer the same
    await ws.snapshots.restore("s")
    assert 3 == os.stat(f"{ws.path}/one").st_nlink


async def test_a_restored_tree_with_hard_links_is_deleted_as_what_is_kept(project, base, way):
    os.link(base / "b.txt", base / "src/c.txt")
    ws = await project.create("linked", way=way)
    await ws.snapshots.create("s")
    await ws.exec(["sh", "-c", "rm -r src b.txt"])
    await ws.snapshots.restore("s", force=True)

    assert not (await ws.status()).has_changes
    assert await project.delete("linked") is None


async def test_a_restore_refuses_to_lose_changes_that_are_nowhere_else(ws, said):
    await ws.snapshots.create("s")
    await ws.write("x", "1")
    with pytest.raises(UncommittedChanges, match="'x'") as caught:
        await ws.snapshots.restore("s")

    assert ["A x"] == said(caught.value.changes)
    assert "1" == await ws.read("x")
    assert 1 == len(await ws.snapshots.list())
    await ws.snapshots.create("t")
    assert (await ws.snapshots.restore("s")).kind == "undo"


async def test_a_snapshot_of_another_workspace_can_be_restored_and_compared_with(project, ws, said):
    other = await project.create("two", base="empty")
    await other.write("x", "1")
    await other.snapshots.create("s")
    await ws.snapshots.restore("two/s", force=True)

    assert ["x"] == [each.name for each in (await ws.ls()).entries]
    assert [] == said(await ws.diff("two/s")) == said(await ws.diff(other))
    await other.write("y", "2")
    assert ["D y"] == said(await ws.diff(other))


async def test_differences_have_text_and_a_patch(ws):
    await ws.write("src/a.py", "two\n")
    diff = await ws.diff()
    status = await ws.status()

    assert "-one\n+two\n" in diff.text
    assert b"-one\n+two\n" in diff.patch
    assert "src/a.py | 2 +-" in diff.stat
    assert isinstance(status, Status)
    assert status.has_changes


async def test_a_temporary_snapshot_is_there_for_a_block(ws):
    async with ws.snapshots.temp() as taken:
        await ws.write("x", "1")
        assert "temporary" == taken.kind
        await ws.snapshots.restore(taken.name, force=True)
        assert not await ws.exists("x")

    with pytest.raises(SnapshotNotFound):
        await ws.snapshots.show(taken.name)


async def test_a_snapshot_has_what_was_asked_for_before_it_whole(ws):
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ws.exec, ["sh", "-c", "echo a > a; read x < /dev/null; echo b > b"])
        await trio.testing.wait_all_tasks_blocked()
        taken = await ws.snapshots.create("s")
    await ws.snapshots.restore("s", force=True)

    assert "b\n" == await ws.read("b")
    assert taken.unstable == ()


async def test_a_restore_runs_beside_no_operation_of_any_scope_in_the_tree(r, ws):
    await ws.snapshots.create("s")
    other = r.scope(ws.path).scope("src")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(other.exec, ["sh", "-c", "echo 1 > b.py; sleep 0.2; echo 2 >> b.py"])
        await trio.testing.wait_all_tasks_blocked()
        undo = await ws.snapshots.restore("s", force=True)

    assert not await ws.exists("src/b.py")
    await ws.snapshots.restore(undo.name)
    assert "1\n2\n" == await ws.read("src/b.py")


async def test_a_batch_is_all_or_nothing(ws, said):
    async with ws.batch() as batch:
        await batch.write("x", "1")
        await batch.append("x", "2")
        await batch.mkdir("dir")
        await batch.copy("x", "dir/y")
        await batch.move("b.txt", "dir/b.txt")
        await batch.chmod("x", 0o600)
        await batch.edit("src/a.py", "one", "two")
        await batch.touch("dir/y")
        await batch.touch("new")
        await batch.remove("x")
    assert {"M src/a.py", "A dir/y", "R b.txt -> dir/b.txt", "A new"} == set(said(await ws.diff()))
    assert "12" == await ws.read("dir/y")
    assert "two\n" == await ws.read("src/a.py")
    assert (None, None, None, None, None, None, 1) == batch.answers[:7]
    before = await ws.snapshots.create("before")
    with pytest.raises(ValueError, match="no"):
        async with ws.batch() as batch:
            await batch.write("z", "1")
            raise ValueError("no")
    with pytest.raises(NotFound, match="effect 2 of a batch"):
        async with ws.batch() as batch:
            await batch.write("z", "1")
            await batch.move("nothing", "there")
    assert not await ws.diff(before.name)


async def test_items_are_processed_some_at_a_time_and_answered_in_their_order(ws):
    for number in range(20):
        await ws.write(f"n/{number}", "x" * number)
    most = now = 0

    async def size(path: str) -> int:
        nonlocal most, now
        now += 1
        most = max(most, now)
        await trio.lowlevel.checkpoint()
        try:
            return len(await ws.read(path))
        finally:
            now -= 1

    paths = [f"n/{number}" for number in (*range(20), 99)]
    done = await ws.batch_process(paths, size, limit=3)

    assert paths == [each.item for each in done]
    assert [*range(20), None] == [each.value for each in done]
    assert [True] * 20 + [False] == [each.ok for each in done]
    assert "n/99" in str(done[-1].error)
    assert most <= 3


async def test_another_error_of_a_function_ends_all_and_is_raised_bare(ws):
    async def fail(number: int) -> None:
        if number == 2:
            raise ZeroDivisionError
        await trio.sleep_forever()

    with pytest.raises(ZeroDivisionError):
        await ws.batch_process([1, 2, 3], fail, limit=2)
    for limit in (0, -1, True, 1.5):
        with pytest.raises(ConfigError, match="limit="):
            await ws.batch_process([1], fail, limit=limit)
    assert [] == await ws.batch_process([], fail)
