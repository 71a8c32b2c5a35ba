"""Trees that root has mounted stay when the runner is left: any program works in them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import trio

import runner
from runner.errors import WorkspaceBusy, WorkspaceError
from runner.workspaces import mounts
from runner.workspaces.attaching import is_seen
from runner.workspaces.locking import Lock
from runner.workspaces.lookups import change_workspace
from runner.workspaces.probing import BY_ROOT, probe
from runner.workspaces.store import Store

KILLED = """
import os, signal, sys, trio, runner

async def main(base, state):
    async with runner.open_runner(state=state) as r:
        ws = await r.project(base).create("one", way="overlay")
        await ws.write("x", "1")
        os.kill(os.getpid(), signal.SIGKILL)

trio.run(main, *sys.argv[1:])
"""


@pytest.fixture
def state(tmp_path, base):
    path = tmp_path / "state"
    found = probe(str(base), str(path))[0]
    if found.why != BY_ROOT:
        pytest.skip(f"needs root, who may mount: {found}")
    return path


@pytest.fixture
def on(state, base):
    """Do something with the project, in a run of its own."""

    async def carry_out(work):
        async with runner.open_runner(state=state) as r:
            return await work(r.project(base))

    return carry_out


@pytest.fixture
async def tree(on):
    """That of a workspace whose runner has been left."""

    async def make(project):
        ws = await project.create("one", way="overlay")
        await ws.write("x", "1")
        return ws.path

    return Path(await on(make))


@pytest.fixture
def shell():
    """A program of somebody else's that stands in a directory."""
    started = []

    def start(directory):
        started.append(subprocess.Popen(["sleep", "1000"], cwd=directory))
        return started[-1]

    yield start
    for each in started:
        each.kill()
        each.wait()


async def status(project):
    ws = await project.get("one")
    return [str(each) for each in (await ws.status()).changes]


async def test_any_program_works_in_it_and_the_next_run_takes_it_over(on, tree):
    script = (
        "cat b.txt; echo 2 > x; rm b.txt; mkdir -p new/d; echo n > new/d/f; mv src/a.py src/c.py"
    )
    done = subprocess.run(
        ["sh", "-c", script], cwd=tree, capture_output=True, check=True, text=True
    )
    assert done.stdout == "b\n"
    with open(tree / "x") as file:  # in use, so it is not mounted anew
        assert await on(status) == [
            *("D b.txt", "A new/d/f", "R src/a.py -> src/c.py", "A x"),
        ]
        assert len(mounts.mounted_in(str(tree))) == 1
        assert file.read() == "2\n"


async def test_what_others_have_changed_between_two_runs_is_seen_whatever_its_times_say(on, tree):
    async def snapshot(project):
        ws = await project.get("one")
        taken = await ws.snapshots.create(f"s{len(await ws.snapshots.list())}")
        return taken.root, [str(each) for each in (await ws.status()).changes]

    first, _ = await on(snapshot)
    times = os.stat(tree / "x")
    (tree / "x").write_text("2")  # as long as before
    os.utime(tree / "x", ns=(times.st_atime_ns, times.st_mtime_ns))
    second, changes = await on(snapshot)
    (tree / "src/a.py").unlink()
    (tree / "src").rmdir()
    (tree / "src").mkdir()
    (tree / "src/b.py").touch()
    third, others = await on(snapshot)
    (tree / "src/b.py").unlink()
    (tree / "src/a.py").write_text("one\n")
    (tree / "x").write_text("1")
    fourth, _ = await on(snapshot)

    assert changes == ["A x"]
    assert others == ["D src/a.py", "A src/b.py", "A x"]
    assert len({first, second, third}) == 3
    assert fourth == first


async def test_what_was_unmounted_meanwhile_is_mounted_again(on, tree):
    mounts.unmount(str(tree))  # as by a reboot
    assert os.listdir(tree) == []
    assert await on(status) == ["A x"]
    assert (tree / "x").read_text() == "1"


async def test_in_a_run_that_goes_on_too(tmp_path, state, base, on):
    config = runner.RunnerConfig(idle_after_worker=0.02)
    async with runner.open_runner(config, state=state) as r:
        project = r.project(base)
        ws = await project.create("one", way="overlay")
        await ws.write("x", "1")
        with trio.fail_after(20):
            while r.statistics().workspaces.actors:
                await trio.sleep(0.005)
        await on(lambda other: other.unmount("one"))
        assert not is_seen(ws.path, "overlay")
        await ws.write("y", "2")
        assert sorted(os.listdir(ws.path)) == ["b.txt", "src", "x", "y"]
        await ws.unmount()
        await ws.unmount()
        assert not is_seen(ws.path, "overlay")
        assert await ws.read("y") == "2"


async def test_it_is_not_unmounted_from_under_who_uses_it(on, tree, shell):
    def refused(who):
        return pytest.raises(WorkspaceError, match=f"in use by process .*{who}")

    standing = shell(tree / "src")
    with refused(standing.pid):
        await on(lambda project: project.unmount())
    with refused(standing.pid):
        await on(lambda project: project.delete("one", force=True))
    assert await on(status) == ["A x"]
    standing.kill()
    standing.wait()
    await on(lambda project: project.unmount())
    assert mounts.mounted_in(str(tree)) == []

    async def busy(project):
        ws = await project.get("one")
        program = await ws.start(["sleep", "1000"])
        with pytest.raises(WorkspaceError, match="programs or sessions of this process are in it"):
            await ws.unmount()
        await program.kill()
        await ws.unmount()

    await on(busy)
    assert mounts.mounted_in(str(tree)) == []


async def test_one_that_another_process_has_stays(on, tree):
    lock = Lock.take(f"{tree.parent}/lock", "one")
    with pytest.raises(WorkspaceBusy):
        await on(lambda project: project.unmount("one"))
    lock.release()

    assert (tree / "x").read_text() == "1"


async def test_without_its_base_it_can_still_be_unmounted(on, tree, base):
    os.rename(base, f"{base}-gone")
    os.mkdir(base)
    os.rmdir(base)
    await on(lambda project: project.unmount())
    assert mounts.mounted_in(str(tree)) == []


async def test_what_is_deleted_is_unmounted_whoever_has_mounted_it(tmp_path, on, state, base):
    argv = [sys.executable, "-c", KILLED, str(base), str(state)]
    assert subprocess.run(argv, check=False).returncode == -signal.SIGKILL
    (left,) = mounts.mounted_in(str(tmp_path))
    assert Path(left.point, "x").read_text() == "1"
    await on(lambda project: project.delete("one", force=True))

    assert mounts.mounted_in(str(tmp_path)) == []
    assert not os.path.exists(left.point)


async def test_what_was_to_be_deleted_when_its_run_was_killed_goes_also_from_under_a_shell(
    on, tree, shell
):
    shell(tree)
    store = Store.open(tree.parents[2] / "store.db")
    change_workspace(store, tree.parent.name, state="deleting")
    store.close()
    assert await on(lambda project: project.list()) == []

    assert mounts.mounted_in(str(tree.parents[2])) == []
    assert os.listdir(tree.parents[1]) == []


async def test_a_temporary_one_goes_whoever_stands_in_it(on, shell, tmp_path):
    async def work(project):
        async with project.temp(way="overlay") as ws:
            shell(ws.path)
        return await project.list()

    assert await on(work) == []
    assert mounts.mounted_in(str(tmp_path)) == []


async def test_of_a_copy_nothing_is_unmounted(on, base):
    async def work(project):
        ws = await project.create("two", way="copy")
        await ws.unmount()
        await project.unmount()
        return ws.path

    assert sorted(os.listdir(await on(work))) == ["b.txt", "src"]
