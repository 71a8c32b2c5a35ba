"""Supervisors that share an order: their actors wait for each other where their places overlap."""

from __future__ import annotations

from functools import partial

import pytest
import trio

from runner.actors import open_supervisor
from runner.actors.lanes import Order

repeated = pytest.mark.parametrize("attempt", range(30))


@repeated
async def test_actors_of_two_supervisors_at_one_place_take_turns(
    autojump_clock, actor, do, attempt
):
    order, log = Order(), []
    one, other = actor("one", place=("a",)), actor("other", place=("a", "b"))
    apart = actor("apart", place=("c",))

    async def work(name):
        log.append((name, "begins", trio.current_time()))
        await trio.sleep(1)

    async def ask(supervisor, it, after):
        await trio.sleep(after)
        await supervisor.ask(it.spec, do(partial(work, it.name)))

    async with (
        open_supervisor(order=order) as first,
        open_supervisor(order=order) as second,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(ask, first, one, 0.0)
        nursery.start_soon(ask, second, other, 0.1)
        nursery.start_soon(ask, second, apart, 0.2)
        nursery.start_soon(ask, first, one, 0.3)

    assert log == [
        ("one", "begins", 0.0),
        ("apart", "begins", 0.2),
        ("other", "begins", 1.0),
        ("one", "begins", 2.0),
    ]


@repeated
async def test_without_a_shared_one_each_has_its_own(autojump_clock, actor, do, attempt):
    one, other = actor("one", place=("a",)), actor("other", place=("a",))

    async with open_supervisor() as first, open_supervisor() as second:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(first.ask, one.spec, do(partial(trio.sleep, 1)))
            nursery.start_soon(second.ask, other.spec, do(partial(trio.sleep, 1)))

        assert trio.current_time() == 1
