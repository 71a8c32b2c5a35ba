"""Promise 6: an idle actor ends and frees what it owned; no message is lost, no timer is spent."""

from __future__ import annotations

import gc
import itertools
from functools import partial
from math import inf

import pytest
import trio
import trio.testing
from trio._core._run import GLOBAL_RUN_CONTEXT

from runner.actors import ChildSpec, open_supervisor

repeated = pytest.mark.parametrize("attempt", range(30))


@repeated
@pytest.mark.parametrize("coroutine", [False, True])
async def test_an_actor_is_reaped_exactly_when_it_has_been_idle_long_enough(
    autojump_clock, actor, do, attempt, coroutine
):
    ends = []

    async def note():
        ends.append(trio.current_time())

    it = actor(idle_after=10, leaving=note)
    work = partial(trio.sleep, 0) if coroutine else lambda: None
    async with open_supervisor() as supervisor:
        for moment in (0, 1, 7, 16):
            await trio.sleep_until(moment)
            await supervisor.ask(it.spec, do(work))
        assert it.opened == 1
        await trio.sleep_until(100)

        assert ends == [26]
        assert (it.opened, it.closed, it.owns) == (1, 1, False)
        assert supervisor.statistics().reaped == 1
        assert supervisor.statistics().mailboxes == supervisor.statistics().actors == 0


@repeated
async def test_an_actor_at_work_is_not_idle(autojump_clock, actor, do, attempt):
    it = actor(idle_after=10)
    async with open_supervisor() as supervisor:
        await supervisor.ask(it.spec, do(partial(trio.sleep, 35)))
        await trio.sleep_until(44.9)
        assert it.closed == 0
        await trio.sleep_until(45.1)
        assert it.closed == 1


@repeated
async def test_a_message_that_was_withdrawn_counts_as_well(autojump_clock, actor, do, attempt):
    it = actor(idle_after=10)
    async with open_supervisor() as supervisor:
        await supervisor.ask(it.spec, do(lambda: None))
        with trio.move_on_after(35):
            await supervisor.ask(it.spec, do(trio.sleep_forever))
        await trio.sleep_until(44.9)
        assert it.closed == 0
        await trio.sleep_until(45.1)
        assert it.closed == 1


@repeated
async def test_the_next_message_starts_it_anew(autojump_clock, actor, do, attempt):
    it = actor(idle_after=10)
    async with open_supervisor() as supervisor:
        for number in range(1, 6):
            assert await supervisor.ask(it.spec, do(lambda: it.opened)) == number
            await trio.sleep(11)


async def test_an_actor_may_stay_for_ever(autojump_clock, actor, do):
    it = actor(idle_after=inf)
    async with open_supervisor() as supervisor:
        await supervisor.ask(it.spec, do(lambda: None))
        await trio.sleep(80_000)
        assert it.closed == 0


async def test_actors_with_different_idle_times_are_reaped_each_at_its_own(
    autojump_clock, actor, do
):
    ends = {}
    seconds = [30, 5, 60, 1, 12]

    async def note(each):
        ends[each] = trio.current_time()

    async with open_supervisor() as supervisor:
        for each in seconds:
            it = actor(f"{each}", idle_after=each, leaving=partial(note, each))
            await supervisor.ask(it.spec, do(lambda: None))
        await trio.sleep(100)

    assert ends == {each: each for each in seconds}


class Bare:
    """The least that an actor can be, so that a hundred thousand are quickly made."""

    ended = 0

    async def __aenter__(self):
        return lambda message: message.work()

    async def __aexit__(self, *_):
        Bare.ended += 1


@pytest.fixture
def _no_garbage_collection():
    """A hundred thousand tasks make many objects and no garbage."""
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("_no_garbage_collection")
async def test_a_hundred_thousand_idle_mailboxes_cost_no_timers(do, unmeasured):
    many = 100_000
    spec = partial(ChildSpec, open=Bare, idle_after=3600)
    with unmeasured():
        async with open_supervisor(grace=60) as supervisor:
            for key in range(many):
                supervisor.mailbox(spec(key=key))
            await trio.testing.wait_all_tasks_blocked()
            assert supervisor.statistics().actors == many

            # trio keeps the deadlines of all cancel scopes in one heap: one is the supervisor's.
            assert GLOBAL_RUN_CONTEXT.runner.deadlines._active == 1
            assert len(supervisor._idle) == many
            for key in range(0, many, 1000):
                for _ in range(10):
                    await supervisor.ask(spec(key=key), do(lambda: None))
            assert len(supervisor._idle) == many, "a message makes no entry"


async def test_many_that_fall_due_together_do_not_hold_up_the_others(autojump_clock, do):
    Bare.ended = 0
    async with open_supervisor() as supervisor:
        for key in range(2000):
            supervisor.mailbox(ChildSpec(key=key, open=Bare, idle_after=10))
        steps = []
        await trio.sleep_until(9)

        async def others():
            with trio.move_on_at(11):
                while True:
                    await trio.lowlevel.checkpoint()
                    if trio.current_time() >= 10:
                        steps.append(Bare.ended)
                    if Bare.ended == 2000:
                        return
                    if trio.current_time() < 10:
                        await trio.sleep_until(10)

        await others()
        await trio.sleep(1)

        assert Bare.ended == 2000
        assert max(b - a for a, b in itertools.pairwise(steps)) <= 512
        assert trio.current_time() == 11, "and all of them on the tick"


async def test_entries_of_actors_that_went_early_do_not_pile_up(autojump_clock, actor, do):
    async with open_supervisor(max_children=2) as supervisor:
        for number in range(1000):
            await supervisor.ask(actor(f"{number}").spec, do(lambda: None))

        assert len(supervisor._idle) < 100
        assert len(supervisor._idle._watched) < 100
        assert supervisor.statistics().actors <= 2


@repeated
async def test_an_actor_that_holds_something_is_not_reaped_before_it_lets_go(
    autojump_clock, actor, do, attempt
):
    held = {"a program"}
    it = actor(idle_after=10, holds=lambda handle: bool(held))
    async with open_supervisor() as supervisor:
        await supervisor.ask(it.spec, do(lambda: None))
        await trio.sleep_until(95)
        assert (it.opened, it.closed) == (1, 0)

        held.clear()
        await trio.sleep_until(99.9)
        assert it.closed == 0
        await trio.sleep_until(100.1)
        assert it.closed == 1
        assert supervisor.statistics().reaped == 1


@repeated
async def test_a_message_while_it_holds_something_begins_its_idle_time_anew(
    autojump_clock, actor, do, attempt
):
    held = {"a program"}
    it = actor(idle_after=10, holds=lambda handle: bool(held))
    async with open_supervisor() as supervisor:
        await supervisor.ask(it.spec, do(lambda: None))
        await trio.sleep_until(25)
        await supervisor.ask(it.spec, do(held.clear))
        await trio.sleep_until(34.9)
        assert it.closed == 0
        await trio.sleep_until(35.1)
        assert it.closed == 1


async def test_who_holds_something_and_may_never_be_idle_is_asked_once_a_second(
    autojump_clock, actor, do
):
    asked = []

    def holds(_):
        asked.append(trio.current_time())
        return len(asked) < 4

    it = actor(idle_after=0, holds=holds)
    async with open_supervisor() as supervisor:
        await supervisor.ask(it.spec, do(lambda: None))
        await trio.sleep_until(50)

        assert asked == [0, 1, 2, 3]
        assert it.closed == 1


async def test_the_actor_itself_is_asked_what_it_holds(autojump_clock, actor, do):
    asked = []
    it = actor(idle_after=1, holds=lambda handle: bool(asked.append(handle)))
    async with open_supervisor() as supervisor:
        await supervisor.ask(it.spec, do(lambda: None))
        await trio.sleep(5)

    assert asked == [it.handle]


@repeated
async def test_an_actor_that_cannot_say_what_it_holds_has_crashed(
    autojump_clock, actor, do, attempt, caplog
):
    it = actor(idle_after=10, holds=lambda handle: 1 // 0 > 0)
    async with open_supervisor() as supervisor:
        await supervisor.ask(it.spec, do(lambda: None))
        await trio.sleep_until(15)

        assert (it.opened, it.closed) == (1, 1)
        assert supervisor.statistics().crashed == 1
        assert await supervisor.ask(it.spec, do(lambda: "here")) == "here"
    assert "ZeroDivisionError" in caplog.text


async def test_a_shutdown_and_an_end_do_not_ask_what_is_held(autojump_clock, actor, do):
    one, other = actor("one", holds=lambda _: True), actor("other", holds=lambda _: True)
    async with open_supervisor() as supervisor:
        await supervisor.ask(one.spec, do(lambda: None))
        await supervisor.ask(other.spec, do(lambda: None))
        await supervisor.end("one")
        assert one.closed == 1

    assert other.closed == 1
    assert trio.current_time() == 0


@repeated
async def test_one_that_is_idle_can_be_reaped_at_once_and_says_since_when(
    autojump_clock, actor, do, attempt
):
    it = actor(idle_after=1000)
    held = actor("held", idle_after=1000, holds=lambda _handle: True)
    quiet = []
    async with open_supervisor() as supervisor, trio.open_nursery() as nursery:
        supervisor.on_quiet = lambda: quiet.append(trio.current_time())
        assert supervisor.idle_since(it.spec.key) is None
        await supervisor.ask(held.spec, do(lambda: None))
        nursery.start_soon(supervisor.ask, it.spec, do(partial(trio.sleep, 7)))
        await trio.sleep(3)
        assert supervisor.idle_since(it.spec.key) is None
        await trio.sleep(30)
        assert supervisor.idle_since(it.spec.key) == 7
        assert supervisor.idle_since(held.spec.key) is None

        supervisor.reap(it.spec.key)
        assert supervisor.idle_since(it.spec.key) is None
        await supervisor.ask(it.spec, do(lambda: None))
        assert (it.opened, it.closed) == (2, 1)
        assert 7 in quiet
