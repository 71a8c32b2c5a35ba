"""Promise 10: on the warm path the caller's task carries the message through itself."""

from __future__ import annotations

import threading
from functools import partial

import pytest
import trio
import trio.testing

from runner.actors import open_supervisor


class Steps(trio.abc.Instrument):
    """Counts the steps of every task."""

    def __init__(self) -> None:
        self.count = 0

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self.count += 1


@pytest.mark.parametrize("coroutine", [False, True])
async def test_a_warm_ask_is_one_checkpoint_and_no_other_task(actor, do, coroutine):
    async def answer():
        return threading.get_ident()

    it = actor()
    message = do(answer if coroutine else threading.get_ident)
    steps = Steps()
    async with open_supervisor() as supervisor:
        await supervisor.ask(it.spec, message)
        await trio.testing.wait_all_tasks_blocked()
        trio.lowlevel.add_instrument(steps)
        for _ in range(100):
            assert await supervisor.ask(it.spec, message) == threading.get_ident()
        trio.lowlevel.remove_instrument(steps)

    assert steps.count == 100


async def test_every_ask_is_a_checkpoint(actor, do):
    it = actor()
    async with open_supervisor() as supervisor:
        for ask in (supervisor.ask, supervisor.ask_nowait):
            with trio.testing.assert_checkpoints():
                await ask(it.spec, do(lambda: None))


@pytest.mark.parametrize("attempt", range(30))
async def test_the_warm_path_keeps_the_order(autojump_clock, actor, do, attempt):
    """A message that could be answered at once waits for those that came before it."""
    it = actor()
    order = []

    async def slow(number):
        await trio.sleep(1)
        order.append(number)

    async with open_supervisor() as supervisor:
        await supervisor.ask(it.spec, do(lambda: None))
        async with trio.open_nursery() as nursery:
            for number in range(6):
                work = partial(slow if number % 2 else order.append, number)
                nursery.start_soon(supervisor.ask, it.spec, do(work))
                await trio.testing.wait_all_tasks_blocked()

    assert order == list(range(6))
