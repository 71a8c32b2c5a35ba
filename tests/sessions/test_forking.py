"""A fork goes on from a turn of another session, and neither knows of what the other does then."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import trio

from runner.agents.driver import ShellAgent
from runner.errors import AgentError, ConfigError, SessionClosed
from runner.sessions.forking import TOLD
from runner.sessions.making import Sessions
from runner.sessions.session import Session
from runner.testing.scripted import ScriptedAgent

Make = Callable[..., Session]


@pytest.fixture
def make(sessions: Sessions, work: Path) -> Make:
    def make(name: str = "mine", **options: object) -> Session:
        return sessions.make_session(str(work), driver=ScriptedAgent(), id=name, **options)

    return make


def prompts(state: Path, session: str) -> str:
    (file,) = (state / "sessions" / session).glob("scripted-*.jsonl")
    return file.read_text()


async def test_a_program_that_cannot_fork_is_told_the_turns_so_far(
    make: Make, state: Path, tmp_path: Path, sessions: Sessions
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    async with make() as session:
        for word in ("one", "two", "three"):
            await session.send(f"!say {word}")
        fork = await session.fork(at=2, directory=other, id="fork")
        async with fork:
            first = await fork.send("!say from the fork")
            await fork.send("!say again")
        record = sessions.ledger.load("fork")
        await session.send("!say four")

    told = prompts(state, "fork")
    earlier = "> User: !say one\\n> \\n> Agent: one\\n> \\n> User: !say two\\n> \\n> Agent: two"
    assert (1, "from the fork") == (first.number, first.final_message.splitlines()[-1])
    assert 1 == told.count("goes on from an earlier one") == told.count(earlier)
    assert "three" not in told
    assert record is not None
    assert ("mine", 2, str(other), False) == (
        record.parent, record.parent_turn, record.directory, record.context
    )  # fmt: skip
    assert "fork" not in prompts(state, "mine")


async def test_without_a_turn_named_it_is_the_last_one_that_ended(
    make: Make, state: Path, until: Callable[..., object]
) -> None:
    async with make() as session, trio.open_nursery() as nursery:
        await session.send("!say one")
        nursery.start_soon(session.send, "!sleep 60")
        await until(lambda: session.statistics().phase == "in turn")
        fork = await session.fork()
        with pytest.raises(ConfigError, match="no turn 2 that has ended"):
            await session.fork(at=2)
        await session.interrupt()
        async with fork:
            await fork.send("!say x")

    assert "Agent: one" in prompts(state, fork.id)
    assert "sleep" not in prompts(state, fork.id)


async def test_a_fork_is_there_for_who_comes_later(make: Make, state: Path) -> None:
    async with make() as session:
        await session.send("!say one")
        await (await session.fork(id="fork")).aclose()
    async with make("fork") as fork:
        await fork.send("!say two")

    assert TOLD.split("\n", 1)[0] in prompts(state, "fork")


async def test_a_fork_of_a_fork_has_all_turns_before_both(make: Make, state: Path) -> None:
    async with make() as session:
        await session.send("!say one")
        await session.send("!say two")
        fork = await session.fork(at=1, id="fork")
    async with fork:
        await fork.send("!say three")
        again = await fork.fork(id="again")
    async with again:
        await again.send("!say four")
        last = await again.fork(id="last")
    async with last:
        await last.send("!say five")

    for name, words in (("again", ("one", "three")), ("last", ("one", "three", "four"))):
        earlier = "\\n> \\n".join(f"> User: !say {word}\\n> \\n> Agent: {word}" for word in words)
        assert 1 == prompts(state, name).count(f"<earlier>\\n{earlier}\\n</earlier>")


async def test_of_earlier_turns_without_end_the_latest_are_told(
    make: Make, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runner.sessions.forking.CONTEXT_LIMIT", 20)
    async with make() as session:
        await session.send("!say one")
        fork = await session.fork(id="fork")
    async with fork:
        await fork.send("!say two")

    assert "<earlier>\\n> [6 characters are left out]\\n> \\n> !say one" in prompts(state, "fork")


async def test_the_earlier_turns_of_a_fork_that_are_gone_are_said(make: Make, state: Path) -> None:
    async with make() as session:
        await session.send("!say one")
        fork = await session.fork(id="fork")
    (state / "sessions" / "fork" / "context.txt").unlink()
    async with fork:
        with pytest.raises(AgentError, match="the earlier turns of 'fork' are gone"):
            await fork.send("!say two")


async def test_a_fork_that_cannot_be_written_is_said_and_is_none(
    make: Make, state: Path, sessions: Sessions
) -> None:
    (state / "sessions" / "fork" / "context.txt").mkdir(parents=True)
    async with make() as session:
        await session.send("!say one")
        with pytest.raises(AgentError, match="a fork of the session 'mine' cannot be written"):
            await session.fork(id="fork")
        assert sessions.ledger.load("fork") is None
        (state / "sessions" / "fork" / "context.txt").rmdir()
        async with await session.fork(id="fork") as fork:
            assert (await fork.send("!say two")).ok


@pytest.mark.parametrize("attempt", range(10))
async def test_a_fork_that_is_cancelled_is_none_and_can_be_made_again(
    make: Make, sessions: Sessions, attempt: int
) -> None:
    async with make() as session:
        await session.send("!say one")
        with trio.CancelScope() as cancel_scope:
            async with trio.open_nursery() as nursery:

                async def cancel() -> None:
                    for _ in range(attempt):
                        await trio.lowlevel.checkpoint()
                    cancel_scope.cancel()

                nursery.start_soon(cancel)
                await (await session.fork(id="fork")).aclose()
        if sessions.ledger.load("fork") is None:
            await (await session.fork(id="fork")).aclose()
    async with make("fork") as fork:
        assert (await fork.send("!say two")).ok


async def test_a_session_that_was_closed_for_good_is_not_forked(
    make: Make, sessions: Sessions
) -> None:
    async with make() as session:
        await session.send("!say one")
    record = sessions.ledger.load("mine")
    assert record is not None
    record.standing = "closed"
    sessions.ledger.save(record)
    async with make() as session:
        with pytest.raises(SessionClosed, match="'mine' was closed"):
            await session.fork()


async def test_the_turns_of_a_shell_are_each_by_itself(sessions: Sessions, work: Path) -> None:
    async with sessions.make_session(str(work), ShellAgent(), id="mine") as session:
        await session.send("echo one")
        async with await session.fork() as fork:
            turn = await fork.send("echo two")

    assert ("two", 1) == (turn.final_message, turn.number)


@pytest.mark.parametrize("at", [None, 0, 1, -1])
async def test_what_has_no_such_turn_is_not_forked(make: Make, at: int | None) -> None:
    async with make() as session:
        with pytest.raises(ConfigError, match="that has ended: there is nothing to fork"):
            await session.fork(at=at)


@pytest.mark.parametrize("at", [True, "1", 1.0])
async def test_what_is_no_number_of_a_turn_is_refused(make: Make, at: object) -> None:
    async with make() as session:
        await session.send("!say one")
        with pytest.raises(ConfigError, match="it is the number of a turn"):
            await session.fork(at=at)


async def test_what_is_there_is_never_forked_over(make: Make) -> None:
    async with make("other") as other:
        await other.send("!say other")
    async with make() as session:
        await session.send("!say one")
        with pytest.raises(ConfigError, match="there is a session 'other' already"):
            await session.fork(id="other")
    async with make("other") as other:
        assert 2 == (await other.send("!say other")).number


async def test_what_is_not_kept_or_closed_cannot_be_forked(make: Make) -> None:
    async with make(durable=False) as passing:
        with pytest.raises(ConfigError, match="not kept"):
            await passing.fork()
    with pytest.raises(AgentError, match="is closed"):
        await (session := make()).aclose()
        await session.fork()
