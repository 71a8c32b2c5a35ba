"""What becomes of a prompt when a turn is in flight: it waits, steers, interrupts or is refused."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import trio

from runner.agents.events import ErrorClass
from runner.errors import AgentUnavailable, ConfigError, SessionBusy, SessionClosed
from runner.sessions.making import Sessions
from runner.sessions.phases import Phase
from runner.sessions.session import Session
from runner.sessions.trees import Trees
from runner.sessions.turn import Turn

Make = Callable[..., Session]
Until = Callable[..., Awaitable[None]]


@pytest.fixture
def make(sessions: Sessions, work: Path, fake: Callable[..., object]) -> Make:
    def make(**kwargs: object) -> Session:
        return sessions.make_session(str(work), driver=fake(**kwargs))

    return make


class Sent:
    """Turns that are sent beside each other, in the order in which they were answered."""

    def __init__(self, nursery: trio.Nursery, session: Session) -> None:
        self.nursery = nursery
        self.session = session
        self.turns: dict[str, Turn] = {}
        self.errors: dict[str, Exception] = {}

    async def send(self, prompt: str, when_busy: str = "queue") -> None:
        self.nursery.start_soon(self._send, prompt, when_busy)
        await trio.testing.wait_all_tasks_blocked()

    async def _send(self, prompt: str, when_busy: str) -> None:
        try:
            self.turns[prompt] = await self.session.send(prompt, when_busy=when_busy)
        except (SessionBusy, SessionClosed) as exc:
            self.errors[prompt] = exc


async def test_a_prompt_that_is_to_be_refused_is_so_while_a_turn_is_in_flight_or_waits(
    make: Make, until: Until
) -> None:
    async with make() as session, trio.open_nursery() as nursery:
        sent = Sent(nursery, session)
        await sent.send("wait")
        with pytest.raises(SessionBusy, match="in flight"):
            await session.send("say no", when_busy="refuse")
        await until(lambda: session.statistics().phase is Phase.IN_TURN)
        with pytest.raises(SessionBusy):
            await session.send("say no", when_busy="refuse")
        await session.interrupt()
        await until(lambda: sent.turns)

        assert (await session.send("say yes", when_busy="refuse")).ok


@pytest.mark.parametrize("attempt", range(5))
async def test_a_prompt_that_interrupts_is_next_whoever_waits(
    make: Make, until: Until, attempt: int
) -> None:
    async with make() as session, trio.open_nursery() as nursery:
        sent = Sent(nursery, session)
        await sent.send("wait")
        phases = {Phase.IN_TURN} if attempt else {Phase.STARTING, Phase.IN_TURN}
        await until(lambda: session.statistics().phase in phases)
        await sent.send("say waiting")
        await sent.send("say first", "interrupt")
        await until(lambda: len(sent.turns) == 3)

    assert ["wait", "say first", "say waiting"] == list(sent.turns)
    cut = sent.turns["wait"]
    assert (False, ErrorClass.INTERRUPTED) == (cut.ok, cut.error)
    assert "another prompt" in cut.error_text
    assert [1, 2, 3] == [turn.number for turn in sent.turns.values()]
    assert all(turn.ok for turn in list(sent.turns.values())[1:])


async def test_of_two_that_interrupt_the_later_cuts_the_earlier(make: Make, until: Until) -> None:
    async with make() as session, trio.open_nursery() as nursery:
        sent = Sent(nursery, session)
        await sent.send("wait")
        await until(lambda: session.statistics().phase is Phase.IN_TURN)
        await sent.send("wait\nsay 1", "interrupt")
        await until(lambda: len(sent.turns) == 1 and session.statistics().phase is Phase.IN_TURN)
        await sent.send("say 2", "interrupt")
        await until(lambda: len(sent.turns) == 3)

    assert [False, False, True] == [turn.ok for turn in sent.turns.values()]


async def test_who_interrupts_and_is_cancelled_while_it_waits_lets_others_have_the_floor(
    make: Make, until: Until
) -> None:
    async with make() as session, trio.open_nursery() as nursery:
        sent = Sent(nursery, session)
        await sent.send("unheard")
        await until(lambda: session.statistics().phase is Phase.IN_TURN)
        await sent.send("say waiting")
        with trio.move_on_after(0.05):
            await session.send("say never", when_busy="interrupt")
        await until(lambda: len(sent.turns) == 2)

    assert ["unheard", "say waiting"] == list(sent.turns)


async def test_a_prompt_that_steers_gets_the_turn_in_flight_for_its_answer(
    make: Make, until: Until
) -> None:
    async with make() as session, trio.open_nursery() as nursery:
        sent = Sent(nursery, session)
        await sent.send("steered")
        await until(lambda: session.statistics().turns)
        await sent.send("to the left", "steer")
        await until(lambda: len(sent.turns) == 2)
        own = await session.send("say own", when_busy="steer")

    assert sent.turns["steered"] is sent.turns["to the left"]
    assert "to the left" == sent.turns["steered"].final_message
    assert (2, "own") == (own.number, own.final_message)


@pytest.mark.parametrize("attempt", range(5))
async def test_a_prompt_that_steers_waits_for_a_turn_that_is_about_to_begin(
    make: Make, until: Until, monkeypatch: pytest.MonkeyPatch, attempt: int
) -> None:
    looking, go_on = trio.Event(), trio.Event()
    look = Trees.before

    async def before(trees: Trees, asked: float | None) -> object:
        looking.set()
        await go_on.wait()
        return await look(trees, asked)

    monkeypatch.setattr(Trees, "before", before)
    async with make() as session, trio.open_nursery() as nursery:
        sent = Sent(nursery, session)
        await sent.send("steered")
        await looking.wait()
        await sent.send("to the left", "steer")
        assert 0 == session.statistics().turns
        go_on.set()
        await until(lambda: len(sent.turns) == 2)

    assert sent.turns["steered"] is sent.turns["to the left"]


async def test_a_prompt_that_came_too_late_to_steer_has_a_turn_of_its_own(
    make: Make, until: Until
) -> None:
    async with make() as session, trio.open_nursery() as nursery:
        sent = Sent(nursery, session)
        await sent.send("wait")
        await until(lambda: session.statistics().phase is Phase.IN_TURN)
        await session.interrupt()
        await sent.send("say mine", "steer")
        await until(lambda: len(sent.turns) == 2)

    assert "mine" == sent.turns["say mine"].final_message


async def test_a_program_that_cannot_be_steered_is_said_before_anything_is_sent(
    sessions: Sessions, work: Path
) -> None:
    async with sessions.make_session(str(work)) as session:
        with pytest.raises(AgentUnavailable, match="takes no prompt into a turn"):
            await session.send("echo", when_busy="steer")

        assert 0 == session.statistics().turns


async def test_closing_answers_all_who_wait_for_the_floor(make: Make, until: Until) -> None:
    async with trio.open_nursery() as nursery:
        session = make()
        sent = Sent(nursery, session)
        await sent.send("wait")
        await until(lambda: session.statistics().phase is Phase.IN_TURN)
        await sent.send("wait\nsay 1", "interrupt")
        await sent.send("say 2", "interrupt")
        await session.aclose()
        await until(lambda: len(sent.turns) + len(sent.errors) == 3)

    assert Phase.CLOSED is session.statistics().phase


@pytest.mark.parametrize("when_busy", ["", "later", None])
async def test_what_is_no_way_to_be_busy_is_refused(make: Make, when_busy: object) -> None:
    async with make() as session:
        with pytest.raises(ConfigError, match="when_busy"):
            await session.send("say x", when_busy=when_busy)


async def test_an_interrupt_of_a_session_without_a_turn_starts_nothing(make: Make) -> None:
    async with make() as session:
        assert not await session.interrupt()
        assert (Phase.ABSENT, 0) == (session.statistics().phase, session.statistics().starts)


async def test_a_program_can_wait_for_the_first_prompt(make: Make, sessions: Sessions) -> None:
    async with make() as session:
        assert await session.prewarm()
        assert await session.prewarm()
        now = session.statistics()
        assert (Phase.IDLE, 1, 0) == (now.phase, now.starts, now.turns)
        turn = await session.send("say one")

        assert (True, 1) == (turn.ok, turn.number)
        assert 1 == session.statistics().starts


async def test_a_program_for_one_turn_cannot_wait_for_it(sessions: Sessions, work: Path) -> None:
    async with sessions.make_session(str(work)) as session:
        assert not await session.prewarm()
        assert (await session.send("echo one")).ok
