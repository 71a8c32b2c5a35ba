"""What is said, and left, where something is gone, damaged or in use."""

import os
import shutil
import subprocess

import pytest
import trio

import runner
from runner.errors import (
    AlreadyExists,
    FileChanged,
    ObjectMissing,
    OperationError,
    StoreError,
    WorkspaceError,
    WorkspaceNotFound,
)
from runner.operations import line_hash


async def test_a_restore_whose_contents_are_damaged_changes_nothing(project, way):
    ws = await project.create("one", way=way)
    await ws.write("x", "was here\n" * 100)
    taken = await ws.snapshots.create("s")
    await ws.write("x", "now")
    store = project._shared.store
    entry = next(each for each in store.listing(taken.root) if each.name == b"x")
    with store.file.writing() as connection:
        connection.execute("DELETE FROM objects WHERE id = ?", (entry.id,))
    with pytest.raises(ObjectMissing):
        await ws.snapshots.restore("s", force=True)

    assert "now" == await ws.read("x")
    await ws.write("y", "goes on")
    assert "goes on" == await ws.read("y")
    assert ["s"] == [each.name for each in await ws.snapshots.list()]


async def test_a_workspace_in_which_somebody_works_is_not_deleted(project):
    ws = await project.create("one", way="overlay")
    await ws.write("x", "1")
    somebody = subprocess.Popen(["sleep", "1000"], cwd=ws.path)
    try:
        with pytest.raises(WorkspaceError, match=f"process {somebody.pid}"):
            await project.delete("one", force=True)
        assert "1" == await ws.read("x")
        assert await ws.exists()
    finally:
        somebody.kill()
        await trio.to_thread.run_sync(somebody.wait)
    await project.delete("one", force=True)
    assert [] == await project.list()


async def test_a_workspace_whose_base_is_gone_can_be_deleted_with_force(tmp_path, base, way):
    async with runner.open_runner(state=tmp_path / "state") as r:
        ws = await r.project(base).create("one", way=way)
        await ws.write("x", "1")
        shared = r.project(base)._shared
        await shared.ask(ws.record, runner.workspaces.messages.AskBase())
        with shared.store.file.writing() as connection:  # as if there had been no time to look
            connection.execute("UPDATE workspaces SET base_root = NULL")
    shutil.rmtree(base)
    async with runner.open_runner(state=tmp_path / "state") as r:
        project = r.project(base)
        with pytest.raises(WorkspaceError, match="gone|no directory"):
            await project.delete("one")
        assert 1 == len(await project.list())
        rescue = await project.delete("one", force=True)
        assert (way == "copy") == (rescue is not None)  # nobody can have an overlay without it
        assert [] == await project.list()
        assert not os.path.exists(os.path.dirname(ws.path))
        with pytest.raises(WorkspaceNotFound):
            await project.get("one")


@pytest.mark.parametrize("how", ["moved away", "emptied"])
async def test_the_files_of_a_workspace_outlive_the_loss_of_their_store(tmp_path, base, way, how):
    async with runner.open_runner(state=tmp_path / "state") as r:
        ws = await r.project(base).create("one", way=way)
        await ws.write("x", "an afternoon's work")
        store = r.project(base)._shared.store.path
    os.rename(store, tmp_path / "damaged.db")
    if how == "emptied":
        open(store, "w").close()
    async with runner.open_runner(state=tmp_path / "state") as r:
        assert [] == await r.project(base).list()
        await (await r.project(base).create("two", way=way)).unmount()
    os.replace(tmp_path / "damaged.db", store)  # as it is: mended, or an older copy
    async with runner.open_runner(state=tmp_path / "state") as r:
        ws = await r.project(base).get("one")
        assert "an afternoon's work" == await ws.read("x")


async def test_a_tree_that_cannot_be_read_is_an_error_and_no_crash(project, r):
    ws = await project.create("one", way="copy")
    shutil.rmtree(ws.path)
    with pytest.raises(WorkspaceError, match="cannot be read"):
        await ws.snapshots.create("s")

    assert 0 == r.statistics().workspaces.crashed


async def test_a_store_that_cannot_be_made_is_refused(tmp_path, base):
    (tmp_path / "file").write_text("")
    async with runner.open_runner(state=tmp_path / "state") as r:
        with pytest.raises(StoreError, match="`store` names another"):
            await r.project(base, store=tmp_path / "file/store").list()


async def test_a_batch_keeps_to_what_its_effects_say(project):
    ws = await project.create("one")
    await ws.write("lines", "a\nb\n")
    digest = await ws.digest("lines")
    async with ws.batch() as batch:
        await batch.write("lines", "a\nc\n", expected=digest, durable=True)
        await batch.edit_lines(
            "lines", [runner.LineChange(first=2, first_hash=line_hash("c"), text="d\n")]
        )
        await batch.touch("lines")
    assert "a\nd\n" == await ws.read("lines")
    for error, words, effect in (
        (FileChanged, "effect 1", lambda b: b.write("lines", "x", expected=digest)),
        (FileChanged, "effect 1", lambda b: b.write("none", "x", expected=digest)),
        (AlreadyExists, "effect 1", lambda b: b.touch("lines", exist_ok=False)),
        (OperationError, "effect 1", lambda b: b.chmod("lines", 0o4755)),
    ):
        with pytest.raises(error, match=words):
            async with ws.batch() as batch:
                await effect(batch)
    assert "a\nd\n" == await ws.read("lines")
    assert "JournaledBackend" in repr(runner.workspaces.journaled.JournaledBackend(ws, None))


async def test_handles_say_what_they_are(project):
    ws = await project.create("one")

    assert "Project" in repr(project)
    assert "'one'" in repr(ws)
    assert "'one'" in repr(ws.snapshots)
    assert ws.tags == ()
