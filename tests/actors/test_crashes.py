"""Promise 5: a crash is answered, logged once, made up for, and nobody else's business."""

from __future__ import annotations

import contextlib
import logging
from contextlib import asynccontextmanager
from functools import partial

import pytest
import trio
import trio.testing

from runner.actors import ChildSpec, Lane, open_supervisor
from runner.errors import ActorCrashed, ActorGaveUp, NotFound

repeated = pytest.mark.parametrize("attempt", range(30))


def crash():
    raise ValueError("bad")


async def crash_later(seconds=1):
    await trio.sleep(seconds)
    raise ValueError("bad")


@repeated
@pytest.mark.parametrize("work", [crash, crash_later])
async def test_a_crash_is_answered_and_the_actor_is_restarted_with_fresh_state(
    autojump_clock, actor, do, attempt, work
):
    it, sibling = actor("it"), actor("sibling")
    async with open_supervisor() as supervisor:
        await supervisor.ask(sibling.spec, do(lambda: None))
        for _ in range(2):
            with pytest.raises(ActorCrashed, match="'it' crashed: ValueError: bad") as caught:
                await supervisor.ask(it.spec, do(work))
            assert isinstance(caught.value.__cause__, ValueError)

        assert await supervisor.ask(it.spec, do(lambda: "sound")) == "sound"
        assert (it.opened, it.closed) == (3, 2)
        assert (sibling.opened, sibling.closed) == (1, 0)
        assert supervisor.statistics().crashed == 2


async def test_a_crash_makes_one_log_record(autojump_clock, actor, do, caplog):
    it = actor()
    async with open_supervisor() as supervisor:
        with pytest.raises(ActorCrashed):
            await supervisor.ask(it.spec, do(crash))
        await supervisor.ask(it.spec, do(lambda: None))

    (record,) = caplog.records
    assert record.name == "runner.actors"
    assert record.levelno == logging.ERROR
    assert record.getMessage() == "actor 'it' crashed, restarting"
    assert record.exc_info is not None


@repeated
async def test_all_who_run_are_told_of_the_crash_and_those_who_wait_are_served_after_it(
    autojump_clock, actor, do, attempt
):
    it = actor()
    told = []

    async def read(work):
        try:
            told.append(await supervisor.ask(it.spec, do(work, Lane.OBSERVATION)))
        except ActorCrashed as error:
            told.append(type(error.__cause__).__name__)

    async with open_supervisor() as supervisor:
        async with trio.open_nursery() as nursery:
            for work in (crash_later, trio.sleep_forever, trio.sleep_forever):
                nursery.start_soon(read, work)
            await trio.testing.wait_all_tasks_blocked()
            told.append(await supervisor.ask(it.spec, do(lambda: "after it")))

    assert sorted(told[:3]) == ["ValueError"] * 3
    assert told[3] == "after it"


@repeated
async def test_resources_are_kept_until_what_runs_has_been_put_down(
    autojump_clock, actor, do, attempt
):
    it = actor()
    owned = []

    async def slow_to_stop():
        try:
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep(3)
            owned.append(it.owns)

    async def read():
        with pytest.raises(ActorCrashed):
            await supervisor.ask(it.spec, do(slow_to_stop, Lane.OBSERVATION))

    async with open_supervisor() as supervisor, trio.open_nursery() as nursery:
        nursery.start_soon(read)
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(ActorCrashed):
            await supervisor.ask(it.spec, do(partial(crash_later, 1), Lane.OBSERVATION))
        await supervisor.ask(it.spec, do(lambda: None))
        assert trio.current_time() == pytest.approx(4.05)
        assert owned == [True]


@repeated
async def test_two_crashes_at_once_are_one_crash_of_the_actor(
    autojump_clock, actor, do, attempt, caplog
):
    it = actor()

    async def read():
        with pytest.raises(ActorCrashed) as caught:
            await supervisor.ask(it.spec, do(crash_later, Lane.OBSERVATION))
        assert isinstance(caught.value.__cause__, ValueError)

    async with open_supervisor() as supervisor:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(read)
            nursery.start_soon(read)
        await supervisor.ask(it.spec, do(lambda: None))
        assert supervisor.statistics().crashed == 1
    assert len(caplog.records) == 1


async def test_an_actor_that_crashes_too_often_is_given_up_until_its_period_has_passed(
    autojump_clock, actor, do, caplog
):
    it = actor(max_restarts=2, period=60, backoff=1)
    async with open_supervisor() as supervisor:
        moments = []
        for _ in range(3):
            with pytest.raises(ActorCrashed):
                await supervisor.ask(it.spec, do(crash))
            moments.append(trio.current_time())
        assert moments == [0, 1, 3], "the backoff doubles"

        for moment in (3, 30, 62):
            await trio.sleep_until(moment)
            for ask in (supervisor.ask, supervisor.ask_nowait):
                with pytest.raises(ActorGaveUp, match="more than 2 times within 60 s"):
                    await ask(it.spec, do(lambda: pytest.fail("it is given up")))
        assert it.opened == 3
        assert supervisor.statistics().gave_up == 1

        await trio.sleep_until(63)
        assert await supervisor.ask(it.spec, do(lambda: "tried again")) == "tried again"
        for _ in range(2):  # with a clean record
            with pytest.raises(ActorCrashed):
                await supervisor.ask(it.spec, do(crash))
        assert await supervisor.ask(it.spec, do(lambda: "alive")) == "alive"
    assert [record.getMessage().partition(", ")[2] for record in caplog.records] == (
        ["restarting", "restarting", "giving it up", "restarting", "restarting"]
    )


@repeated
async def test_giving_up_answers_all_who_wait(autojump_clock, actor, do, attempt):
    it = actor(entering=crash_later, max_restarts=1, backoff=1)
    told = []

    async def ask():
        try:
            await supervisor.ask(it.spec, do(lambda: pytest.fail("it never opened")))
        except ActorGaveUp as error:
            told.append(error)

    async with open_supervisor() as supervisor:
        async with trio.open_nursery() as nursery:
            for _ in range(10):
                nursery.start_soon(ask)

        assert len(told) == 10
        assert it.opened == 2
        assert trio.current_time() == 3


async def test_crashes_that_are_long_past_do_not_count(autojump_clock, actor, do):
    it = actor(max_restarts=1, period=10, idle_after=1)
    async with open_supervisor() as supervisor:
        for _ in range(5):
            with pytest.raises(ActorCrashed):
                await supervisor.ask(it.spec, do(crash))
            await trio.sleep(11)
            assert await supervisor.ask(it.spec, do(lambda: 1)) == 1
        assert supervisor.statistics().gave_up == 0


async def test_the_records_of_crashes_do_not_pile_up(autojump_clock, actor, do, caplog):
    caplog.set_level(logging.CRITICAL)
    async with open_supervisor() as supervisor:
        for number in range(500):
            with pytest.raises(ActorCrashed):
                await supervisor.ask(actor(f"{number}", idle_after=1).spec, do(crash))
            await trio.sleep(6)

        assert len(supervisor._windows) < 100


@repeated
async def test_a_background_task_that_crashes_is_a_crash_of_the_actor(
    autojump_clock, actor, do, attempt, caplog
):
    it = actor()
    async with open_supervisor() as supervisor, trio.open_nursery() as nursery:

        async def running():
            with pytest.raises(ActorCrashed) as caught:
                await supervisor.ask(it.spec, do(trio.sleep_forever))
            assert type(caught.value) is ActorCrashed

        await supervisor.ask(it.spec, do(lambda: it.background.start_soon(crash_later)))
        nursery.start_soon(running)
        await trio.testing.wait_all_tasks_blocked()

        assert await supervisor.ask(it.spec, do(lambda: "restarted")) == "restarted"
        assert trio.current_time() == pytest.approx(1.05)
        assert (it.opened, it.closed) == (2, 1)
    assert len(caplog.records) == 1


@repeated
async def test_a_crash_with_a_group_is_a_bare_error_for_the_caller(
    autojump_clock, actor, do, attempt
):
    it = actor()

    async def work():
        async with trio.open_nursery() as nursery:
            nursery.start_soon(crash_later)
            nursery.start_soon(crash_later)

    async with open_supervisor() as supervisor:
        with pytest.raises(ActorCrashed) as caught:
            await supervisor.ask(it.spec, do(work))
        assert isinstance(caught.value.__cause__, ExceptionGroup)
        assert await supervisor.ask(it.spec, do(lambda: "alive")) == "alive"


@repeated
async def test_a_crash_in_the_moment_of_the_cancellation_is_no_group_for_the_caller(
    autojump_clock, actor, do, attempt, caplog
):
    it = actor()

    async def crash_when_cancelled():
        try:
            await trio.sleep_forever()
        finally:
            raise ValueError("bad")

    async def work():
        async with trio.open_nursery() as nursery:
            nursery.start_soon(crash_when_cancelled)
            nursery.start_soon(trio.sleep_forever)

    async with open_supervisor() as supervisor:
        with pytest.raises(ActorCrashed) as caught, trio.move_on_after(1):
            await supervisor.ask(it.spec, do(work))
        assert isinstance(caught.value.__cause__, ExceptionGroup)
        assert not caught.value.__cause__.split(ValueError)[1]
        assert await supervisor.ask(it.spec, do(lambda: "alive")) == "alive"
        assert it.opened == 2
    assert len(caplog.records) == 1


@repeated
async def test_a_group_of_cancellations_is_a_cancellation(autojump_clock, actor, do, attempt):
    it = actor()

    async def work():
        try:
            await trio.sleep_forever()
        except trio.Cancelled as cancelled:
            raise BaseExceptionGroup("both", [cancelled, cancelled]) from None

    async with open_supervisor() as supervisor:
        with trio.move_on_after(1) as cancel_scope:
            await supervisor.ask(it.spec, do(work))
        assert cancel_scope.cancelled_caught
        await supervisor.ask(it.spec, do(lambda: None))
        assert it.opened == 1


async def test_what_is_no_exception_ends_everything_as_it_is(autojump_clock, actor, do):
    it = actor()

    async def work():
        raise KeyboardInterrupt

    async with open_supervisor() as supervisor:
        for each in (work, work):
            with pytest.raises(KeyboardInterrupt):
                await supervisor.ask(it.spec, do(each))
        assert it.opened == 1

    it = actor(bare=True, entering=work)
    with pytest.RaisesGroup(KeyboardInterrupt):
        async with open_supervisor() as supervisor:
            await supervisor.ask(it.spec, do(lambda: None))


@repeated
async def test_a_crash_of_the_actor_in_the_moment_of_the_end_leaves_as_no_group(
    autojump_clock, actor, do, attempt, caplog
):
    it = actor()

    async def crash_when_cancelled():
        try:
            await trio.sleep_forever()
        finally:
            raise ValueError("bad")

    with trio.move_on_after(1) as cancel_scope:
        async with open_supervisor() as supervisor:
            await supervisor.ask(it.spec, do(lambda: None))
            it.background.start_soon(crash_when_cancelled)
            it.background.start_soon(trio.sleep_forever)
            await trio.sleep_forever()

    assert cancel_scope.cancelled_caught
    assert [record.getMessage() for record in caplog.records] == ["actor 'it' crashed, on leaving"]


@repeated
@pytest.mark.parametrize("error", [ValueError("bad"), NotFound("close", "a.txt")])
async def test_an_error_on_leaving_is_logged_and_the_next_one_starts(
    autojump_clock, actor, do, attempt, caplog, error
):
    async def fail():
        raise error

    it = actor(idle_after=5, leaving=fail, bare=False)
    async with open_supervisor() as supervisor:
        await supervisor.ask(it.spec, do(lambda: None))
        await trio.sleep(6)
        assert supervisor.statistics().actors == 0
        assert await supervisor.ask(it.spec, do(lambda: "next")) == "next"
        it.leaving = partial(trio.sleep, 0)

    assert [record.getMessage() for record in caplog.records] == ["actor 'it' crashed, on leaving"]


@pytest.mark.parametrize("how", ["swallows", "leaves"])
async def test_an_actor_that_goes_on_its_own_accord_has_crashed(autojump_clock, do, how, caplog):
    opened = []

    @asynccontextmanager
    async def open_it():
        opened.append(trio.current_time())
        with contextlib.suppress(ValueError):
            async with trio.open_nursery() as nursery:
                if how == "leaves":
                    nursery.cancel_scope.deadline = trio.current_time() + 1
                with contextlib.suppress(ValueError):
                    yield lambda message: message.work()

    spec = ChildSpec(key="it", open=open_it, backoff=1, max_restarts=2)
    async with open_supervisor() as supervisor:
        if how == "swallows":
            for _ in range(3):
                with pytest.raises(ActorCrashed):
                    await supervisor.ask(spec, do(crash))
            assert opened == [0, 1, 3]
        else:
            for _ in range(3):
                with pytest.raises(ActorCrashed, match="ended while it carried the message out"):
                    await supervisor.ask(spec, do(trio.sleep_forever))
            assert opened == [0, 2, 5]
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(ActorGaveUp):
            await supervisor.ask(spec, do(lambda: None))
    assert len(caplog.records) == 3


async def test_a_backoff_ends_when_the_actor_is_not_wanted_any_more(autojump_clock, actor, do):
    it = actor(backoff=50, idle_after=5)
    async with open_supervisor() as supervisor:
        with pytest.raises(ActorCrashed):
            await supervisor.ask(it.spec, do(crash))
        await trio.sleep_until(6)
        assert supervisor.statistics().actors == 0

        with pytest.raises(ActorCrashed):
            await supervisor.ask(it.spec, do(crash))
    assert trio.current_time() == 6


async def test_a_message_that_answers_although_it_was_told_to_stop_has_answered(
    autojump_clock, actor, do
):
    it = actor()

    async def stubborn(answer):
        with trio.CancelScope(shield=True):
            await trio.sleep(2)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def ask(answer):
        return await supervisor.ask(it.spec, do(partial(stubborn, answer), Lane.OBSERVATION))

    async def refused():
        with pytest.raises(NotFound):
            await ask(NotFound("read", "a.txt"))

    async with open_supervisor() as supervisor, trio.open_nursery() as nursery:
        nursery.start_soon(refused)
        await trio.testing.wait_all_tasks_blocked()
        it.background.start_soon(crash_later)

        assert await ask("answer") == "answer"
        assert it.opened == 1
