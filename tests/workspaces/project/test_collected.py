"""Somebody else drops what nothing names, in the midst of what is about to name it."""

import pytest
import trio

from runner.workspaces.store import Store


class Collecting(trio.abc.Instrument):
    """Another process, which collects when trio has taken so many steps; all is long ago then."""

    def __init__(self, path: str, steps: int) -> None:
        self.path, self.left = path, steps

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self.left -= 1
        if self.left == 0:
            store = Store.open(self.path)
            with store.file.writing() as connection:
                connection.execute("UPDATE objects SET put = 0")
            store.collect()
            store.close()


@pytest.mark.parametrize("act", ["snapshot", "delete", "commit"])
async def test_what_is_being_named_is_whole_whenever_somebody_collects(project, act):
    store = f"{project.directory}/store.db"
    for steps in range(1, 200, 3):
        ws = await project.create("one", way="copy")
        await ws.write("new", f"only here, {steps}")
        await ws.status()  # by which all is in the store, and named by nothing
        collecting = Collecting(store, steps)
        trio.lowlevel.add_instrument(collecting)
        try:
            if act == "snapshot":
                await ws.snapshots.create("s")
            elif act == "delete":
                await project.delete("one", force=True)
            else:
                await ws.commit("by then")
        finally:
            trio.lowlevel.remove_instrument(collecting)
        assert () == (await project.check()).problems
        for each in await project.snapshots():
            async with project.temp(snapshot=each.name, way="copy") as then:
                assert (await then.read("new")).startswith("only here, ")
            await project._shared.do(lambda store, id_=each.id: store.snapshots.remove(id_))
        if act != "delete":
            await project.delete("one", force=True)
            for each in await project.snapshots():
                await project._shared.do(lambda store, id_=each.id: store.snapshots.remove(id_))
        if collecting.left > 0:
            break
    assert 6 < steps < 200
