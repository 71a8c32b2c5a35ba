"""What a session's turns change in a workspace stands in its audit, with and without snapshots."""

from __future__ import annotations

import hashlib
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import trio

from runner.errors import SessionClosed
from runner.runtime import open_runner
from runner.scopes.who import Who
from runner.sessions.session import Session
from runner.testing.scripted import ScriptedAgent
from runner.workspaces import glimpses
from runner.workspaces.project import Project
from runner.workspaces.records import AuditRecord
from runner.workspaces.workspace import Workspace

Make = Callable[..., Session]
CHANGE = "!run echo one > src/a.txt; echo b > b.txt; chmod 600 b.txt; ln -s b.txt l"
AGAIN = "!run echo two > src/a.txt; mv b.txt c.txt; rm l; chmod 640 c.txt"


def sha(text: str) -> str:
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def told(rows: list[AuditRecord]) -> list[tuple[str, str, int | None, int | None]]:
    return [(each.operation, each.path, each.size_before, each.size_after) for each in rows]


async def of_turn(ws: Workspace, number: int) -> list[AuditRecord]:
    rows = await ws.audit.logs(session="mine")
    return [each for each in rows if each.details.get("turn") == number and each.path]


@pytest.mark.parametrize("way", ["overlay", "copy"])
@pytest.mark.parametrize("snapshots", ["turn", None])
async def test_each_file_that_a_turn_changed_is_a_row_and_so_is_the_turn(
    project: Project, make: Make, way: str, snapshots: str | None
) -> None:
    ws = await project.create("for-a-job", way=way, who=Who(job="j-1"))
    async with make(ws, snapshots=snapshots) as session:
        await session.send(CHANGE)
        await session.send(AGAIN)
    first, second = await of_turn(ws, 1), await of_turn(ws, 2)
    turns = await ws.audit.logs(operation="turn")

    assert [
        ("write", "b.txt", None, 2),
        ("write", "l", None, 5),
        ("write", "src/a.txt", 10, 4),
    ] == (told(first))
    assert [
        ("move", "b.txt", 2, None),
        ("move", "c.txt", None, 2),
        ("remove", "l", 5, None),
        ("write", "src/a.txt", 4, 4),
    ] == told(second)
    assert (sha("one\n"), sha("two\n")) == (second[3].sha_before, second[3].sha_after)
    assert "c.txt" == second[0].details["target"]
    if snapshots or way == "overlay":
        assert sha("as it was\n") == first[2].sha_before
    assert {("mine", "j-1", "scripted", "turn")} == {
        (each.session, each.job, each.agent, each.details["by"]) for each in (*first, *second)
    }
    assert [(1, 3, True), (2, 4, True)] == [
        (each.details["turn"], each.details["changes"], each.ok) for each in turns
    ]
    assert turns[0].time_ns == first[0].details["began"]
    assert (await ws.audit.verify()).ok


async def test_a_turn_that_failed_or_was_cut_says_so_and_what_it_changed(
    make: Make, ws: Workspace, until: Callable[..., object]
) -> None:
    async with make() as session, trio.open_nursery() as nursery:
        await session.send("!run echo one > src/a.txt\n!fail 401")
        nursery.start_soon(session.send, "!run echo two > src/a.txt\n!sleep 60")
        await until(lambda: Path(ws.path, "src/a.txt").read_text() == "two\n")
        await session.interrupt()
    failed, cut = await ws.audit.logs(operation="turn")

    assert (False, None) == (failed.ok, cut.ok)
    assert ("auth", "interrupted") == (failed.details["error"], cut.details["error"])
    assert [1, 1] == [failed.details["changes"], cut.details["changes"]]


async def test_what_others_did_in_the_workspace_meanwhile_is_not_the_turns(
    make: Make, ws: Workspace, until: Callable[..., object]
) -> None:
    async with make() as session, trio.open_nursery() as nursery:
        nursery.start_soon(session.send, "!run echo 1 > begun; until test -e go; do :; done")
        await until(Path(ws.path, "begun").exists)
        await ws.write("by-hand.txt", "x")
        await ws.write("go", "")

    assert [("write", "begun", None, 2)] == told(await of_turn(ws, 1))
    assert "" == (await ws.audit.logs(path="by-hand.txt"))[0].session


async def test_a_turn_that_never_began_leaves_nothing(make: Make, ws: Workspace) -> None:
    session = make()
    await session.send("!say hello")
    await session.aclose()
    with pytest.raises(SessionClosed):
        await session.send("!say no")

    assert 1 == len(await ws.audit.logs(operation="turn"))


@pytest.mark.parametrize("way", ["overlay", "copy"])
def test_a_turn_that_was_killed_is_told_by_who_opens_the_workspace_next(
    state: Path, base: Path, way: str
) -> None:
    async def main(word: str) -> list[AuditRecord]:
        async with open_runner(state=state) as r:
            project = r.project(base)
            if word:
                ws = await project.create("ws", way=way)
                await ws.write("mine.txt", "1")
                async with r.session(ws, ScriptedAgent(), id="mine") as session:
                    await session.send(word)
            ws = await project.get("ws")
            await ws.exists("x")
            assert (await ws.audit.verify()).ok
            return await ws.audit.logs(session="mine")

    pid = os.fork()
    if not pid:
        try:
            trio.run(main, f"!run echo two > src/a.txt; rm -f mine.txt; kill -9 {os.getpid()}")
        finally:
            os._exit(1)
    _, status = os.waitpid(pid, 0)
    assert os.WTERMSIG(status) == signal.SIGKILL
    *rows, turn = trio.run(main, "")

    assert [("remove", "mine.txt", 1, None), ("write", "src/a.txt", 10, 4)] == told(rows)
    assert sha("two\n") == rows[1].sha_after
    assert [None] * 3 == [each.ok for each in (*rows, turn)]
    assert (1, 2, True) == tuple(turn.details[key] for key in ("turn", "changes", "cut_off"))
    assert not [each for each in state.rglob("pending/*") if "." in each.name]


async def test_of_what_nobody_can_know_the_turns_row_says_why(
    make: Make, ws: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(glimpses, "short_walk", lambda *_: None)
    monkeypatch.setattr("runner.workspaces.looking.short_walk", lambda *_: None)
    monkeypatch.setattr(glimpses, "WATCHED", 0)
    monkeypatch.setattr("runner.watching.walking.CHUNK", 1)
    async with make(snapshots=None) as session:
        await session.send(CHANGE)
    (turn,) = await ws.audit.logs(operation="turn")

    assert turn.details["changes"] is None
    assert "no hints" in str(turn.details["changes_unknown"])
