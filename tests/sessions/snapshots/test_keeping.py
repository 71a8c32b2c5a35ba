"""Each end of a turn is a snapshot of the workspace in which the session works."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import trio

from runner.agents.driver import Agent, ShellAgent
from runner.agents.events import ErrorClass, SnapshotTaken
from runner.config import RunnerConfig
from runner.errors import ConfigError, HookVeto, WorkspaceBusy, WorkspaceNotFound
from runner.runner import Runner
from runner.runtime import open_runner
from runner.scopes.who import Who
from runner.sessions.session import Session
from runner.testing.scripted import ScriptedAgent
from runner.workspaces.project import Project
from runner.workspaces.records import SnapshotRecord
from runner.workspaces.workspace import Workspace

Make = Callable[..., Session]
Text = Callable[..., str]


async def turns_of(ws: Workspace, session: str = "mine") -> list[tuple[int, str]]:
    found: list[SnapshotRecord] = await ws.snapshots.list()
    return [
        (each.turn, each.name) for each in found if (each.kind, each.session) == ("turn", session)
    ]


async def test_each_end_of_a_turn_is_a_snapshot_however_it_ended(
    make: Make, ws: Workspace, r: Runner, until: Callable[..., object]
) -> None:
    async with make() as session:
        good = await session.send("!run echo one > src/a.txt")
        failed = await session.send("!run echo two > src/a.txt\n!fail 401")
        crashed = await session.send("!run echo three > src/a.txt\n!exit")
        async with trio.open_nursery() as nursery, session.events() as events:
            turns = []

            async def send() -> None:
                turns.append(await session.send("!run echo four > src/a.txt\n!sleep 60"))

            nursery.start_soon(send)
            await until(lambda: Path(ws.path, "src/a.txt").read_text() == "four\n")
            await session.interrupt()
            while not isinstance(taken := (await events.receive()).event, SnapshotTaken):
                pass
        with trio.move_on_after(0.5):
            await session.send("!run echo five > src/a.txt\n!sleep 60")
        past = session._state.store.ledger.turns("mine")

    assert (True, False, False) == (good.ok, failed.ok, crashed.ok)
    assert [ErrorClass.INTERRUPTED] == [each.error for each in turns]
    assert SnapshotTaken(turn=4, snapshot="turn-4-mine") == taken
    assert [(n, f"turn-{n}-mine") for n in range(6)] == await turns_of(ws)
    assert ["", *(f"turn-{n}-mine" for n in (1, 2, 3, 4))] == [
        "", good.snapshot, failed.snapshot, crashed.snapshot, turns[0].snapshot
    ]  # fmt: skip
    assert [f"turn-{n}-mine" for n in range(1, 6)] == [each.snapshot for each in past]
    for number, said in enumerate(("as it was", "one", "two", "three", "four", "five")):
        diff = await ws.diff(f"turn-{number}-mine")
        assert ([] if said == "five" else [said]) == [
            line[1:] for line in diff.text.splitlines() if line.startswith("-") and line[1] != "-"
        ]
    assert "mine" in {each.session for each in await ws.audit.logs(operation="snapshot")}


@pytest.mark.parametrize("agent", [ShellAgent(), ScriptedAgent()], ids=["shell", "scripted"])
async def test_a_session_that_is_not_kept_has_snapshots_too_on_behalf_of_its_scope(
    project: Project, make: Make, agent: Agent
) -> None:
    ws = await project.create("for-a-job", who=Who(job="j-1"), agent_id="shell")
    run = "" if isinstance(agent, ShellAgent) else "!run "
    for name in ("one", "two"):  # the second has the actor of the first, where that is passed on
        async with make(ws, agent=agent, id=name, durable=False) as session:
            turns = [await session.send(f"{run}echo {name} {n} > src/a.txt") for n in (1, 2)]
            with pytest.raises(ConfigError, match="a session that is not kept has no turn"):
                await session.rewind(1)
        assert [f"turn-{n}-{name}" for n in (1, 2)] == [each.snapshot for each in turns]

    assert [(n, f"turn-{n}-one") for n in range(3)] == await turns_of(ws, "one")
    diff = await ws.snapshots.diff("turn-0-two", "turn-1-two")
    assert ["M src/a.txt"] == [str(each) for each in diff]
    rows = await ws.audit.logs(operation="snapshot")
    assert {("one", "j-1", "shell"), ("two", "j-1", "shell")} == {
        (each.session, each.job, each.agent) for each in rows
    }


async def test_a_shell_and_a_directory_inside_are_no_exception(
    make: Make, ws: Workspace, text: Text
) -> None:
    async with make(ws.scope("src"), agent=ShellAgent()) as session:
        turn = await session.send("echo one > a.txt; echo x > ../b.txt")
        again = await session.send("echo two > a.txt")
        done = await session.rewind(1)

    assert ("turn-1-mine", "turn-2-mine") == (turn.snapshot, again.snapshot)
    assert ("one\n", "x\n") == (text(), text("b.txt"))
    assert (True, False) == (done.files, done.native)


async def test_of_a_workspace_without_snapshots_it_is_only_held(make: Make, ws: Workspace) -> None:
    async with make(snapshots=None) as session:
        turn = await session.send("!run echo one > src/a.txt")
        with pytest.raises(ConfigError, match="made with snapshots='turn'"):
            await session.rewind(1)

    assert ("", "") == (turn.snapshot, turn.snapshot_note)
    assert [] == await ws.snapshots.list()


@pytest.mark.parametrize("agent", [ScriptedAgent(), ShellAgent()], ids=["living", "per turn"])
async def test_it_is_held_as_long_as_a_program_of_the_session_lives(
    state: Path, base: Path, agent: Agent
) -> None:
    config = RunnerConfig(idle_after_worker=0.05)
    prompt = "true" if agent.kind == "shell" else "!say one"
    async with open_runner(config, state=state) as r:
        ws = await r.project(base).create("ws", way="copy")
        actor = r._projects.having(ws.id)._actors[ws.id]
        live = actor.live
        async with r.session(ws, agent, snapshots="turn") as session:
            await session.send(prompt)
            if agent.kind == "scripted":
                assert actor.spec.holds(actor)  # and so it is not reaped
                async with open_runner(config, state=state) as other:
                    there = await other.project(base).get("ws")
                    with pytest.raises(WorkspaceBusy):
                        await there.read("src/a.txt")
        with trio.fail_after(5):
            while live.attached is not None:
                await trio.sleep(0.01)
        assert not live.holders


async def test_a_workspace_that_is_deleted_takes_the_program_of_the_session_along(
    make: Make, project: Project, ws: Workspace
) -> None:
    async with make() as session:
        await session.send("!say one")
        assert session.statistics().pid is not None
        with trio.fail_after(10):
            async with trio.open_nursery() as nursery:
                turns = []

                async def send() -> None:
                    turns.append(await session.send("!sleep 60"))

                nursery.start_soon(send)
                while session.statistics().phase != "in turn":
                    await trio.sleep(0.01)
                await project.delete("ws", force=True)
        assert session.statistics().pid is None
        with pytest.raises(WorkspaceNotFound):
            await session.send("!say two")

    assert ErrorClass.INTERRUPTED is turns[0].error
    assert "there is no workspace 'ws'" in turns[0].snapshot_note
    assert not Path(ws.path).exists()


async def test_what_cannot_be_is_refused_before_anything(
    make: Make, r: Runner, project: Project, base: Path
) -> None:
    with pytest.raises(ConfigError, match="is in no workspace"):
        make(r.scope(base))
    with pytest.raises(ConfigError, match="'turn', or None"):
        make(snapshots="always")
    kept = await project.create("kept", read_only=True)
    async with make(kept) as session:
        with pytest.raises(ConfigError, match="read-only"):
            await session.send("!run echo one > src/a.txt")
        assert 0 == session.statistics().starts
        with pytest.raises(ConfigError, match="read-only"):
            await session.prewarm()
    assert "as it was\n" == (base / "src/a.txt").read_text()


async def test_a_session_that_is_not_kept_works_in_a_workspace_as_well(
    make: Make, text: Text
) -> None:
    async with make(durable=False, snapshots=None, agent=ShellAgent()) as session:
        assert (await session.send("echo one > src/a.txt")).ok

    assert "one\n" == text()


async def test_trouble_fails_no_turn_and_what_is_missing_is_taken_later_and_said(
    make: Make, ws: Workspace, project: Project, text: Text
) -> None:
    is_refused = True

    @project.hooks.before_snapshot
    def veto(*_: object) -> None:
        if is_refused:
            raise HookVeto("no room today")

    async with make() as session:
        first = await session.send("!run echo one > src/a.txt")
        is_refused = False
        second = await session.send("!run echo two > src/a.txt")
        past = session._state.store.ledger.turns("mine")

    assert first.ok
    assert "" == first.snapshot
    assert "before this turn is in no snapshot" in first.snapshot_note
    assert "no room today" in first.snapshot_note
    assert ("turn-2-mine", "turn-1-mine") == (second.snapshot, past[0].snapshot)
    assert "the snapshot of turn 1 was taken when the session went on" in second.snapshot_note
    assert "no room today" in past[0].snapshot_note
    assert [1, 2] == [number for number, _ in await turns_of(ws)]


async def test_a_turn_does_not_wait_for_what_others_run_in_the_workspace(
    make: Make, ws: Workspace
) -> None:
    with trio.fail_after(20):
        async with make() as session, trio.open_nursery() as nursery:
            nursery.start_soon(ws.exec, "touch began; sleep 60")
            while not Path(ws.path, "began").exists():
                await trio.sleep(0.01)
            turn = await session.send("!say one")
            nursery.cancel_scope.cancel()

    assert "turn-1-mine" == turn.snapshot
