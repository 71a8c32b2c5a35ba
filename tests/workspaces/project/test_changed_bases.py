"""A base that is changed between the creation of a workspace and the look at what it was."""

import os
import shutil

import pytest
import trio

from runner.workspaces import basing, origins


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
