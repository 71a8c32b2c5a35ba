"""SIGKILL of the supervisor between a turn's end and its snapshot, in a turn, and in a rewind."""

from __future__ import annotations

import os
import signal
import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import trio

from runner.runtime import open_runner
from runner.sessions.ledger import SessionLedger, ledger_of
from runner.sessions.record import PastRewind, PastTurn, lineage
from runner.sessions.session import Session
from runner.testing.scripted import ScriptedAgent
from runner.workspaces.tenant import Tenant
from runner.workspaces.workspace import Workspace

Body = Callable[[Session, Workspace], Awaitable[None]]


@pytest.fixture
def carry_out(state: Path, base: Path) -> Callable[[Body], None]:
    """Carry something out in a session of a workspace, by a supervisor."""

    def run(body: Body) -> None:
        async def main() -> None:
            with trio.fail_after(30):
                async with open_runner(state=state) as r:
                    project = r.project(base)
                    is_there = await project.exists("ws")
                    ws = await (project.get("ws") if is_there else project.create("ws"))
                    async with r.session(ws, ScriptedAgent(), id="mine", snapshots="turn") as s:
                        await body(s, ws)

        trio.run(main)

    return run


@pytest.fixture
def killed(carry_out: Callable[[Body], None]) -> Callable[[Body], None]:
    """The same in a process of its own, which does not live to its end."""

    def run(body: Body) -> None:
        pid = os.fork()
        if not pid:
            try:
                carry_out(body)
            finally:
                os._exit(1)
        _, status = os.waitpid(pid, 0)
        assert os.WIFSIGNALED(status)

    return run


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


async def write(session: Session, word: str) -> None:
    turn = await session.send(f"!run echo {word} > src/a.txt\n!say {word}")
    assert turn.ok, turn


def say(ws: Workspace) -> str:
    return Path(ws.path, "src/a.txt").read_text()


def turns_in(state: Path) -> list[PastTurn]:
    return SessionLedger(ledger_of(str(state))).turns("mine")


def rewinds_in(state: Path) -> list[PastRewind]:
    return SessionLedger(ledger_of(str(state))).rewinds("mine")


@pytest.mark.parametrize("moment", ["before it is taken", "before it is written down"])
def test_a_snapshot_that_is_missing_is_taken_when_the_session_goes_on_and_said(
    carry_out: Callable[[Body], None],
    killed: Callable[[Body], None],
    state: Path,
    moment: str,
) -> None:
    async def first(session: Session, ws: Workspace) -> None:
        keep = Tenant.keep

        async def cut(tenant: Tenant, name: str, turn: int, **options: object) -> str:
            if turn == 2 and moment == "before it is taken":
                die()
            kept = await keep(tenant, name, turn, **options)
            if turn == 2:
                die()
            return kept

        Tenant.keep = cut
        await write(session, "one")
        await write(session, "two")

    async def then(session: Session, ws: Workspace) -> None:
        turn = await session.send("!say three")
        assert "the snapshot of turn 2 was taken when the session went on" in turn.snapshot_note
        found = {each.turn: each for each in await ws.snapshots.list() if each.session}
        assert [0, 1, 2, 3] == sorted(found)
        if moment == "before it is taken":
            assert "killed before it could be taken" in found[2].description
        await session.rewind(1)
        await session.rewind(2)
        assert "two\n" == say(ws)

    killed(first)
    assert ["ok", "ok"] == [each.state for each in turns_in(state)]
    assert ["turn-1-mine", ""] == [each.snapshot for each in turns_in(state)]
    carry_out(then)
    assert "turn-2-mine" == turns_in(state)[1].snapshot


def test_of_a_turn_that_was_cut_by_a_kill_there_is_a_snapshot_too(
    carry_out: Callable[[Body], None], killed: Callable[[Body], None], state: Path
) -> None:
    async def first(session: Session, ws: Workspace) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(session.send, "!run echo half > src/a.txt\n!sleep 60")
            while say(ws) != "half\n":
                await trio.sleep(0.001)
            die()

    async def then(session: Session, ws: Workspace) -> None:
        Path(ws.path, "b.txt").write_text("b\n")  # in between
        await session.rewind(0)
        assert ("as it was\n", False) == (say(ws), Path(ws.path, "b.txt").exists())
        await session.rewind(1)
        assert ("half\n", True) == (say(ws), Path(ws.path, "b.txt").exists())

    killed(first)
    carry_out(then)
    assert [("cut", "turn-1-mine")] == [(t.state, t.snapshot) for t in turns_in(state)]


@pytest.mark.parametrize("conversation", [True, False])
@pytest.mark.parametrize("moment", ["before the files", "after the files"])
def test_a_rewind_is_finished_or_never_was(
    carry_out: Callable[[Body], None],
    killed: Callable[[Body], None],
    state: Path,
    moment: str,
    conversation: bool,
) -> None:
    async def first(session: Session, ws: Workspace) -> None:
        restore = Tenant.restore

        async def cut(tenant: Tenant, name: str, turn: int, *, force: bool) -> str:
            if moment == "before the files":
                die()
            await restore(tenant, name, turn, force=force)
            die()
            return ""

        Tenant.restore = cut
        await write(session, "one")
        await write(session, "two")
        await session.rewind(1, conversation=conversation)

    async def then(session: Session, ws: Workspace) -> None:
        turn = await session.send("!recall")
        said = turn.final_message + (await session.send("!recall")).final_message
        is_done = moment == "after the files"
        assert ("one\n" if is_done else "two\n") == say(ws)
        assert (is_done and conversation) == ("!say two" not in said)
        assert (is_done and not conversation) == ("what they were after turn 1" in said)

    killed(first)
    assert [None] == [each.ended for each in rewinds_in(state)]
    carry_out(then)
    assert [moment == "after the files"] * len(rewinds_in(state)) == [
        each.ended is not None for each in rewinds_in(state)
    ]
    assert (moment == "after the files") == bool(rewinds_in(state))


def test_a_ledger_of_the_version_before_knows_where_each_conversation_stands(
    tmp_path: Path,
) -> None:
    path = tmp_path / "sessions.db"
    ledger = SessionLedger(str(path))
    ledger.file.open()
    ledger.close()
    with sqlite3.connect(path) as old:  # as it was then
        for table, column in (
            ("sessions", "head"), ("sessions", "rewound"), ("sessions", "note"),
            ("turns", "conversation"), ("turns", "follows"),
            ("turns", "snapshot"), ("turns", "snapshot_note"),
        ):  # fmt: skip
            old.execute(f"ALTER TABLE {table} DROP COLUMN {column}")
        old.execute("DROP TABLE rewinds")
        names = [row[1] for row in old.execute("PRAGMA table_info(sessions)")]
        row = ["mine" if name == "id" else 2 if name == "turns" else 0 for name in names]
        old.execute(f"INSERT INTO sessions VALUES ({', '.join('?' * len(row))})", row)
        old.executemany(
            "INSERT INTO turns (session, number, state, began, ended, cursor)"
            " VALUES ('mine', ?, 'ok', '', '', 0)",
            [(1,), (2,)],
        )
        old.execute("PRAGMA user_version = 2")
    old.close()

    ledger = SessionLedger(str(path))
    turns = ledger.turns("mine")
    with ledger.file.reading() as connection:
        ((head,),) = connection.execute("SELECT head FROM sessions").fetchall()
    ledger.close()

    assert [(1, 0, ""), (2, 1, "")] == [(t.number, t.follows, t.snapshot) for t in turns]
    assert (2, {1, 2}) == (head, lineage(turns, head))
    assert [] == ledger.rewinds("mine")
    ledger.close()
