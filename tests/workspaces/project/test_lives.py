"""What becomes of workspaces when actors crash or idle, processes are killed, or two are at work."""

import os
import subprocess
import sys

import pytest
import trio

import runner
from runner.errors import (
    ActorCrashed,
    StoreError,
    SupervisorClosed,
    WorkspaceBusy,
    WorkspaceError,
)
from runner.workspaces import mounts
from runner.workspaces.locking import Lock
from runner.workspaces.lookups import change_workspace
from runner.workspaces.messages import Snap
from runner.workspaces.records import Base, WorkspaceRecord
from runner.workspaces.store import Store

OTHER = """
import sys, trio, runner

async def main(base, state):
    async with runner.open_runner(state=state) as r:
        ws = await r.project(base).get("one")
        await ws.write("x", "1")
        print("here", flush=True)
        await trio.sleep_forever()

trio.run(main, *sys.argv[1:])
"""


async def until(condition):
    with trio.fail_after(20):
        while not condition():
            await trio.sleep(0.005)


async def test_after_a_crash_of_its_actor_everything_is_there(project, way, said):
    ws = await project.create("one", way=way)
    await ws.write("x", "1")
    await ws.snapshots.create("s")
    program = await ws.start(["sleep", "1000"])
    with pytest.raises(ActorCrashed):
        await project._shared.ask(ws.record, Snap(name=7))  # no such message is ever sent

    assert "1" == await ws.read("x")
    assert ["A x"] == said((await ws.status()).changes)
    assert ["s"] == [each.name for each in await ws.snapshots.list()]
    assert await program.wait(0) is None  # it runs on
    await ws.snapshots.create("t")


async def test_an_idle_workspace_frees_what_it_owns_and_is_brought_back(tmp_path, base, way, said):
    config = runner.RunnerConfig(idle_after_worker=0.02)
    async with runner.open_runner(config, state=tmp_path / "state") as r:
        project = r.project(base)
        ws = await project.create("one", way=way)
        await ws.write("x", "1")
        await ws.status()
        await until(lambda: not r.statistics().workspaces.actors)
        lock = Lock.take(os.path.join(os.path.dirname(ws.path), "lock"), "one")
        with pytest.raises(WorkspaceBusy) as caught:
            await ws.write("y", "2")
        lock.release()

        assert os.getpid() == caught.value.pid
        assert project._shared.store.load_stats(ws.id)  # what is known of its files is kept
        assert ["A x"] == said((await ws.status()).changes)
        await ws.write("y", "2")


async def test_while_a_program_runs_in_it_a_workspace_is_not_idle(tmp_path, base):
    config = runner.RunnerConfig(idle_after_worker=0.02)
    async with runner.open_runner(config, state=tmp_path / "state") as r:
        ws = await r.project(base).create("one")
        program = await ws.start(["sleep", "1000"])
        await trio.sleep(0.2)
        assert 1 == r.statistics().workspaces.actors
        assert await program.kill()
        await until(lambda: not r.statistics().workspaces.actors)


@pytest.mark.parametrize("state", ["making", "deleting"])
async def test_what_was_left_half_made_or_half_deleted_is_taken_away(tmp_path, base, state):
    async with runner.open_runner(state=tmp_path / "state") as r:
        project = r.project(base)
        kept = await project.create("kept", way="copy")
    workspaces = f"{project.directory}/workspaces"
    store = Store.open(f"{project.directory}/store.db")
    for name in ("nobodys", "somebodys"):
        place = f"{workspaces}/{name}"
        os.makedirs(f"{place}/tree/read-only")
        os.chmod(f"{place}/tree/read-only", 0o500)
        store.workspaces.add(
            WorkspaceRecord(
                id=name, name=name, base=Base(), tree=f"{place}/tree", state=state, created_ns=1
            )
        )
    store.close()
    os.makedirs(f"{workspaces}/without-a-row/making")
    os.makedirs(f"{workspaces}/whole-without-a-row/tree")
    lock = Lock.take(f"{workspaces}/somebodys/lock", "somebodys")
    async with runner.open_runner(state=tmp_path / "state") as r:
        project = r.project(base)
        assert ["kept"] == [each.name for each in await project.list()]
        assert {kept.id, "somebodys", "whole-without-a-row"} == set(os.listdir(workspaces))
        await project.create("nobodys")
        with pytest.raises(runner.WorkspaceExists):
            await project.create("somebodys")
    lock.release()


async def test_what_cannot_be_taken_away_yet_stands_in_nobodys_way(tmp_path, base, caplog):
    if os.geteuid() != 0:
        pytest.skip("only root may mount something: run as root, or in `unshare -Urm`")
    async with runner.open_runner(state=tmp_path / "state") as r:
        project = r.project(base)
        ws = await project.create("one", way="copy")
    store = Store.open(f"{project.directory}/store.db")
    change_workspace(store, ws.id, state="deleting")
    store.close()
    mounts.mount("somebodys", f"{ws.path}/src", "tmpfs", "size=1m")
    try:
        async with runner.open_runner(state=tmp_path / "state") as r:
            await r.project(base).create("two")
            assert ["two"] == [each.name for each in await r.project(base).list()]
        assert "something is mounted" in caplog.text
    finally:
        mounts.unmount(f"{ws.path}/src")
    async with runner.open_runner(state=tmp_path / "state") as r:
        await r.project(base).create("one")
    assert not os.path.exists(ws.path)


async def test_a_workspace_is_one_processs_at_a_time_and_free_when_that_is_killed(tmp_path, base):
    async with runner.open_runner(state=tmp_path / "state") as r:
        await r.project(base).create("one")
    other = [sys.executable, "-c", OTHER, str(base), str(tmp_path / "state")]
    process = await trio.lowlevel.open_process(other, stdout=subprocess.PIPE)
    async with runner.open_runner(state=tmp_path / "state") as r:
        project = r.project(base)
        try:
            with trio.fail_after(20):
                assert (await process.stdout.receive_some(100)).startswith(b"here")
            ws = await project.get("one")
            with pytest.raises(WorkspaceBusy) as caught:
                await ws.write("y", "2")
            assert process.pid == caught.value.pid
            assert f"process {process.pid}" in str(caught.value)
            with pytest.raises(WorkspaceBusy):
                await project.delete("one", force=True)
            assert ["one"] == [each.name for each in await project.list()]  # that is everybody's
            await (await project.create("two")).write("z", "3")
        finally:
            process.kill()
            await process.wait()
            await process.stdout.aclose()
        assert "1" == await ws.read("x")
        await ws.write("y", "2")


async def test_a_store_of_a_newer_version_is_refused(tmp_path, base):
    async with runner.open_runner(state=tmp_path / "state") as r:
        project = r.project(base)
        await project.list()
    store = Store.open(f"{project.directory}/store.db")
    with store.file.writing() as connection:
        connection.execute("PRAGMA user_version = 99")
    store.close()
    async with runner.open_runner(state=tmp_path / "state") as r:
        with pytest.raises(StoreError, match="99|newer"):
            await r.project(base).list()


async def test_a_tree_that_somebody_removed_is_an_error_that_says_so(tmp_path, base):
    async with runner.open_runner(state=tmp_path / "state") as r:
        tree = (await r.project(base).create("one", way="copy")).path
    os.rename(tree, tree + "-elsewhere")
    async with runner.open_runner(state=tmp_path / "state") as r:
        with pytest.raises(WorkspaceError, match="removed or moved"):
            await r.project(base).get("one")
        os.rename(tree + "-elsewhere", tree)
        assert "b\n" == await (await r.project(base).get("one")).read("b.txt")


async def test_a_project_whose_runner_was_left_opens_nothing_any_more(tmp_path, base):
    async with runner.open_runner(state=tmp_path / "state") as r:
        project = r.project(base)
        ws = await project.create("one")
    before = sorted(os.listdir("/proc/self/fd"))
    for act in (project.list, project.sizes, ws.status, ws.exists, lambda: project.create("two")):
        with pytest.raises(SupervisorClosed):
            await act()
    assert before == sorted(os.listdir("/proc/self/fd"))
