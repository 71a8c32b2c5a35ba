"""An overlay of somebody who is not root: files from outside, programs inside, by the same names.

A process of its own becomes an ordinary user for good, as nothing else may: it reports what it saw.
"""

from __future__ import annotations

import encodings.ascii  # what is loaded late cannot be, by somebody who may not read it
import encodings.idna
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import trio

from runner.backends.local import LocalBackend
from runner.messages import Isolation
from runner.workspaces.attaching import attach
from runner.workspaces.making import make, remove
from runner.workspaces.probing import IN_NAMESPACE, probe

assert encodings.ascii, encodings.idna
PYTHON = "/usr/bin/python3"
ENV = {"PATH": os.defpath}
Seen = dict[str, Any]
Tell = Callable[[], None]
Work = Callable[[str, Seen, Tell], Awaitable[None]]


async def use(top: str, seen: Seen, _: Tell) -> None:  # pragma: no cover - see above
    base, place = f"{top}/base", f"{top}/ws/one"
    first = probe(base, f"{top}/ws")[0]
    if not first.works:
        seen["skip"] = str(first)
        return
    seen["why"] = make(base, place).why
    attached = attach(place, "overlay", base)
    seen["tree"], seen["outside"] = attached.tree, os.listdir(attached.tree)
    host = attached.host("somebody")
    backend = LocalBackend(attached.root, host=host, env=ENV)
    await backend.write("d/added", "a")
    await backend.move("d", "moved")  # of the base: EXDEV
    done = await backend.exec("pwd; cat e/file; id -u; echo p > by-program", cwd="moved")
    seen["program"] = done.stdout
    seen["read"] = await backend.read("moved/by-program")
    await backend.aclose()
    for mode in ("bwrap", "landlock"):
        isolation = Isolation(mode=mode, required=True, hidden=(f"{attached.tree}/moved/added",))
        if mode == "landlock":
            isolation = Isolation(mode=mode, required=True)
        held = LocalBackend(attached.root, host=host, env=ENV, isolation=isolation)
        done = await held.exec(f"pwd; cat moved/added; echo i > {mode}")
        seen[mode] = (done.stdout, done.exit_code, done.isolation.mode)
        await held.aclose()
    await host.aclose()
    seen["files"] = sorted(os.listdir(attached.root))
    attached.detach()
    seen["alive"] = attached.alive
    seen["upper"] = sorted(os.listdir(f"{place}/upper"))
    remove(place)
    seen["left"] = os.listdir(f"{top}/ws")


def test_programs_and_file_work_see_the_same_tree(as_somebody, top: Path) -> None:
    seen = as_somebody(use)
    tree = f"{top}/ws/one/tree"

    assert seen["why"] == f"overlay: {IN_NAMESPACE}"
    assert (seen["tree"], seen["outside"]) == (tree, [])
    uid = (top / "base").stat().st_uid
    assert seen["program"] == f"{tree}/moved\nold{uid}\n"
    assert seen["read"] == "p\n"
    assert seen["bwrap"] == [f"{tree}\n", 0, "bwrap"]  # the hidden file is not shown
    assert seen["landlock"] == [f"{tree}\na", 0, "landlock"]
    assert seen["files"] == ["bwrap", "landlock", "moved"]
    assert seen["upper"] == ["bwrap", "d", "landlock", "moved"]  # d is a whiteout
    assert (seen["alive"], seen["left"]) == (False, [])
    assert sorted(os.listdir(top / "base" / "d")) == ["e"]


async def killed(top: str, seen: Seen, tell: Tell) -> None:  # pragma: no cover - see above
    base, place = f"{top}/base", f"{top}/ws/one"
    first = probe(base, f"{top}/ws")[0]
    if not first.works:
        seen["skip"] = str(first)
        return
    make(base, place)
    attached = attach(place, "overlay", base)
    Path(attached.root, "d", "e", "file").write_text("new")
    host = attached.host("somebody")
    async with host.open_process(["sleep", "600"], cwd=attached.root, env=ENV) as process:
        seen["pids"] = [int(attached.enter[-1]), process.pid]
        tell()


async def again(top: str, seen: Seen, _: Tell) -> None:  # pragma: no cover - see above
    attached = attach(f"{top}/ws/one", "overlay", f"{top}/base")
    seen["text"] = Path(attached.root, "d", "e", "file").read_text()
    attached.detach()
    remove(f"{top}/ws/one")
    seen["left"] = os.listdir(f"{top}/ws")


def test_one_that_is_killed_leaves_no_process_and_no_mount_and_its_changes(
    as_somebody, top: Path
) -> None:
    seen = as_somebody(killed)
    trio.run(wait_until_gone, seen["pids"])
    seen = as_somebody(again)

    assert seen == {"text": "new", "left": []}


async def wait_until_gone(pids: list[int]) -> None:
    with trio.fail_after(10):
        while any(is_there(pid) for pid in pids):
            await trio.sleep(0.005)


def is_there(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False
