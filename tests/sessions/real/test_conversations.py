"""The real claude and codex, over many turns and through what can happen to them.

They ask a model server on this machine; what the model does is said by the prompts.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import trio

from runner.agents.driver import Access
from runner.agents.events import ErrorClass, Usage
from runner.sessions.making import Sessions
from runner.sessions.session import Session
from runner.testing.model_server import Served

pytestmark = pytest.mark.real_agents

Make = Callable[..., Session]
Commands = Callable[[str], list[int]]
Until = Callable[..., Awaitable[None]]
Kill = Callable[[Session, str], Awaitable[None]]


async def test_a_conversation_goes_on_through_everything(
    make: Make, kill: Kill, work: Path, tree: Callable[[], dict[int, str]], until: Until
) -> None:
    """One conversation: tools, verbatim prompts, a kill, a reap, a reopening."""
    async with make(id="one", idle_after=2.5) as session:
        first = await session.send("!write a/one.txt: 1\n!run echo two > two.txt\n!say made")
        assert (True, "made") == (first.ok, first.final_message), first
        assert ["a/one.txt", "two.txt"] == [str(path) for path in first.files_created]

        for prompt in ("/clear is no command here", "--version"):
            assert (await session.send(prompt)).ok
        recalled = await session.send("!recall 2")
        assert "/clear is no command here" in recalled.final_message
        assert "--version" in recalled.final_message
        assert 1 == session.statistics().starts

        await kill(session, "!recall 2")  # between two turns
        turn = await session.send("!run echo again >> two.txt\n!recall 3")
        assert turn.ok, turn
        assert "--version" in turn.final_message
        assert ["two.txt"] == [str(path) for path in turn.files_modified]

        await until(lambda: session.statistics().phase == "reaped")  # reaped
        turn = await session.send("!recall")
        assert turn.ok, turn
        assert "!write a/one.txt: 1" in turn.final_message
        starts = session.statistics().starts

    async with make(id="one") as session:  # as a later process would
        turn = await session.send("!recall")
        assert turn.ok, turn
        assert "!write a/one.txt: 1" in turn.final_message
        assert first.conversation == turn.conversation
    assert 3 == starts
    assert {} == tree()


async def test_usage_and_cost_are_of_each_turn_also_after_a_resume(
    make: Make, kill: Kill, kind: str
) -> None:
    async with make() as session:
        turns = [await session.send("!usage input=1000 output=10\n!say a")]
        turns.append(await session.send("!usage input=2000 output=20\n!say b"))
        await kill(session, "input=2000")
        turns.append(await session.send("!usage input=3000 output=30\n!say c"))

    assert all(turn.ok for turn in turns), turns
    assert [Usage(input_tokens=1000 * n, output_tokens=10 * n) for n in (1, 2, 3)] == [
        turn.usage for turn in turns
    ]
    if kind == "claude":
        costs = [turn.cost_usd or 0.0 for turn in turns]
        assert costs[0] > 0
        assert costs == pytest.approx([costs[0], 2 * costs[0], 3 * costs[0]])
    else:
        assert [None] * 3 == [turn.cost_usd for turn in turns]


async def break_out(session: Session, work: Path, outside: Path) -> dict[str, bool]:
    """Try to write inside and outside by a command and by the edit tool; what was written."""
    await session.send(
        f"!run echo x > inside-run\n!run echo x > {outside}/run\n"
        f"!run sh -c 'cd .. && echo x > {outside}/sh'\n!say done"
    )
    await session.send(f"!write inside-write: x\n!write {outside}/write: x\n!say done")
    return {
        **{f"inside-{how}": (work / f"inside-{how}").exists() for how in ("run", "write")},
        **{f"outside-{how}": (outside / how).exists() for how in ("run", "sh", "write")},
    }


@pytest.fixture
def outside(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory that is not below the directory for temporary files, where codex may write."""
    home = Path.home()
    path = home / f".runner-test-{os.getpid()}-{tmp_path_factory.mktemp('x').name}"
    try:
        path.mkdir()
    except OSError:
        pytest.skip(f"needs a home that can be written to, which {home} is not")
    return path


@pytest.mark.parametrize("access", ["read-only", "workspace-write", "danger-full-access"])
async def test_access_holds_when_the_agent_tries_to_break_it(
    make: Make, work: Path, outside: Path, access: Access, kind: str
) -> None:
    expected = {
        "read-only": {"inside": False, "outside": False},
        "workspace-write": {"inside": True, "outside": False},
        "danger-full-access": {"inside": True, "outside": True},
    }[access]
    try:
        async with make(access) as session:
            found = await break_out(session, work, outside)
    finally:
        for path in outside.iterdir():
            path.unlink()
        outside.rmdir()

    assert {how: expected[how.partition("-")[0]] for how in found} == found


async def test_a_conversation_is_forked_by_the_program_at_any_turn(
    make: Make, tmp_path: Path, sessions: Sessions, work: Path, until: Until
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    async with make(id="one") as session:
        for word in ("first", "second", "third"):
            assert (await session.send(f"!say {word} answer")).ok
        middle = await session.fork(at=2, directory=other, id="middle")
        end = await session.fork(id="end")
        assert (await session.send("!say fourth answer")).ok
        async with middle:
            turn = await middle.send("!recall")
            assert turn.ok, turn
            assert "second answer" in turn.final_message
            assert "third answer" not in turn.final_message
            assert (await middle.send("!say only here")).ok
        async with end:
            turn = await end.send("!recall")
            assert turn.ok, turn
            assert "third answer" in turn.final_message
            assert "fourth answer" not in turn.final_message
        turn = await session.send("!recall")
        assert "fourth answer" in turn.final_message
        assert "only here" not in turn.final_message
        async with trio.open_nursery() as nursery:  # in a turn, which a fork is to know nothing of
            nursery.start_soon(session.send, "!run echo in flight && touch begun && sleep 60")
            await until((work / "begun").exists)
            async with await session.fork(at=1) as in_flight:
                turn = await in_flight.send("!recall")
                assert "first answer" in turn.final_message, turn
                assert "second answer" not in turn.final_message
            async with await session.fork() as latest:
                turn = await latest.send("!recall")
                assert turn.ok, turn
                assert "fourth answer" in turn.final_message
                assert "in flight" not in turn.final_message
            assert await session.interrupt()
    async with make(directory=str(other), id="middle") as middle:
        async with await middle.fork(at=1, id="again") as again:  # a fork of a fork
            turn = await again.send("!recall")
        assert turn.ok, turn
        assert "second answer" in turn.final_message
        assert "only here" not in turn.final_message
        turn = await middle.send("!recall")
        assert turn.ok, turn
        assert "only here" in turn.final_message
    records = {name: sessions.ledger.load(name) for name in ("middle", "end", "again")}

    assert all(record is not None and record.origin for record in records.values()), records
    assert not any(record.context for record in records.values() if record is not None)


async def test_a_conversation_that_was_summed_up_is_forked_from_before_that_as_well(
    make: Make, kind: str, model_server: Served
) -> None:
    async with make() as session:
        for prompt in ("my word is tulip", "!fill 300000\n!say long", "!fill 300000\n!say longer"):
            assert (await session.send(prompt)).ok
        overflown = await session.send("!fail context_overflow")
        assert ErrorClass.CONTEXT_OVERFLOW is overflown.error
        async with await session.fork(at=1) as fork:
            turn = await fork.send("!recall")

    assert turn.ok, turn
    # claude cannot go back to it by itself: then it is told the turns so far, as text.
    told = model_server.requests[-1].prompt if kind == "claude" else turn.final_message
    assert "my word is tulip" in told
    assert "!fill" not in told


async def test_a_provider_that_never_answers_is_a_silence_which_ends(
    make: Make,
) -> None:
    async with make() as session:
        first = await session.send("!say one")
        turn = await session.send("!hang", silence=1.0)
        after = await session.send("!say on")

    assert first.ok
    assert (False, ErrorClass.STALLED) == (turn.ok, turn.error)
    assert ["note", "interrupt", "note", "revive", "note", "fail"] == [
        rung.act for rung in turn.rungs
    ]
    assert (True, "on") == (after.ok, after.final_message)
