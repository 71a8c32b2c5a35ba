"""Promise 3: nothing goes on in the name of a caller that has left."""

from __future__ import annotations

from functools import partial

import pytest
import trio
import trio.testing

from runner.actors import Lane, open_supervisor

repeated = pytest.mark.parametrize("attempt", range(30))


@repeated
@pytest.mark.parametrize("coroutine", [False, True])
async def test_cancelled_while_queued_leaves_at_once_and_never_runs(
    autojump_clock, actor, do, attempt, coroutine
):
    it = actor()
    ran = []

    async def run():
        ran.append(True)

    async with open_supervisor() as supervisor, trio.open_nursery() as nursery:
        nursery.start_soon(supervisor.ask, it.spec, do(partial(trio.sleep, 5)))
        await trio.testing.wait_all_tasks_blocked()
        with trio.move_on_after(2.5):
            await supervisor.ask(it.spec, do(run if coroutine else partial(ran.append, True)))

        assert trio.current_time() == 2.5
        await supervisor.ask(it.spec, do(lambda: None))
        assert trio.current_time() == 5
    assert ran == []


@repeated
async def test_cancelled_while_running_leaves_when_the_work_is_put_down(
    autojump_clock, actor, do, attempt
):
    it = actor()
    events = []

    async def work():
        try:
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep(1)
            events.append("put down")

    async def next_work():
        events.append("next")

    async with open_supervisor() as supervisor, trio.open_nursery() as nursery:

        async def cancelled():
            with trio.move_on_after(2):
                await supervisor.ask(it.spec, do(work))
            events.append("left")
            assert trio.current_time() == 3

        nursery.start_soon(cancelled)
        await trio.testing.wait_all_tasks_blocked()
        await supervisor.ask(it.spec, do(next_work))

        assert trio.current_time() == 3
        assert events[0] == "put down"
        assert it.opened == 1, "a cancelled message is no crash"


@repeated
async def test_shielded_work_is_never_torn(autojump_clock, actor, do, attempt):
    it = actor()
    halves = []

    async def rename():
        with trio.CancelScope(shield=True):
            halves.append("first half")
            await trio.sleep(3)
            halves.append("second half")

    async with open_supervisor() as supervisor:
        with trio.move_on_after(1):
            await supervisor.ask(it.spec, do(rename))
            await trio.sleep_forever()

        assert halves == ["first half", "second half"]
        assert trio.current_time() == 3


@repeated
async def test_cancelled_in_the_moment_of_the_call_never_runs(autojump_clock, actor, do, attempt):
    it = actor()
    cancel_scope = trio.CancelScope()
    held = trio.Event()

    async def cancelled():
        with cancel_scope:
            await supervisor.ask(it.spec, do(lambda: pytest.fail("its caller was cancelled")))

    async def hold():
        await held.wait()
        # Returning calls the next one up in this very step; its caller is cancelled in it as well.
        cancel_scope.cancel()

    async with open_supervisor() as supervisor, trio.open_nursery() as nursery:
        nursery.start_soon(supervisor.ask, it.spec, do(hold))
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(cancelled)
        await trio.testing.wait_all_tasks_blocked()
        held.set()
        await supervisor.ask(it.spec, do(lambda: None))
        await trio.testing.wait_all_tasks_blocked()

        assert cancel_scope.cancelled_caught


@repeated
async def test_called_up_and_then_cancelled_never_runs(autojump_clock, actor, do, attempt):
    it = actor()
    cancel_scope = trio.CancelScope()
    held = trio.Event()

    async def cancelled():
        with cancel_scope:
            await supervisor.ask(it.spec, do(lambda: pytest.fail("its caller was cancelled")))

    async def first():
        await supervisor.ask(it.spec, do(held.wait))
        cancel_scope.cancel()  # it has been called up by now, and has not woken up yet

    async with open_supervisor() as supervisor, trio.open_nursery() as nursery:
        nursery.start_soon(first)
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(cancelled)
        await trio.testing.wait_all_tasks_blocked()
        held.set()
        await trio.testing.wait_all_tasks_blocked()

        assert cancel_scope.cancelled_caught
        assert await supervisor.ask(it.spec, do(lambda: "free")) == "free"


@repeated
async def test_cancelled_before_it_asks_never_runs(autojump_clock, actor, do, attempt):
    it = actor()
    async with open_supervisor() as supervisor:
        await supervisor.ask(it.spec, do(lambda: None))
        with trio.CancelScope() as cancel_scope:
            cancel_scope.cancel()
            await supervisor.ask(it.spec, do(lambda: pytest.fail("cancelled before")))
        assert cancel_scope.cancelled_caught


@repeated
async def test_a_thousand_callers_who_leave_hold_up_nobody(autojump_clock, actor, do, attempt):
    it = actor(capacity=10)
    async with open_supervisor() as supervisor, trio.open_nursery() as nursery:
        nursery.start_soon(supervisor.ask, it.spec, do(partial(trio.sleep, 5)))
        await trio.testing.wait_all_tasks_blocked()
        async with trio.open_nursery() as leaving:
            for _ in range(1000):
                leaving.start_soon(supervisor.ask, it.spec, do(lambda: pytest.fail("left")))
            await trio.testing.wait_all_tasks_blocked()
            statistics = supervisor.mailbox_statistics()["it"]
            assert (statistics.queued, statistics.outside) == (10, 990)
            leaving.cancel_scope.cancel()

        statistics = supervisor.mailbox_statistics()["it"]
        assert (statistics.queued, statistics.outside, statistics.running) == (0, 0, 1)
        assert trio.current_time() == 0


@repeated
async def test_a_caller_that_leaves_lets_those_behind_it_go(autojump_clock, actor, do, attempt):
    it = actor()
    cancel_scope = trio.CancelScope()

    async def leave():
        with cancel_scope:
            await supervisor.ask(it.spec, do(lambda: pytest.fail("left")))

    async with open_supervisor() as supervisor, trio.open_nursery() as nursery:
        nursery.start_soon(supervisor.ask, it.spec, do(partial(trio.sleep, 5), Lane.OBSERVATION))
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(leave)  # an effect, which waits for the observation
        await trio.testing.wait_all_tasks_blocked()
        async with trio.open_nursery() as behind:
            # an observation, which waits for the effect
            behind.start_soon(supervisor.ask, it.spec, do(lambda: None, Lane.OBSERVATION))
            await trio.testing.wait_all_tasks_blocked()
            cancel_scope.cancel()

        assert trio.current_time() == 0
