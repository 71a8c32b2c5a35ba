"""What is cancelled in the midst was never begun, or is done: at whichever step that happens."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import trio


class Cancelling(trio.abc.Instrument):
    """Cancels a scope when trio has taken so many steps, of whichever task."""

    def __init__(self, scope: trio.CancelScope, steps: int) -> None:
        self.scope, self.left = scope, steps

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self.left -= 1
        if self.left == 0:
            self.scope.cancel(reason="it is so far")


@pytest.fixture
def at_every_step():
    """Yields how often something was cut off, until it ends before it is; looked at each time."""

    async def cut(
        act: Callable[[], Awaitable[object]],
        look: Callable[[bool], Awaitable[object]],
        *,
        each: int = 1,
    ):
        for steps in range(1, 500, each):
            with trio.CancelScope() as scope:
                instrument = Cancelling(scope, steps)
                trio.lowlevel.add_instrument(instrument)
                try:
                    await act()
                finally:
                    trio.lowlevel.remove_instrument(instrument)
            await look(scope.cancelled_caught)
            if instrument.left > 0:
                return steps
        raise AssertionError("it never ends")

    return cut


@pytest.fixture
def places(project):
    """Where the directories of its workspaces are."""
    return Path(project.directory) / "workspaces"


async def test_a_cancelled_creation_leaves_nothing(project, places, way, at_every_step):
    async def look(was_cut):
        assert was_cut is ([] == await project.list())
        assert was_cut is ([] == [*places.iterdir()])
        if not was_cut:
            await project.delete("one")

    await project.list()
    assert 10 < await at_every_step(lambda: project.create("one", way=way), look, each=3)


async def test_of_a_temporary_workspace_nothing_is_left_wherever_it_is_cancelled(
    project, places, at_every_step
):
    async def act():
        async with project.temp(way="copy") as ws:
            await ws.write("x", "1")

    async def look(_was_cut):
        assert [] == await project.list()
        assert [] == [*places.iterdir()]

    await project.list()
    assert 20 < await at_every_step(act, look, each=4)


async def test_of_a_temporary_snapshot_nothing_is_left_wherever_it_is_cancelled(
    project, at_every_step
):
    ws = await project.create("one", way="copy")
    told = []

    async def hook(*about):
        await trio.lowlevel.checkpoint()
        told.append(about)

    project.hooks.on_snapshot = hook

    async def act():
        async with ws.snapshots.temp():
            await trio.lowlevel.checkpoint()

    async def look(_was_cut):
        assert [] == await ws.snapshots.list()

    assert 10 < await at_every_step(act, look)
    assert told


async def test_a_cancelled_restore_is_done_or_never_began(project, way, at_every_step):
    ws = await project.create("one", way=way)
    await ws.snapshots.create("s")

    async def change():
        await ws.write("new", "new")
        await ws.write("b.txt", "changed")

    async def look(was_cut):
        there = await ws.exists("new"), await ws.read("b.txt")
        assert there == ((True, "changed") if was_cut else (False, "b\n"))
        await change()

    await change()
    assert 5 < await at_every_step(lambda: ws.snapshots.restore("s", force=True), look)


async def test_a_cancelled_batch_is_done_or_never_began(project, way, at_every_step):
    ws = await project.create("one", way=way)

    async def act():
        async with ws.batch() as batch:
            await batch.write("new", "new")
            await batch.remove("b.txt")

    async def look(was_cut):
        is_done = await ws.exists("new")
        assert is_done is not await ws.exists("b.txt")
        assert is_done or was_cut
        if is_done:
            await ws.move("new", "b.txt")

    assert 5 < await at_every_step(act, look)
