"""Promise 8: stop the intake, drain, cancel after the grace, close every mailbox."""

from __future__ import annotations

from functools import partial

import pytest
import trio
import trio.testing

from runner.actors import open_supervisor
from runner.errors import ActorCrashed, SupervisorClosed

repeated = pytest.mark.parametrize("attempt", range(30))


@repeated
async def test_what_is_queued_is_served_before_the_end(autojump_clock, actor, do, attempt):
    it = actor(capacity=2)
    done = []

    async def work(number):
        await trio.sleep(1)
        done.append(number)

    async with trio.open_nursery() as nursery:
        async with open_supervisor(grace=100) as supervisor:
            for number in range(4):
                nursery.start_soon(supervisor.ask, it.spec, do(partial(work, number)))
                await trio.testing.wait_all_tasks_blocked()

        assert done == [0, 1, 2, 3]
        assert trio.current_time() == 4
        assert (it.opened, it.closed) == (1, 1)


@repeated
async def test_after_the_grace_the_rest_is_cancelled(autojump_clock, actor, do, attempt):
    it = actor()
    told = []

    async def ask():
        try:
            await supervisor.ask(it.spec, do(partial(trio.sleep, 1)))
            told.append("answer")
        except (ActorCrashed, SupervisorClosed) as error:
            told.append(type(error).__name__)

    async with trio.open_nursery() as nursery:
        async with open_supervisor(grace=2.5) as supervisor:
            for _ in range(5):
                nursery.start_soon(ask)
            await trio.testing.wait_all_tasks_blocked()
        assert trio.current_time() == 2.5
        assert not it.owns

    assert sorted(told) == ["ActorCrashed", *["SupervisorClosed"] * 2, "answer", "answer"]


@repeated
async def test_the_grace_ends_for_those_who_open_or_leave_slowly_too(
    autojump_clock, actor, do, attempt
):
    slow_to_open = actor("slow to open", entering=trio.sleep_forever)
    slow_to_leave = actor("slow to leave", leaving=trio.sleep_forever)
    told = []

    async def ask():
        with pytest.raises(SupervisorClosed):
            await supervisor.ask(slow_to_open.spec, do(lambda: None))
        told.append(True)

    async with trio.open_nursery() as nursery:
        async with open_supervisor(grace=3) as supervisor:
            await supervisor.ask(slow_to_leave.spec, do(lambda: None))
            nursery.start_soon(ask)
            await trio.testing.wait_all_tasks_blocked()

        assert trio.current_time() == 3
    assert told == [True]
    assert not slow_to_open.owns
    assert not slow_to_leave.owns


@repeated
async def test_nothing_new_is_taken_while_it_drains(autojump_clock, actor, do, attempt):
    it, new = actor("it"), actor("new")
    async with trio.open_nursery() as nursery:
        async with open_supervisor(grace=10) as supervisor:
            nursery.start_soon(supervisor.ask, it.spec, do(partial(trio.sleep, 3)))
            await trio.testing.wait_all_tasks_blocked()
            nursery.start_soon(supervisor.shutdown)
            await trio.sleep(1)

            for spec in (it.spec, new.spec):
                for ask in (supervisor.ask, supervisor.ask_nowait):
                    with pytest.raises(SupervisorClosed):
                        await ask(spec, do(lambda: pytest.fail("it is closing")))
            assert supervisor.statistics().is_closing
            assert trio.current_time() == 1
        assert trio.current_time() == 3


@repeated
async def test_a_second_shutdown_cancels_at_once(autojump_clock, actor, do, attempt):
    it = actor()
    ends = []

    async def ask():
        with pytest.raises((ActorCrashed, SupervisorClosed)):
            await supervisor.ask(it.spec, do(trio.sleep_forever))
        ends.append(trio.current_time())

    async def shut_down():
        await supervisor.shutdown()
        ends.append(trio.current_time())

    async with trio.open_nursery() as nursery:
        async with open_supervisor(grace=100) as supervisor:
            nursery.start_soon(ask)
            nursery.start_soon(ask)
            await trio.testing.wait_all_tasks_blocked()
            nursery.start_soon(shut_down)
            await trio.sleep(2)
            nursery.start_soon(shut_down)
            await trio.sleep_forever()

    assert ends == [2, 2, 2, 2]
    assert trio.current_time() == 2
    assert not it.owns


@repeated
async def test_leaving_waits_for_a_shutdown_that_is_under_way(autojump_clock, actor, do, attempt):
    it = actor()
    answers = []

    async def ask():
        answers.append(await supervisor.ask(it.spec, do(partial(trio.sleep, 3))))

    async with trio.open_nursery() as nursery:
        async with open_supervisor(grace=100) as supervisor:
            nursery.start_soon(ask)
            await trio.testing.wait_all_tasks_blocked()
            nursery.start_soon(supervisor.shutdown)
            await trio.sleep(1)

    assert answers == [None]
    assert trio.current_time() == 3


@repeated
async def test_a_shutdown_that_is_cancelled_cancels(autojump_clock, actor, do, attempt):
    it = actor()

    async def ask():
        with pytest.raises(ActorCrashed):
            await supervisor.ask(it.spec, do(trio.sleep_forever))

    async with trio.open_nursery() as nursery:
        async with open_supervisor(grace=100) as supervisor:
            nursery.start_soon(ask)
            await trio.testing.wait_all_tasks_blocked()
            with trio.move_on_after(2):
                await supervisor.shutdown()

    assert trio.current_time() == 2


@repeated
async def test_an_error_of_the_block_leaves_it_bare_and_at_once(autojump_clock, actor, do, attempt):
    it, waiting = actor("it"), actor("waiting", entering=trio.sleep_forever)
    told = []

    async def ask(spec):
        with pytest.raises((ActorCrashed, SupervisorClosed)) as caught:
            await supervisor.ask(spec, do(trio.sleep_forever))
        told.append(caught.type)

    async with trio.open_nursery() as nursery:
        with pytest.raises(ValueError, match="of the block"):
            async with open_supervisor(grace=100) as supervisor:
                for spec in (it.spec, it.spec, waiting.spec):
                    nursery.start_soon(ask, spec)
                await trio.testing.wait_all_tasks_blocked()
                raise ValueError("of the block")

    assert trio.current_time() == 0
    assert len(told) == 3
    assert not it.owns


@repeated
async def test_a_block_that_is_cancelled_ends_at_once_and_answers_everybody(
    autojump_clock, actor, do, attempt
):
    it = actor()
    told = []

    async def ask(seconds):
        await trio.sleep(seconds)
        with pytest.raises((ActorCrashed, SupervisorClosed)) as caught:
            await supervisor.ask(it.spec, do(trio.sleep_forever))
        told.append(caught.type)

    async with trio.open_nursery() as nursery:
        with trio.move_on_after(2) as cancel_scope:
            async with open_supervisor(grace=100) as supervisor:
                for seconds in (0, 0, 2, 2, 2):
                    nursery.start_soon(ask, seconds)
                await trio.sleep_forever()

        assert cancel_scope.cancelled_caught
        assert trio.current_time() == 2

    assert len(told) == 5
    assert supervisor.statistics().mailboxes == supervisor.statistics().actors == 0
    with pytest.raises(SupervisorClosed):
        await supervisor.ask(it.spec, do(lambda: None))


@repeated
async def test_who_still_waits_for_room_is_served_in_the_drain(autojump_clock, actor, do, attempt):
    actors = [actor(f"{number}") for number in range(5)]
    answers = []

    async def ask(it):
        await supervisor.ask(it.spec, do(partial(trio.sleep, 1)))
        answers.append(trio.current_time())

    async with trio.open_nursery() as nursery:
        async with open_supervisor(grace=100, max_children=1) as supervisor:
            for it in actors:
                nursery.start_soon(ask, it)
            await trio.testing.wait_all_tasks_blocked()

    assert answers == [1, 2, 3, 4, 5]
    assert trio.current_time() == 5, "and it is over as soon as all have been served"


@repeated
async def test_a_crash_in_the_drain_is_made_up_for(autojump_clock, actor, do, attempt):
    it = actor(backoff=1)

    async def crash():
        await trio.sleep(1)
        raise ValueError

    async def ask():
        with pytest.raises(ActorCrashed):
            await supervisor.ask(it.spec, do(crash))

    async with trio.open_nursery() as nursery:
        async with open_supervisor(grace=100) as supervisor:
            nursery.start_soon(ask)
            await trio.testing.wait_all_tasks_blocked()
            nursery.start_soon(supervisor.ask, it.spec, do(partial(trio.sleep, 1)))
            await trio.testing.wait_all_tasks_blocked()

    assert trio.current_time() == 3
    assert (it.opened, it.closed) == (2, 2)


async def test_an_unused_supervisor_ends_at_once(autojump_clock):
    async with open_supervisor() as supervisor:
        await supervisor.shutdown()
    assert trio.current_time() == 0
    async with open_supervisor():
        pass
    assert trio.current_time() == 0
