"""A session is set back to the end of a turn: its files, its conversation, or both."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import trio

from runner.agents.events import Rewound
from runner.errors import (
    ConfigError,
    SessionBusy,
    SessionClosed,
    SessionOwned,
    SnapshotNotFound,
    UncommittedChanges,
)
from runner.runner import Runner
from runner.sessions.making import Sessions
from runner.sessions.session import Session
from runner.testing.scripted import ScriptedAgent
from runner.workspaces.project import Project
from runner.workspaces.workspace import Workspace

Make = Callable[..., Session]
Text = Callable[..., str]


async def turns(session: Session, *words: str) -> None:
    for word in words:
        turn = await session.send(f"!run echo {word} > src/a.txt\n!say {word}")
        assert turn.ok, turn


async def known(session: Session) -> str:
    """What the program is asked, and what it is told before that."""
    turn = await session.send("!recall")
    said = await session.send("!recall")
    assert (turn.ok, said.ok) == (True, True)
    return turn.final_message + said.final_message


async def test_both_are_set_back_and_the_session_goes_on_under_its_id(
    make: Make, ws: Workspace, text: Text
) -> None:
    async with make() as session:
        await turns(session, "one", "two", "three")
        done = await session.rewind(1)
        assert "one\n" == text()
        said = await known(session)
        rewinds = session._state.store.ledger.rewinds("mine")
        past = session._state.store.ledger.turns("mine")

    undo = await ws.snapshots.show(done.undo)
    assert (Rewound(turn=1, files=True, conversation=True, undo=undo.name), "undo") == (
        done, undo.kind
    )  # fmt: skip
    assert "Agent: one" in said
    assert "two" not in said
    assert "three" not in said
    assert [(1, True, True, 3, done.undo)] == [
        (each.turn, each.files, each.conversation, each.head, each.undo) for each in rewinds
    ]
    assert rewinds[0].ended is not None
    assert [(1, 0), (2, 1), (3, 2), (4, 1), (5, 4)] == [(t.number, t.follows) for t in past]


async def test_one_can_go_back_and_forth(make: Make, text: Text) -> None:
    async with make() as session:
        await turns(session, "one", "two")
        await session.rewind(0)
        assert "as it was\n" == text()
        await turns(session, "three")
        await session.rewind(2)
        assert "two\n" == text()
        said = await known(session)
        await session.rewind(3)
        assert "three\n" == text()
        again = await known(session)

    assert ("Agent: one" in said, "Agent: two" in said, "three" in said) == (True, True, False)
    assert ("Agent: three" in again, "Agent: one" in again, "two" in again) == (True, False, False)


async def test_the_files_only_and_the_program_is_told_so(make: Make, text: Text) -> None:
    async with make() as session:
        await turns(session, "one", "two")
        done = await session.rewind(1, conversation=False)
        said = await known(session)

    assert "one\n" == text()
    assert (True, False) == (done.files, done.conversation)
    assert "!say two" in said
    assert 1 == said.count("files of your directory were set back to what they were after turn 1")


async def test_the_conversation_only_and_the_program_is_told_so(make: Make, text: Text) -> None:
    async with make() as session:
        await turns(session, "one", "two")
        done = await session.rewind(1, files=False)
        said = await known(session)

    assert "two\n" == text()
    assert (False, True, "") == (done.files, done.conversation, done.undo)
    assert "Agent: one" in said
    assert "!say two" not in said
    assert 1 == said.count("set back to what it was after turn 1; the files of your directory")


async def test_of_files_without_history_the_conversation_alone_is_set_back(
    sessions: Sessions, work: Path
) -> None:
    async with sessions.make_session(str(work), driver=ScriptedAgent(), id="mine") as session:
        await turns_without_files(session, "one", "two")
        with pytest.raises(ConfigError, match="have no snapshots"):
            await session.rewind(1)
        await session.rewind(1, files=False)
        assert "!say two" not in await known(session)
    async with sessions.make_session(str(work), driver=ScriptedAgent(), durable=False) as passing:
        await passing.send("!say one")
        with pytest.raises(ConfigError, match="not kept has no turn to go back to"):
            await passing.rewind(1, files=False)


async def test_a_conversation_that_is_set_back_alone_is_written_down_at_once(
    sessions: Sessions, work: Path
) -> None:
    said: list[str] = []
    async with sessions.make_session(str(work), driver=ScriptedAgent(), id="mine") as session:
        await turns_without_files(session, "one", "two")
        with sessions.ledger.file.reading() as connection:
            connection.set_trace_callback(said.append)
        await session.rewind(1, files=False)
        with sessions.ledger.file.reading() as connection:
            connection.set_trace_callback(None)

    transactions = [each for each in "\n".join(said).split("BEGIN") if " INTO rewinds" in each]
    assert 1 == len(transactions)
    assert " INTO sessions" in transactions[0]
    assert 1 == transactions[0].count("COMMIT")
    assert [True] == [each.ended is not None for each in sessions.ledger.rewinds("mine")]


async def turns_without_files(session: Session, *words: str) -> None:
    for word in words:
        await session.send(f"!say {word}")


async def test_what_it_was_set_back_to_survives_a_new_owner_and_a_fork(
    make: Make, text: Text
) -> None:
    async with make() as session:
        await turns(session, "one", "two")
        await session.rewind(1)
    async with make() as session:
        fork = await session.fork(id="fork")
        assert "one\n" == text(directory=fork.directory)
        async with fork:
            forked = await known(fork)
        said = await known(session)

    for each in (said, forked):
        assert ("Agent: one" in each, "two" in each) == (True, False)


async def test_to_where_it_stands_only_what_was_changed_since_goes(
    make: Make, ws: Workspace, text: Text
) -> None:
    async with make() as session:
        await turns(session, "one")
        Path(ws.path, "src/a.txt").write_text("by hand\n")
        with pytest.raises(UncommittedChanges, match=r"src/a\.txt"):
            await session.rewind(1)
        assert ("by hand\n", []) == (text(), session._state.store.ledger.rewinds("mine"))
        done = await session.rewind(1, force=True)
        turn = await session.send("!recall")

    assert "one\n" == text()
    assert "by hand" in (await ws.snapshots.diff(done.undo, "turn-1-mine")).text
    assert "!say one" in turn.final_message  # the same conversation


async def test_it_is_refused_while_a_turn_is_in_flight(
    make: Make, until: Callable[..., object], text: Text
) -> None:
    async with make() as session, trio.open_nursery() as nursery:
        await turns(session, "one")
        nursery.start_soon(session.send, "!run echo two > src/a.txt\n!sleep 60")
        await until(lambda: text() == "two\n")
        with pytest.raises(SessionBusy, match="interrupt it, or wait"):
            await session.rewind(1)
        await session.interrupt()

    assert "two\n" == text()
    with pytest.raises(SessionClosed):
        await session.rewind(1)


async def test_what_is_not_there_is_refused_with_what_there_is(
    make: Make, ws: Workspace, text: Text
) -> None:
    async with make() as session:
        with pytest.raises(ConfigError, match="no turn 1 that has ended: it has none; 0 is"):
            await session.rewind(1)
        await turns(session, "one", "two", "three")
        with pytest.raises(ConfigError, match="no turn 9 that has ended: it has turns 1 to 3"):
            await session.rewind(9)
        for wrong in (-1, True, "2", None):
            with pytest.raises(ConfigError, match="it is the number of a turn"):
                await session.rewind(wrong)
        with pytest.raises(ConfigError, match="neither the files nor the conversation"):
            await session.rewind(1, files=False, conversation=False)
        with pytest.raises(ConfigError, match="force='yes'"):
            await session.rewind(1, force="yes")
        await ws.snapshots.delete("turn-2-mine")
        with pytest.raises(SnapshotNotFound, match="turn-1-mine"):
            await session.rewind(2)
        assert 1 == session.statistics().starts  # nothing of it ended the program

    assert "three\n" == text()


async def test_a_fork_at_a_turn_works_in_a_workspace_of_its_own(
    make: Make, project: Project, text: Text
) -> None:
    async with make() as session:
        await turns(session, "one", "two")
        fork = await session.fork(at=1, workspace="other", id="fork")
        async with fork:
            assert ("one\n", "two\n") == (text(directory=fork.directory), text())
            await turns(fork, "three")
            said = await known(fork)
            await fork.rewind(0)
            assert ("one\n", "two\n") == (text(directory=fork.directory), text())
        unnamed = await session.fork(at=2)
        await unnamed.aclose()

    record = (await project.get("other")).record
    assert (record.tree, "ws/turn-1-mine") == (fork.directory, record.base.ref)
    assert ("Agent: one" in said, "two" in said) == (True, False)
    assert [True] == [
        each.name.startswith("ws-turn-2-")
        for each in await project.list()
        if each.name not in ("ws", "other")
    ]


async def test_a_fork_that_cannot_be_leaves_no_workspace(
    make: Make, project: Project, ws: Workspace, r: Runner, base: Path
) -> None:
    async with make() as session:
        await turns(session, "one", "two")
        with pytest.raises(SessionOwned, match="is open already"):
            await session.fork(at=1, id="mine", workspace="other")
        with pytest.raises(ConfigError, match="no turn 7"):
            await session.fork(at=7, workspace="other")
        with pytest.raises(ConfigError, match="or a directory"):
            await session.fork(at=1, directory=base, workspace="other")
        await ws.snapshots.delete("turn-1-mine")
        with pytest.raises(SnapshotNotFound):
            await session.fork(at=1, workspace="other")
        elsewhere = await session.fork(at=1, directory=base)
        await elsewhere.aclose()
    async with r.session(r.scope(base), ScriptedAgent(), id="plain") as plain:
        await plain.send("!say one")
        with pytest.raises(ConfigError, match="no snapshots to make it of"):
            await plain.fork(workspace="other")
    async with make(id="unkept", snapshots=None) as unkept:
        await unkept.send("!say one")
        same = await unkept.fork()
        async with same:
            turn = await same.send("!run echo fork > src/a.txt")

    assert (str(base), ws.path, True) == (elsewhere.directory, same.directory, turn.ok)
    assert ["ws"] == [each.name for each in await project.list()]
