"""A base that is changed between the creation of a workspace and the look at what it was."""

import os
import shutil
import time

import pytest
import trio

from runner.errors import StoreError
from runner.watching.patterns import make_rules
from runner.workspaces import basing, origins
from runner.workspaces.lookups import change_workspace
from runner.workspaces.records import Base, WorkspaceRecord
from runner.workspaces.store import Store


@pytest.fixture
def held(monkeypatch):
    """No base is looked at before it is released; this is what a large one takes."""
    import threading

    event, look = threading.Event(), basing.Bases.look

    def wait(self, record):
        assert event.wait(20)
        return look(self, record)

    monkeypatch.setattr(basing.Bases, "look", wait)
    yield event
    event.set()


async def test_a_copys_base_is_what_was_copied(project, base, held, said):
    (base / "moved-away").mkdir()
    (base / "moved-away/x").write_text("x")
    (base / "gone").write_text("g")
    ws = await project.create("one", way="copy")
    (base / "b.txt").write_text("changed in the base")
    (base / "came").write_text("c")
    (base / "gone").unlink()
    os.rename(base / "moved-away", base / "moved")
    await ws.write("src/a.py", "changed in the workspace")
    held.set()
    status = await ws.status()

    assert ["M src/a.py"] == said(status.changes)
    assert () == status.unsure


async def test_what_was_changed_on_both_sides_is_unsure_in_a_copy(project, base, held, said):
    ws = await project.create("one", way="copy")
    (base / "b.txt").write_text("changed in the base")
    await ws.write("b.txt", "changed in the workspace")
    await ws.write("new", "n")
    held.set()
    status = await ws.status()

    assert ["M b.txt", "A new"] == said(status.changes)
    assert ("b.txt",) == status.unsure


async def test_what_was_changed_below_an_overlay_is_unsure(tmp_path, base, project, held):
    origins.moment()  # the files of the base are older than the workspace
    ws = await project.create("one", way="overlay")
    (base / "src/a.py").write_text("changed in the base")
    (base / "came").write_text("c")
    held.set()

    assert {"src/a.py", "came"} <= set((await ws.status()).unsure)


async def test_a_base_that_nobody_changes_leaves_nothing_unsure(project, base, way, said):
    origins.moment()
    ws = await project.create("one", way=way)
    with trio.fail_after(20):
        status = await ws.status()

    assert [] == said(status.changes)
    assert () == status.unsure
    shutil.rmtree(base / "src")  # what comes later is the base's own matter
    assert () == (await ws.status()).unsure


class Counted(basing.Bases):
    """Counts its looks."""

    looks = 0

    def look(self, record):
        self.looks += 1
        return super().look(record)


def test_of_many_workspaces_of_a_base_one_looks_unless_it_has_changed(tmp_path, base):
    def made(name):
        origins.moment()
        return WorkspaceRecord(
            id=name,
            name=name,
            base=Base(kind="directory", path=str(base)),
            tree=str(tmp_path / name),
            way="overlay",
            created_ns=time.time_ns(),
        )

    origins.moment()
    store = Store.open(str(tmp_path / "store.db"))
    bases = Counted(store, make_rules(()))
    first, second, third = map(made, ("first", "second", "third"))
    asked = time.monotonic_ns()
    roots = {bases.find(each, asked).root for each in (first, second, third)}
    assert (len(roots), bases.looks) == (1, 1)

    bases.find(made("later"))  # when that was made, the look had begun
    assert bases.looks == 2
    bases.find(first, asked)  # this is older than what was looked at for the later one
    assert bases.looks == 3

    asked = time.monotonic_ns()
    (base / "b.txt").write_text("changed")
    origins.moment()  # what is made within the same tick is unsure
    origins.moment()
    found = [bases.find(each, asked) for each in (first, made("new"), second)]
    assert [found[0].unsure, found[1].unsure, found[2].unsure] == [("b.txt",), (), ("b.txt",)]
    assert len({each.root for each in found} - roots) == 1
    store.close()


async def test_a_file_that_is_being_cut_off_is_what_its_copy_is(project, base, held, said):
    ws = await project.create("one", way="copy")
    store = ws._shared.store
    (base / "b.txt").write_text("")  # and the kernel has not stamped it yet
    change_workspace(store, ws.id, base_root=None)
    with store.file.writing() as connection:
        connection.execute("UPDATE workspaces SET created_ns = ?", (time.time_ns() + 10**9,))
    held.set()
    assert [] == said((await ws.status()).changes)
    (base / "b.txt").write_text("by the user\n")
    await ws.write("src/a.py", "two\n")
    await ws.commit("x")
    assert "by the user\n" == (base / "b.txt").read_text()


@pytest.mark.parametrize("is_gone", [True, False])
async def test_a_base_that_cannot_be_read_is_an_error_and_no_crash(project, base, held, is_gone):
    ws = await project.create("one", way="copy")
    os.rename(base, f"{base}-elsewhere")
    if not is_gone:
        os.mkfifo(base)
    held.set()
    with pytest.raises(StoreError, match="gone"):
        await ws.status()
    assert "b\n" == await ws.read("b.txt")
