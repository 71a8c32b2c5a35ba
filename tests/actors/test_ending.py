"""Ending one actor on request: what runs comes to its end, who waits is answered, it is gone."""

from __future__ import annotations

from functools import partial

import pytest
import trio
import trio.testing

from runner.actors import open_supervisor
from runner.errors import ActorGaveUp

repeated = pytest.mark.parametrize("attempt", range(30))


@repeated
async def test_ending_returns_when_the_actor_has_freed_what_it_owned(
    autojump_clock, actor, do, attempt
):
    it = actor(leaving=partial(trio.sleep, 3))
    async with open_supervisor() as supervisor:
        await supervisor.ask(it.spec, do(lambda: None))
        await supervisor.end(it.spec.key)

        assert not it.owns
        assert trio.current_time() == 3
        assert supervisor.statistics().actors == supervisor.statistics().mailboxes == 0


@repeated
async def test_what_runs_comes_to_its_end_and_who_waits_is_told(autojump_clock, actor, do, attempt):
    it = actor(capacity=1)
    told = []

    async def ask(number):
        await trio.sleep(number / 10)
        try:
            await supervisor.ask(it.spec, do(partial(trio.sleep, 5)))
            told.append((number, "answer", trio.current_time()))
        except ActorGaveUp as error:
            told.append((number, str(error), trio.current_time()))

    async with open_supervisor() as supervisor, trio.open_nursery() as nursery:
        for number in range(3):  # one runs, one is queued, one is outside
            nursery.start_soon(ask, number)
        await trio.sleep(1)
        await supervisor.end(it.spec.key, ActorGaveUp("no more of this"))

        assert trio.current_time() == 5
        assert it.opened == it.closed == 1

    assert sorted(told) == [
        (0, "answer", 5),
        (1, "no more of this", 1),
        (2, "no more of this", 1),
    ]


@repeated
async def test_who_waits_asks_a_new_actor_if_nothing_else_is_said(
    autojump_clock, actor, do, attempt
):
    it = actor(leaving=partial(trio.sleep, 1))
    answers = []

    async def ask():
        await trio.sleep(1)
        answers.append(await supervisor.ask(it.spec, do(lambda: it.opened)))

    async with open_supervisor() as supervisor, trio.open_nursery() as nursery:
        nursery.start_soon(supervisor.ask, it.spec, do(partial(trio.sleep, 5)))
        nursery.start_soon(ask)
        await trio.sleep(2)
        await supervisor.end(it.spec.key)

        assert it.closed == 1
        assert trio.current_time() == 6

    assert answers == [2]


@repeated
async def test_any_number_may_end_an_actor_at_any_time(autojump_clock, actor, do, attempt):
    it = actor(leaving=partial(trio.sleep, 3))
    ends = []

    async def end():
        await supervisor.end(it.spec.key)
        ends.append((it.owns, trio.current_time()))

    async with open_supervisor() as supervisor:
        await supervisor.end(it.spec.key)  # it has never been
        supervisor.mailbox(it.spec)
        await supervisor.end(it.spec.key)  # it has not been started, or is just being
        await supervisor.ask(it.spec, do(lambda: None))
        start = trio.current_time()
        async with trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(end)
            await trio.sleep(1)
            nursery.start_soon(end)
        await supervisor.end(it.spec.key)  # it is no more

    assert ends == [(False, start + 3)] * 6


async def test_an_actor_ends_although_nobody_waits_for_that_any_more(autojump_clock, actor, do):
    it = actor(leaving=partial(trio.sleep, 3))
    async with open_supervisor() as supervisor:
        await supervisor.ask(it.spec, do(lambda: None))
        with trio.move_on_after(1):
            await supervisor.end(it.spec.key)

        assert it.owns
        await trio.sleep(3)
        assert not it.owns


@repeated
async def test_an_end_and_a_shutdown_do_not_hold_each_other_up(autojump_clock, actor, do, attempt):
    it, other = actor("it", leaving=partial(trio.sleep, 1)), actor("other")
    async with trio.open_nursery() as nursery:
        async with open_supervisor(grace=100) as supervisor:
            await supervisor.ask(it.spec, do(lambda: None))
            nursery.start_soon(supervisor.ask, other.spec, do(partial(trio.sleep, 4)))
            await trio.testing.wait_all_tasks_blocked()
            nursery.start_soon(supervisor.end, it.spec.key)
            nursery.start_soon(supervisor.end, other.spec.key)

        assert trio.current_time() == 4
        assert (it.owns, other.owns) == (False, False)
