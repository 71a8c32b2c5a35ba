"""Promise 7: bounded mailboxes, bounded actors."""

from __future__ import annotations

from functools import partial

import attrs
import pytest
import trio
import trio.testing

from runner.actors import Lane, open_supervisor
from runner.errors import MailboxFull, SupervisorClosed

repeated = pytest.mark.parametrize("attempt", range(30))


@repeated
async def test_beyond_its_capacity_ask_waits_in_order(autojump_clock, actor, do, attempt):
    it = actor(capacity=3)
    order = []
    async with open_supervisor() as supervisor:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(supervisor.ask, it.spec, do(partial(trio.sleep, 1)))
            await trio.testing.wait_all_tasks_blocked()
            for number in range(20):
                nursery.start_soon(supervisor.ask, it.spec, do(partial(order.append, number)))
                await trio.testing.wait_all_tasks_blocked()

            statistics = supervisor.mailbox_statistics()["it"]
            assert (statistics.running, statistics.queued, statistics.outside) == (1, 3, 17)
        assert order == list(range(20))


@repeated
async def test_beyond_its_capacity_ask_nowait_refuses(autojump_clock, actor, do, attempt):
    it = actor(capacity=3)
    async with open_supervisor() as supervisor, trio.open_nursery() as nursery:
        nursery.start_soon(supervisor.ask, it.spec, do(partial(trio.sleep, 1)))
        await trio.testing.wait_all_tasks_blocked()
        for _ in range(3):
            nursery.start_soon(supervisor.ask_nowait, it.spec, do(partial(trio.sleep, 1)))
            await trio.testing.wait_all_tasks_blocked()

        with pytest.raises(MailboxFull, match="3 messages wait for 'it' already"):
            await supervisor.ask_nowait(it.spec, do(lambda: pytest.fail("full")))
        assert trio.current_time() == 0
        await trio.sleep(1.5)
        assert await supervisor.ask_nowait(it.spec, do(lambda: "room again")) == "room again"


async def test_what_need_not_wait_is_not_refused_for_want_of_room(autojump_clock, actor, do):
    it = actor(capacity=1)
    ends = []

    async def look():
        await trio.sleep(0.5)
        ends.append(trio.current_time())

    async with open_supervisor() as supervisor, trio.open_nursery() as nursery:
        for _ in range(2):  # one runs, and one waits: full
            nursery.start_soon(supervisor.ask, it.spec, do(partial(trio.sleep, 1), Lane.EXEC))
            await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(supervisor.ask, it.spec, do(look, Lane.OBSERVATION))
        await supervisor.ask_nowait(it.spec, do(look, Lane.OBSERVATION))
        await trio.testing.wait_all_tasks_blocked()
        assert ends == [0.5, 0.5]

        # cancelled in the middle: its coroutine has begun, so none is left that never ran
        with trio.move_on_after(0.1):
            await supervisor.ask(it.spec, do(look, Lane.OBSERVATION))


@repeated
async def test_a_control_message_passes_all_who_wait(autojump_clock, actor, do, attempt):
    it = actor(capacity=1)
    async with open_supervisor() as supervisor, trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(supervisor.ask, it.spec, do(partial(trio.sleep, 1)))
        await trio.testing.wait_all_tasks_blocked()

        assert await supervisor.ask(it.spec, do(lambda: "now", Lane.CONTROL)) == "now"
        assert await supervisor.ask_nowait(it.spec, do(lambda: "now", Lane.CONTROL)) == "now"
        await supervisor.ask(it.spec, do(partial(trio.sleep, 0.5), Lane.CONTROL))
        assert trio.current_time() == 0.5


@pytest.mark.parametrize("capacity", [0, -1])
def test_a_mailbox_has_room_for_a_message(actor, capacity):
    with pytest.raises(ValueError, match="capacity"):
        actor(capacity=capacity)


# ---------------------------------------------------------------- how many actors


@repeated
async def test_the_actor_that_has_been_idle_longest_makes_room(autojump_clock, actor, do, attempt):
    actors = {name: actor(name) for name in "abcd"}

    async def ask(name):
        await supervisor.ask(actors[name].spec, do(lambda: None))
        await trio.sleep(1)

    async with open_supervisor(max_children=3) as supervisor:
        for name in "abca":
            await ask(name)
        await ask("d")

        assert {name: it.owns for name, it in actors.items()} == {
            "a": True,
            "b": False,
            "c": True,
            "d": True,
        }
        assert supervisor.statistics().actors == 3
        await ask("b")
        assert not actors["c"].owns


@repeated
async def test_if_all_are_busy_ask_waits_for_the_first_that_is_not(
    autojump_clock, actor, do, attempt
):
    actors = [actor(f"{number}") for number in range(3)]
    most = 0

    async def ask(it, seconds):
        async def count():
            nonlocal most
            most = max(most, sum(each.owns for each in actors))
            await trio.sleep(seconds)

        await supervisor.ask(it.spec, do(count))

    async with open_supervisor(max_children=2) as supervisor, trio.open_nursery() as nursery:
        nursery.start_soon(ask, actors[0], 5)
        nursery.start_soon(ask, actors[1], 3)
        await trio.testing.wait_all_tasks_blocked()
        await supervisor.ask(actors[2].spec, do(lambda: None))

        assert trio.current_time() == 3
        assert actors[0].owns
    assert most == 2


@repeated
async def test_many_who_wait_for_room_all_get_it(autojump_clock, actor, do, attempt):
    actors = [actor(f"{number}", leaving=partial(trio.sleep, 1)) for number in range(20)]
    async with open_supervisor(max_children=4) as supervisor:
        async with trio.open_nursery() as nursery:
            for it in actors:
                nursery.start_soon(supervisor.ask, it.spec, do(partial(trio.sleep, 1)))
            while trio.current_time() < 4:
                await trio.sleep(0.25)
                assert sum(each.owns for each in actors) <= 4
                assert supervisor.statistics().actors <= 4

        assert trio.current_time() == pytest.approx(9), "five by four, and room is made at once"


@repeated
async def test_those_whose_askers_did_not_wait_for_room_are_forgotten(
    autojump_clock, actor, do, attempt
):
    busy, it, other = actor("busy"), actor("it"), actor("other")
    async with open_supervisor(max_children=1) as supervisor, trio.open_nursery() as nursery:
        nursery.start_soon(supervisor.ask, busy.spec, do(partial(trio.sleep, 10)))
        await trio.testing.wait_all_tasks_blocked()
        with trio.move_on_after(1):
            await supervisor.ask(it.spec, do(lambda: pytest.fail("left")))
        await trio.testing.wait_all_tasks_blocked()
        assert supervisor.statistics().starting == 0
        assert supervisor.statistics().mailboxes == 1

        await supervisor.ask(other.spec, do(lambda: None))
        assert it.opened == 0


@repeated
async def test_actors_at_overlapping_places_do_not_wait_for_each_others_room(
    autojump_clock, actor, do, attempt
):
    """The second waits for the first's room, and the first's next message for the second."""
    upper = actor("upper", place=("work",))
    lower = actor("lower", place=("work", "sub"))
    order = []

    async def ask(it, name):
        async def work():
            await trio.sleep(1)
            order.append(name)

        await supervisor.ask(it.spec, do(work))

    async with open_supervisor(max_children=1) as supervisor:
        async with trio.open_nursery() as nursery:
            for it, name in [(upper, 1), (lower, 2), (upper, 3), (lower, 4), (upper, 5)]:
                nursery.start_soon(ask, it, name)
                await trio.testing.wait_all_tasks_blocked()

    assert order == [1, 2, 3, 4, 5]
    assert trio.current_time() == 5
    assert (upper.opened, upper.closed) == (3, 3)
    assert (lower.opened, lower.closed) == (2, 2)


@repeated
async def test_an_actor_that_is_blocked_as_soon_as_it_serves_makes_room(
    autojump_clock, actor, do, attempt
):
    first = actor("first", place=("work", "a"), entering=partial(trio.sleep, 1))
    second = actor("second", place=("work",), entering=partial(trio.sleep, 1))
    third = actor("third", place=("work", "b"))
    order = []

    async with open_supervisor(max_children=2) as supervisor, trio.open_nursery() as nursery:
        blocker = actor("blocker", place=("work", "b"))

        async def ask(it, seconds):
            async def work():
                order.append(it.name)
                await trio.sleep(seconds)

            await supervisor.ask(it.spec, do(work))

        # `second` is opened while its message waits for those of the others.
        nursery.start_soon(ask, blocker, 3)
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(ask, third, 1)
        nursery.start_soon(ask, second, 1)
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(ask, first, 1)

    assert order.index("blocker") == 0
    assert sorted(order) == ["blocker", "first", "second", "third"]


@repeated
async def test_an_evicted_actor_that_crashes_on_leaving_comes_back(
    autojump_clock, actor, do, attempt, caplog
):
    async def fail():
        if upper.opened == 1:
            raise ValueError("bad")

    upper = actor("upper", place=("work",), leaving=fail)
    lower = actor("lower", place=("work", "sub"))
    order = []
    async with open_supervisor(max_children=1) as supervisor:
        async with trio.open_nursery() as nursery:
            for it, name in [(upper, 1), (lower, 2), (upper, 3)]:
                nursery.start_soon(supervisor.ask, it.spec, do(partial(note, order, name)))
                await trio.testing.wait_all_tasks_blocked()

        assert order == [1, 2, 3]
        assert supervisor.statistics().crashed == 1


async def note(order, name):
    await trio.sleep(1)
    order.append(name)


@repeated
async def test_a_shutdown_while_one_is_evicted_answers_it(autojump_clock, actor, do, attempt):
    upper = actor("upper", place=("work",), leaving=partial(trio.sleep, 100))
    lower = actor("lower", place=("work", "sub"))
    told = []

    async def ask(it):
        try:
            await supervisor.ask(it.spec, do(partial(trio.sleep, 1)))
            told.append("answer")
        except SupervisorClosed as error:
            told.append(type(error).__name__)

    async with trio.open_nursery() as nursery:
        async with open_supervisor(max_children=1, grace=5) as supervisor:
            for it in (upper, lower, upper):
                nursery.start_soon(ask, it)
                await trio.testing.wait_all_tasks_blocked()
            await trio.sleep(2)

    assert told == ["answer", "SupervisorClosed", "SupervisorClosed"]
    assert trio.current_time() == 7


async def test_an_odd_number_of_specs_may_share_a_place(autojump_clock, actor, do):
    actors = [actor(f"{n}", place=("work",) * (n % 3), idle_after=1) for n in range(9)]
    async with open_supervisor() as supervisor:
        for it in actors:
            await supervisor.ask(it.spec, do(lambda: None))
        assert supervisor._order.root.children
        await trio.sleep(2)

        assert not supervisor._order.root.children, "places go with those who are there"
        assert attrs.asdict(supervisor.statistics())["reaped"] == 9


@repeated
async def test_who_holds_something_is_not_made_to_go_for_the_room_of_others(
    autojump_clock, actor, do, attempt
):
    held = {"a stream"}
    one = actor("one", holds=lambda _: bool(held))
    two, three = actor("two"), actor("three")
    async with open_supervisor(max_children=2) as supervisor:
        await supervisor.ask(one.spec, do(lambda: None))
        await trio.sleep(1)
        await supervisor.ask(two.spec, do(lambda: None))  # idle for a shorter time than the first
        await supervisor.ask(three.spec, do(lambda: None))

        assert (one.closed, two.closed, three.closed) == (0, 1, 0)


@repeated
async def test_who_wants_room_gets_it_when_what_was_held_is_let_go(
    autojump_clock, actor, do, attempt
):
    held = {"a program"}
    one, two = actor("one", holds=lambda _: bool(held)), actor("two")
    async with open_supervisor(max_children=1) as supervisor:
        await supervisor.ask(one.spec, do(lambda: None))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(supervisor.ask, two.spec, do(lambda: None))
            await trio.sleep(5.5)
            assert (one.closed, two.opened) == (0, 0)
            held.clear()  # of its own accord: no message tells of it

        assert trio.current_time() <= 7
        assert (one.closed, two.opened) == (1, 1)


@repeated
async def test_who_holds_something_is_not_evicted_either(autojump_clock, actor, do, attempt):
    held = {"a program"}
    outer = actor("outer", place=("a",), holds=lambda _: bool(held))
    inner = actor("inner", place=("a", "b"))
    async with open_supervisor(max_children=1) as supervisor, trio.open_nursery() as nursery:
        await supervisor.ask(outer.spec, do(lambda: None))
        nursery.start_soon(supervisor.ask, inner.spec, do(partial(trio.sleep, 0)))
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(supervisor.ask, outer.spec, do(partial(trio.sleep, 0)))  # after inner
        await trio.sleep(10.5)
        assert (outer.closed, inner.opened) == (0, 0)
        held.clear()
        await trio.sleep(2)

        assert inner.opened == 1
