"""An interrupt hits the turn that is in flight, or is about to begin, at whatever moment it comes."""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
import trio

from runner.agents.events import ErrorClass
from runner.sessions.arrivals import Arrivals
from runner.sessions.making import Sessions
from runner.sessions.session import Session
from runner.sessions.turn import Send, Turn

Make = Callable[..., Session]


@pytest.fixture
def make(sessions: Sessions, work: Path, fake: Callable[..., object]) -> Make:
    def make(**kwargs: object) -> Session:
        return sessions.make_session(str(work), driver=fake(), id="mine", **kwargs)

    return make


async def send(session: Session, prompt: str, turns: list[Turn]) -> None:
    turns.append(await session.send(prompt))


@pytest.mark.parametrize("attempt", range(30))
async def test_a_turn_whose_session_is_just_being_loaded_is_hit(make: Make, attempt: int) -> None:
    async with make() as session:
        assert (await session.send("say one")).ok
    turns: list[Turn] = []
    async with make() as session:
        with trio.fail_after(20):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(send, session, "wait", turns)
                for _ in range(2 + attempt % 10):  # else it may not have been sent yet
                    await trio.lowlevel.checkpoint()
                assert await session.interrupt()

        assert [ErrorClass.INTERRUPTED] == [turn.error for turn in turns]
        assert (await session.send("say two")).ok


async def test_a_turn_that_waits_for_the_ledger_is_hit_and_its_program_lives_on(
    make: Make, sessions: Sessions, until: Callable[..., Awaitable[None]]
) -> None:
    turns: list[Turn] = []
    async with make() as session:
        assert (await session.send("say one")).ok
        with trio.fail_after(20), closing(sqlite3.connect(sessions.ledger.path)) as other:
            async with trio.open_nursery() as nursery:
                other.execute("BEGIN IMMEDIATE")
                nursery.start_soon(send, session, "wait", turns)
                await trio.testing.wait_all_tasks_blocked()
                hit = [await session.interrupt(), await session.interrupt()]
                other.execute("ROLLBACK")

        assert [True, False] == hit
        assert [(ErrorClass.INTERRUPTED, 2)] == [(turn.error, turn.number) for turn in turns]
        assert (await session.send("recall")).final_message == "say one"
        assert 1 == session.statistics().starts


def test_of_several_on_their_way_the_next_one_is_hit_and_once() -> None:
    arrivals = Arrivals()
    first, urgent, gone = Send(prompt="x"), Send(prompt="x", urgent=True), Send(prompt="x")
    assert not arrivals.cut()
    with ExitStack() as sent:
        with arrivals.sending(gone):
            assert arrivals.cut()
        for each in (first, urgent):
            sent.enter_context(arrivals.sending(each))
        assert (True, False) == (arrivals.cut(), arrivals.cut())
        assert (True, False) == (arrivals.take(urgent), arrivals.take(gone))
        assert not arrivals.take(first)

    assert not arrivals.cut()
