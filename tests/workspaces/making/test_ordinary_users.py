"""A workspace of somebody who is not root, through its handle: an overlay that a holder has.

A process of its own becomes an ordinary user for good: it reports what it saw.
"""

from __future__ import annotations

import gc
import os
from pathlib import Path

import trio

import runner
import runner.agents.shell  # what is loaded late cannot be, by somebody who may not read it
import runner.runtime
from runner.messages import Isolation

ENV = {"PATH": os.defpath}


def holder_of(ws):
    attached = ws._shared.actor(ws.record).live.attached
    return int(attached.enter[-1])


async def until(condition):
    with trio.fail_after(20):
        while not condition():
            await trio.sleep(0.005)


def is_there(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


async def use(top, seen, _):  # pragma: no cover - by somebody else, who writes no report
    config = runner.RunnerConfig(idle_after_worker=0.05)
    async with runner.open_runner(config, state=f"{top}/state") as r:
        project = r.project(f"{top}/base")
        ws = await project.create("one", env=ENV)
        seen["way"], seen["holder"] = ws.way, holder_of(ws)
        plain = await project.create("plain", way="plain")
        seen["plain"] = (plain.way, sorted(os.listdir(plain.path)))
        await project.delete("plain")
        await ws.write("new", "n")
        await ws.move("d", "moved")  # of the base
        seen["exec"] = (await ws.exec("pwd; cat moved/e/file; echo p > program")).stdout
        seen["status"] = [str(each) for each in (await ws.status()).changes]
        await ws.snapshots.create("s")
        await ws.exec("rm -r moved; echo 2 > new; mkdir -p d/e/f")
        undo = await ws.snapshots.restore("s", force=True)
        seen["undo"] = undo.kind
        seen["after"] = [str(each) for each in (await ws.status()).changes]
        seen["clean"] = not await ws.diff("s", verify=True)
        seen["audit"] = sorted({each.operation for each in await ws.audit.logs()})
        async with r.session(ws, agent="shell") as session:
            turn = await session.send("pwd; echo t > by-session")
            seen["turn"] = (turn.ok, turn.final_message, [str(each) for each in turn.files_created])
        held = await project.get("one", env=ENV, isolation=Isolation(mode="bwrap", required=True))
        done = await held.exec("pwd; cat new; echo i > isolated")
        seen["bwrap"] = (done.stdout, done.exit_code, done.isolation.mode)
        del held, done, session, turn
        gc.collect()
        await until(lambda: not r.statistics().workspaces.actors)
        await until(lambda: not is_there(seen["holder"]))
        seen["back"] = await ws.read("isolated")
        seen["idle"] = [str(each) for each in (await ws.status()).changes]
        await project.delete("one", force=True)
        seen["left"] = os.listdir(f"{project.directory}/workspaces")


def test_a_workspace_of_an_ordinary_user_has_everything(as_somebody, top: Path) -> None:
    seen = as_somebody(use)
    tree = seen["exec"].partition("\n")[0]
    changes = ["R d/e/file -> moved/e/file", "A new", "A program"]

    assert seen["way"] == "overlay"
    assert seen["plain"] == ["copy", ["d"]]
    assert seen["exec"] == f"{tree}\nold"
    assert seen["status"] == seen["after"] == changes
    assert (seen["undo"], seen["clean"]) == ("undo", True)
    assert {"create", "write", "move", "exec", "snapshot", "restore"} <= set(seen["audit"])
    assert seen["turn"] == [True, tree, ["by-session"]]
    assert seen["bwrap"] == [f"{tree}\nn", 0, "bwrap"]
    assert seen["back"] == "i\n"
    assert seen["idle"] == ["A by-session", "A isolated", *changes]
    assert seen["left"] == []


async def killed(top, seen, tell):  # pragma: no cover - see above
    async with runner.open_runner(state=f"{top}/state") as r:
        ws = await r.project(f"{top}/base").create("one", env=ENV)
        await ws.write("d/e/file", "new")
        await ws.snapshots.create("s")
        await ws.write("later", "l")
        program = await ws.start(["sleep", "600"])
        seen["pids"] = [holder_of(ws), program.pid]
        tell()


async def again(top, seen, _):  # pragma: no cover - see above
    async with runner.open_runner(state=f"{top}/state") as r:
        project = r.project(f"{top}/base")
        ws = await project.get("one", env=ENV)
        seen["text"] = await ws.read("d/e/file")
        seen["status"] = [str(each) for each in (await ws.status()).changes]
        seen["problems"] = (await project.check()).problems
        await project.delete("one", force=True)
        seen["left"] = os.listdir(f"{project.directory}/workspaces")


def test_one_whose_process_is_killed_loses_nothing_and_leaves_nothing(
    as_somebody, top: Path
) -> None:
    seen = as_somebody(killed)
    trio.run(gone, seen["pids"])
    seen = as_somebody(again)

    assert seen == {
        "text": "new",
        "status": ["M d/e/file", "A later"],
        "problems": [],
        "left": [],
    }


async def gone(pids):
    await until(lambda: not any(map(is_there, pids)))
