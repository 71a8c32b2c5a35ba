"""Turns that a provider limits, and that wait until it allows more."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import attrs
import pytest
import trio

from runner.actors.supervisor import open_supervisor
from runner.agents.driver import Setting, ShellAgent
from runner.agents.events import ErrorClass, Event, Parked, TurnEnded, Usage
from runner.agents.registry import make_driver
from runner.errors import ConfigError, RunnerError, SessionBusy
from runner.processes.host import ProcessHost
from runner.sessions.flight import Flight
from runner.sessions.ledger import SessionLedger, ledger_of
from runner.sessions.making import Sessions
from runner.sessions.parking import LEAST, LIMITED, MOST, Parker, pause
from runner.sessions.phases import Input, Phase
from runner.sessions.session import Session
from runner.sessions.state import SessionState
from runner.sessions.turn import Turn
from runner.sessions.turning import AGAIN_NOTE, CUT_NOTE

Make = Callable[..., Session]
Commands = Callable[[str], list[int]]
Until = Callable[..., Awaitable[None]]

# So long that no test waits for it.
LONG = 600.0
FOR_LONG = f"limit {LONG} 1"


@pytest.fixture
def make(sessions: Sessions, work: Path, fake: Callable[..., object]) -> Make:
    def make(*options: str, driver: object = None, **kwargs: object) -> Session:
        return sessions.make_session(str(work), driver=driver or fake(*options), **kwargs)

    return make


class Sent:
    """Turns that are sent beside what a test does."""

    def __init__(self, nursery: trio.Nursery, session: Session) -> None:
        self.nursery = nursery
        self.session = session
        self.turns: list[Turn] = []
        self.errors: list[RunnerError] = []

    def send(self, prompt: str, **options: object) -> None:
        self.nursery.start_soon(self._send, prompt, options)

    async def _send(self, prompt: str, options: dict[str, object]) -> None:
        try:
            self.turns.append(await self.session.send(prompt, **options))
        except RunnerError as exc:
            self.errors.append(exc)

    def is_parked(self) -> bool:
        return self.session.statistics().phase is Phase.PARKED


# ---------------------------------------------------------------- how long it waits


@pytest.mark.parametrize("chance", [0.0, 0.5, 1.0])
def test_it_waits_until_the_reset_and_a_little_longer_but_no_longer_than_it_may(
    chance: float,
) -> None:
    assert 100.0 + 10.0 * chance == pause(100.0, 1000.0, 0, chance)
    assert 3600.0 + MOST * chance == pause(3600.0, 9000.0, 0, chance)
    assert min(100.0 + 10.0 * chance, 103.0) == pause(100.0, 103.0, 0, chance)
    assert 100.0 == pause(100.0, 100.0, 0, chance)
    assert pause(100.0, 99.9, 0, chance) is None


def test_who_is_limited_again_at_once_waits_twice_as_long_each_time() -> None:
    assert [0.0, LEAST, 2 * LEAST, 4 * LEAST] == [pause(-5.0, 60.0, n, 0.0) for n in range(4)]
    assert pause(-5.0, 2.0, 3, 0.0) is None


@pytest.mark.parametrize("what", ["nothing", "interrupt", "close", "cut"])
async def test_who_wanted_its_end_when_it_was_over_does_not_have_it_wait(what: str) -> None:
    state = SessionState(id="s", agent="a", directory="/", private="/p", store=None, key="s")
    for given in (Input.TURN, Input.READY, Input.TURN):
        state.step(given)
    flight = Flight(number=1, max_park=LONG)
    soon = datetime.now(UTC) + timedelta(seconds=LONG / 2)
    number = flight.send()
    limited = {"ok": False, "message": "", "stop": "", "resets_at": soon}
    flight.take(TurnEnded(turn=number, error=ErrorClass.RATE_LIMITED, **limited))
    if what == "interrupt":
        assert not flight.cut_off(ErrorClass.INTERRUPTED, "too late")
    elif what == "close":
        state.step(Input.CLOSE)
    elif what == "cut":
        flight.cut = ErrorClass.AUTH
    parked: list[Event] = []

    class Parking(Exception):
        pass

    def tell(_flight: Flight, event: Event) -> None:
        parked.append(event)
        raise Parking

    parker = Parker(state=state, keeper=None, tell=tell)
    if what == "nothing":
        with pytest.raises(Parking):
            await parker.wait(flight, None)
    else:
        assert not await parker.wait(flight, None)

    assert (what == "nothing") is bool(parked) is (state.phase is Phase.PARKED)


# ---------------------------------------------------------------- what comes of it


async def test_it_goes_on_after_the_reset_with_the_prompt_that_was_limited(make: Make) -> None:
    prompt = "usage 5\nlimit 0.2 1\nsay on"
    async with make() as session:
        turn = await session.send(prompt, max_park=30)
        recalled = await session.send("recall")
        starts = session.statistics().starts

    assert (True, "on", 1, 2) == (turn.ok, turn.final_message, turn.number, starts)
    assert 0.1 < turn.parked < 10
    assert turn.resets_at is None
    assert (Usage(output_tokens=10), 0.5) == (turn.usage, turn.cost_usd)
    again = AGAIN_NOTE.format(LIMITED) + prompt
    assert f"{prompt} | {again}" == recalled.final_message


async def test_that_it_waits_and_until_when_is_an_event(make: Make) -> None:
    async with make() as session:
        await session.send("limit 0.2 1\nsay on", max_park=30)
        async with session.events(since=0) as events:
            async for each in events:
                if isinstance(each.event, Parked):
                    break

    assert 1 == each.turn
    assert timedelta() <= each.event.until - each.event.resets_at < timedelta(seconds=1)


async def test_no_program_of_it_lives_while_it_waits(
    make: Make, commands: Commands, until: Until
) -> None:
    async with make(max_park=2 * LONG) as session, trio.open_nursery() as nursery:
        sent = Sent(nursery, session)
        sent.send(f"orphan\n{FOR_LONG}")
        await until(sent.is_parked)
        await until(lambda: session.statistics().pid is None)
        assert [] == commands("fake-agent") + commands("sleep 300")
        now = session.statistics()
        await session.interrupt()

    assert (Phase.PARKED, None, 1) == (now.phase, now.pid, now.starts)
    assert 1 == sent.turns[0].leftovers


async def test_a_limit_that_is_reset_too_late_or_nobody_knows_when_is_an_error(make: Make) -> None:
    async with make(max_park=LONG) as session:
        late = await session.send("limit 1200 1")
        own = await session.send("limit 300 9", max_park=0.1)
        unknown = await session.send("fail rate_limited")
        another = await session.send("fail overloaded")
        starts = session.statistics().starts
    async with make() as session:
        nobody = await session.send("limit 0.01 1")
    turns = (late, own, unknown, another, nobody)

    limited = ErrorClass.RATE_LIMITED
    assert [limited, limited, limited, ErrorClass.OVERLOADED, limited] == [t.error for t in turns]
    assert [True, True, False, False, True] == [turn.resets_at is not None for turn in turns]
    assert ({0.0}, 1) == ({turn.parked for turn in turns}, starts)


async def test_what_it_may_wait_is_for_all_of_the_turn(make: Make) -> None:
    async with make() as session:
        turn = await session.send("limit 0.2 9", max_park=1.0)
        starts = session.statistics().starts

    # Once: the second time it would have to wait for another second at least.
    assert (False, ErrorClass.RATE_LIMITED, 2) == (turn.ok, turn.error, starts)
    assert 0.1 < turn.parked < 1.0
    assert turn.resets_at is not None


async def test_the_time_of_the_turn_rests_meanwhile(make: Make) -> None:
    async with make() as session:
        await session.send("say it runs")
        turn = await session.send("limit 1.1 2\nsay on", timeout=1.0, max_park=30)
        late = await session.send("limit 0.1 4\nwait", timeout=1.0, max_park=30)

    assert (True, "on") == (turn.ok, turn.final_message)
    assert turn.duration > 1.0
    assert (False, ErrorClass.TIMEOUT) == (late.ok, late.error)
    assert late.parked > 0.05


async def test_it_makes_no_difference_that_its_program_has_ended_by_itself(make: Make) -> None:
    async with make("ends") as session:
        turn = await session.send("limit 0.1 1\nsay on", max_park=30)

    assert (True, "on") == (turn.ok, turn.final_message)
    assert turn.parked > 0.05


@attrs.frozen
class LimitedShell:
    """A shell whose failures are limits that are reset soon."""

    driver: object = attrs.field(factory=lambda: make_driver(ShellAgent()))

    def __getattr__(self, name: str) -> object:
        return getattr(self.driver, name)

    def conversation(self, setting: Setting) -> object:
        return LimitedConversation(self.driver.conversation(setting))


@attrs.frozen
class LimitedConversation:
    inner: object

    def __getattr__(self, name: str) -> object:
        return getattr(self.inner, name)

    def receive_end(self, exit_code: int, stderr: bytes) -> list[Event]:
        events = self.inner.receive_end(exit_code, stderr)
        return [self._limited(each) if isinstance(each, TurnEnded) else each for each in events]

    def _limited(self, ended: TurnEnded) -> TurnEnded:
        if ended.ok:
            return ended
        soon = datetime.now(UTC) + timedelta(seconds=0.1)
        return attrs.evolve(ended, error=ErrorClass.RATE_LIMITED, resets_at=soon)


@pytest.mark.parametrize("durable", [False, True])
async def test_so_does_a_program_that_serves_one_turn_only(make: Make, durable: bool) -> None:
    async with make(driver=LimitedShell(), durable=durable) as session:
        turn = await session.send("mkdir once && exit 1; echo on", max_park=30)

    assert (True, "on") == (turn.ok, turn.final_message)
    assert turn.parked > 0.05


# ---------------------------------------------------------------- what comes in between


@pytest.mark.parametrize("attempt", range(3))
async def test_it_can_be_interrupted_and_the_next_prompt_says_so(
    make: Make, until: Until, attempt: int
) -> None:
    async with make(max_park=2 * LONG) as session, trio.open_nursery() as nursery:
        sent = Sent(nursery, session)
        sent.send(FOR_LONG)
        await until(sent.is_parked)
        if attempt:  # else its program is just being ended
            await until(lambda: session.statistics().pid is None)
        assert await session.interrupt()
        await until(lambda: sent.turns)
        assert Phase.REAPED is session.statistics().phase
        assert not await session.interrupt()
        await session.send("say two")
        recalled = await session.send("recall")

    (turn,) = sent.turns
    assert (False, ErrorClass.INTERRUPTED) == (turn.ok, turn.error)
    assert turn.resets_at is not None
    assert f"{FOR_LONG} | {CUT_NOTE}say two" == recalled.final_message


async def test_a_cancelled_caller_leaves_at_once(make: Make, until: Until, state: Path) -> None:
    async with make(max_park=2 * LONG, id="mine") as session:
        async with trio.open_nursery() as nursery:
            sent = Sent(nursery, session)
            sent.send(FOR_LONG)
            await until(sent.is_parked)
            nursery.cancel_scope.cancel()
        assert Phase.REAPED is session.statistics().phase
        assert (await session.send("say on")).ok
    ledger = SessionLedger(ledger_of(str(state)))
    first, second = ledger.turns("mine")
    ledger.close()

    assert ("interrupted", "ok") == (first.state, second.state)
    assert "its caller left" in first.error_text


async def test_closing_does_not_wait_for_it(make: Make, until: Until) -> None:
    session = make(max_park=2 * LONG)
    async with trio.open_nursery() as nursery:
        sent = Sent(nursery, session)
        sent.send(FOR_LONG)
        await until(sent.is_parked)
        with trio.fail_after(10):
            await session.aclose()

    assert Phase.CLOSED is session.statistics().phase
    assert "the session was closed" == sent.turns[0].error_text


async def test_nor_does_the_end_of_the_supervisor(
    host: ProcessHost, work: Path, state: Path, fake: Callable[..., object], until: Until
) -> None:
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery, open_supervisor(grace=0.1) as supervisor:
            sessions = Sessions(supervisor, host, str(state))
            session = sessions.make_session(str(work), driver=fake(), id="mine", max_park=2 * LONG)
            sent = Sent(nursery, session)
            sent.send(FOR_LONG)
            await until(sent.is_parked)
    record = sessions.ledger.load("mine")
    sessions.ledger.close()
    await session.aclose()

    assert 1 == len(sent.errors)
    assert ("open", 0, True) == (record.standing, record.in_flight, record.cut)


async def test_a_prompt_that_steers_has_a_turn_of_its_own_after_it(
    make: Make, until: Until
) -> None:
    async with make(max_park=30) as session, trio.open_nursery() as nursery:
        sent = Sent(nursery, session)
        sent.send("limit 0.3 1\nsay one")
        await until(sent.is_parked)
        with pytest.raises(SessionBusy):
            await session.send("say no", when_busy="refuse")
        sent.send("say two", when_busy="steer")
        await until(lambda: len(sent.turns) == 2)

    assert [(1, "one"), (2, "two")] == [(turn.number, turn.final_message) for turn in sent.turns]


async def test_a_prompt_that_interrupts_takes_its_place(make: Make, until: Until) -> None:
    async with make(max_park=2 * LONG) as session, trio.open_nursery() as nursery:
        sent = Sent(nursery, session)
        sent.send(FOR_LONG)
        await until(sent.is_parked)
        turn = await session.send("say me", when_busy="interrupt")
        await until(lambda: sent.turns)

    assert (2, "me") == (turn.number, turn.final_message)
    assert "another prompt" in sent.turns[0].error_text


async def test_the_ledger_says_that_a_turn_waits_and_that_it_goes_on(
    make: Make, until: Until, state: Path
) -> None:
    ledger = SessionLedger(ledger_of(str(state)))
    async with make(id="mine", max_park=30) as session, trio.open_nursery() as nursery:
        sent = Sent(nursery, session)
        sent.send("limit 0.3 1\nwait")
        await until(sent.is_parked)
        parked = ledger.load("mine")
        await until(lambda: session.statistics().phase is Phase.IN_TURN)
        await until(lambda: ledger.load("mine").standing == "open")
        going_on = ledger.load("mine")
        await session.interrupt()
    ledger.close()

    assert ("parked", 1) == (parked.standing, parked.in_flight)
    assert ("open", 1) == (going_on.standing, going_on.in_flight)


@pytest.mark.parametrize("value", [0, -1, float("inf"), "1", True])
async def test_what_is_no_number_of_seconds_is_refused(make: Make, value: object) -> None:
    async with make() as session:
        with pytest.raises(ConfigError, match="a max_park"):
            await session.send("say one", max_park=value)
    with pytest.raises(ConfigError, match="a max_park"):
        make(max_park=value)
