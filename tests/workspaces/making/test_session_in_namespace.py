"""A session in an overlay of somebody who is not root: its program enters, we look from outside."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import trio

from runner.errors import WorkspaceError
from runner.runtime import open_runner

Seen = dict[str, Any]
Tell = Callable[[], None]


async def use(top: str, seen: Seen, _: Tell) -> None:
    async with open_runner(state=f"{top}/state") as r:
        project = r.project(f"{top}/base")
        try:
            ws = await project.create("ws", way="overlay")
        except WorkspaceError as exc:
            seen["skip"] = str(exc)
            return
        seen["tree"], seen["outside"] = ws.path, os.listdir(ws.path)
        async with r.session(ws.scope("d"), "shell", id="mine", snapshots="turn") as session:
            turn = await session.send("pwd; cat e/file; echo new > e/file; touch added")
            seen["turn"] = (turn.ok, turn.stdout_tail, [str(each) for each in turn.files_created])
            seen["changed"] = [str(each) for each in turn.files_modified]
            seen["kept"] = (turn.snapshot, turn.snapshot_note)
            await session.rewind(0)
            seen["back"] = (await session.send("cat e/file; ls")).stdout_tail
            fork = await session.fork(at=1, workspace="fork")
            async with fork:
                seen["fork"] = (await fork.send("cat e/file; ls")).stdout_tail


def test_its_program_works_in_the_tree_and_its_turns_are_kept(
    as_somebody, top: Path, tmp_path: Path
) -> None:
    again = tmp_path  # what is loaded late cannot be, by who may not read it
    (again / "base/d/e").mkdir(parents=True)
    (again / "base/d/e/file").write_text("old")
    trio.run(use, str(again), {}, lambda: None)

    seen = as_somebody(use)

    assert seen["outside"] == []  # it is mounted in another namespace
    assert seen["turn"] == [True, f"{seen['tree']}/d\nold", ["added"]]
    assert seen["changed"] == ["e/file"]
    assert seen["kept"] == ["turn-1-mine", ""]
    assert seen["back"] == "olde\n"
    assert seen["fork"] == "new\nadded\ne\n"
    assert (top / "base/d/e/file").read_text() == "old"
