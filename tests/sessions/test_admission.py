"""Who may start a program: so many at a time, only where there is memory, in order of arrival."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import pytest
import trio
import trio.testing

from runner.config import RunnerConfig
from runner.runtime import open_runner
from runner.sessions.admission import Admission, AdmissionStatistics
from runner.sessions.making import Sessions
from runner.sessions.phases import Phase
from runner.sessions.session import Session
from runner.sessions.turn import Turn

Make = Callable[..., Session]
Until = Callable[..., Awaitable[None]]

MIB = 1 << 20


@pytest.fixture
def make(sessions: Sessions, work: Path, fake: Callable[..., object]) -> Make:
    def make(name: str, *options: str) -> Session:
        driver = fake(*options, keeps_history=True)
        return sessions.make_session(str(work), driver=driver, id=name)

    return make


@pytest.fixture
def admission(sessions: Sessions) -> Admission:
    """The admission of the test's sessions, which does not ask how much memory there is."""
    sessions.admission.reserve = 0
    return sessions.admission


def phases(*sessions: Session) -> list[Phase]:
    return [session.statistics().phase for session in sessions]


# ---------------------------------------------------------------- so many alive


async def test_the_session_that_is_idle_longest_makes_room_and_is_brought_back(
    make: Make, admission: Admission, commands: Callable[[str], list[int]]
) -> None:
    admission.most = 2
    a, b, c = make("a"), make("b"), make("c")
    for session in (a, b):
        await session.send(f"say {session.id}")
    await a.send("say again")  # now b has been idle longer
    await c.send("say c")
    assert [Phase.IDLE, Phase.REAPED, Phase.IDLE] == phases(a, b, c)
    assert 2 == len(commands("fake-agent"))

    turn = await b.send("recall")
    for session in (a, b, c):
        await session.aclose()

    assert "say b" == turn.final_message
    assert 2 == b.statistics().starts
    now = admission.statistics()
    assert (0, 0, 0, 0, 2, 0) == (
        now.living, now.starting, now.waiting, now.leaving, now.put_down, now.forced
    )  # fmt: skip


@pytest.mark.parametrize("attempt", range(5))
async def test_who_finds_no_room_waits_in_order_of_arrival(
    make: Make, admission: Admission, until: Until, attempt: int
) -> None:
    admission.most = 1
    order: list[str] = []

    async def send(session: Session) -> None:
        await session.send("say on")
        order.append(session.id)

    async with make("busy") as busy, trio.open_nursery() as nursery:
        nursery.start_soon(busy.send, "wait")
        await until(lambda: phases(busy) == [Phase.IN_TURN])
        waiting = [make(f"s{number}") for number in range(4)]
        for number, session in enumerate(waiting, 1):
            nursery.start_soon(send, session)
            await until(lambda number=number: admission.statistics().waiting == number)
        assert {Phase.STARTING} == set(phases(*waiting))
        assert [0] * 4 == [session.statistics().starts for session in waiting]
        await busy.interrupt()
        await until(lambda: len(order) == 4)
        for session in waiting:
            await session.aclose()

    assert [session.id for session in waiting] == order
    assert 4 == admission.statistics().put_down


async def test_who_waits_can_be_interrupted_and_holds_nobody_up(
    make: Make, admission: Admission, until: Until
) -> None:
    admission.most = 1
    turns: dict[str, Turn] = {}

    async def send(session: Session) -> None:
        turns[session.id] = await session.send("say on")

    async with make("busy") as busy, make("a") as a, make("b") as b, trio.open_nursery() as nursery:
        nursery.start_soon(busy.send, "wait")
        await until(lambda: phases(busy) == [Phase.IN_TURN])
        for session in (a, b):
            nursery.start_soon(send, session)
        await until(lambda: admission.statistics().waiting == 2)
        assert await a.interrupt()
        await until(lambda: "a" in turns)
        await busy.interrupt()
        await until(lambda: "b" in turns)

    assert ["interrupted", None] == [turns[name].error for name in "ab"]
    assert turns["b"].ok


async def test_a_turn_that_comes_while_its_session_is_put_down_is_carried_out(
    make: Make, admission: Admission, until: Until
) -> None:
    admission.most = 1
    async with make("a") as a, make("b") as b:
        await a.send("say a")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(b.send, "say b")
            await until(lambda: admission.statistics().leaving)
            turn = await a.send("recall")

    assert (True, "say a") == (turn.ok, turn.final_message)


async def test_programs_that_live_for_one_turn_are_counted_and_wait_as_well(
    sessions: Sessions, admission: Admission, work: Path, until: Until
) -> None:
    admission.most = 2
    alive: list[int] = []

    async def send(*, durable: bool) -> None:
        async with sessions.make_session(str(work), "shell", durable=durable) as session:
            turn = await session.send("touch up-$$; sleep 0.05; ls -d up-* | wc -l; rm up-$$")
            alive.append(int(turn.final_message))

    async with trio.open_nursery() as nursery:
        for number in range(10):
            nursery.start_soon(partial(send, durable=number % 2 == 0))
    assert 10 == len(alive)
    assert max(alive) <= 2
    assert 0 == admission.statistics().living


@pytest.mark.parametrize("attempt", range(3))
async def test_never_more_live_than_may(
    make: Make,
    admission: Admission,
    commands: Callable[[str], list[int]],
    attempt: int,
) -> None:
    admission.most = 3
    seen: list[int] = []
    made = [make(f"s{number}") for number in range(9)]

    async def send(session: Session) -> None:
        for _ in range(2):
            turn = await session.send("say on")
            assert turn.ok
            seen.append(len(commands("fake-agent")))

    async with trio.open_nursery() as nursery:
        for session in made:
            nursery.start_soon(send, session)
    for session in made:
        await session.aclose()

    assert max(seen) <= 3


async def test_a_program_that_is_prewarmed_can_be_put_down_for_another(
    make: Make, admission: Admission
) -> None:
    admission.most = 1
    async with make("a") as a, make("b") as b:
        assert await a.prewarm()
        assert (await b.send("say b")).ok
        assert [Phase.REAPED, Phase.IDLE] == phases(a, b)
        assert (await a.send("say a")).ok


# ---------------------------------------------------------------- memory


async def test_where_memory_is_short_the_longest_idle_is_put_down_until_it_is_not(
    make: Make, admission: Admission
) -> None:
    made = [make(name) for name in "abcd"]
    for session in made[:3]:
        await session.send("say on")
    free = [50]
    admission.reserve = 100 * MIB
    admission.free = lambda: (free[0] + 30 * admission.statistics().put_down) * MIB
    turn = await made[3].send("say d")
    found = phases(*made)
    for session in made:
        await session.aclose()

    assert turn.ok
    assert [Phase.REAPED, Phase.REAPED, Phase.IDLE, Phase.IDLE] == found
    assert (2, 0) == (admission.statistics().put_down, admission.statistics().forced)


async def test_where_memory_is_short_and_all_are_busy_a_start_waits_for_one_to_be_idle(
    make: Make, admission: Admission, until: Until
) -> None:
    async with make("busy") as busy, make("a") as a, trio.open_nursery() as nursery:
        nursery.start_soon(busy.send, "wait")
        await until(lambda: phases(busy) == [Phase.IN_TURN])
        admission.reserve = 100 * MIB
        admission.free = lambda: (50 if phases(busy) == [Phase.IN_TURN] else 200) * MIB
        nursery.start_soon(a.send, "say a")
        await until(lambda: admission.statistics().waiting == 1)
        await trio.testing.wait_all_tasks_blocked(0.02)
        assert [Phase.STARTING] == phases(a)
        await busy.interrupt()
        await until(lambda: a.statistics().turns == 1 and phases(a) == [Phase.IDLE])

    assert 0 == admission.statistics().forced


async def test_memory_that_others_free_is_noticed(
    make: Make, admission: Admission, until: Until
) -> None:
    free = [50]
    async with make("busy") as busy, make("a") as a, trio.open_nursery() as nursery:
        nursery.start_soon(busy.send, "wait")
        await until(lambda: phases(busy) == [Phase.IN_TURN])
        admission.reserve, admission.free = 100 * MIB, lambda: free[0] * MIB
        nursery.start_soon(a.send, "say a")
        await until(lambda: admission.statistics().waiting == 1)
        free[0] = 150
        await until(lambda: phases(a) == [Phase.IDLE])
        await busy.interrupt()


async def test_where_memory_is_short_and_nothing_lives_a_start_does_not_wait_and_it_is_said(
    make: Make, admission: Admission, caplog: pytest.LogCaptureFixture
) -> None:
    admission.reserve, admission.free = 100 * MIB, lambda: 7 * MIB
    with caplog.at_level(logging.WARNING, logger="runner.sessions"):
        async with make("a") as a:
            assert (await a.send("say a")).ok

    assert 1 == admission.statistics().forced
    assert ["only 7 MiB of memory are free, which is less than 100"] == [
        record.getMessage().split(", and")[0] for record in caplog.records
    ]


async def test_each_program_that_is_starting_is_to_get_its_memory_as_well(
    make: Make, admission: Admission, until: Until
) -> None:
    admission.reserve, admission.free = 100 * MIB, lambda: 150 * MIB
    async with trio.open_nursery() as nursery:
        slow = make("a", "slow")
        nursery.start_soon(slow.prewarm)
        await until(lambda: phases(slow) == [Phase.STARTING] and slow.statistics().pid)
        other = make("b")
        nursery.start_soon(other.prewarm)
        await until(lambda: admission.statistics().waiting == 1)
        await trio.testing.wait_all_tasks_blocked(0.02)
        found = other.statistics().starts
        nursery.cancel_scope.cancel()
    for session in (slow, other):
        await session.aclose()

    assert 0 == found


async def test_where_nothing_is_known_of_memory_nobody_waits_for_it(
    make: Make, admission: Admission
) -> None:
    admission.reserve, admission.free = 100 * MIB, lambda: None
    async with make("a") as a, make("b") as b:
        assert (await a.send("say a")).ok
        assert (await b.send("say b")).ok

    assert 0 == admission.statistics().forced


# ---------------------------------------------------------------- the runner's own


async def test_a_runner_has_the_limits_of_its_configuration(state: Path, work: Path) -> None:
    config = RunnerConfig(max_sessions=1, free_memory=1)
    async with open_runner(config, state=state) as runner:
        for name in ("one", "two"):
            async with runner.session(runner.scope(work), id=name) as session:
                assert (await session.send("true")).ok
        now = runner.statistics().programs

    assert (
        AdmissionStatistics(living=0, starting=0, waiting=0, leaving=0, put_down=0, forced=0) == now
    )


async def test_an_admission_without_a_supervisor_only_counts() -> None:
    admission = Admission(most=1, reserve=0)
    async with trio.open_nursery() as nursery:
        async with admission.start("a"):
            nursery.start_soon(take, admission)
            await trio.testing.wait_all_tasks_blocked(0.01)
            now = admission.statistics()

    assert (1, 1) == (now.starting, now.waiting)


async def take(admission: Admission) -> None:
    async with admission.start("b", is_quick=True):
        pass
