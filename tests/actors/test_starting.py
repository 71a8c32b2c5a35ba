"""Promise 1: mailbox first, actor second."""

from __future__ import annotations

import contextvars
from functools import partial

import pytest
import trio
import trio.testing

from runner.actors import open_supervisor
from runner.actors.verdicts import one_more
from runner.errors import NotFound, RunnerError, SnapshotNotFound, WorkspaceBusy

repeated = pytest.mark.parametrize("attempt", range(30))
request_id = contextvars.ContextVar("request_id", default="none")


@repeated
async def test_ten_callers_of_a_new_key_share_one_start(autojump_clock, actor, do, attempt):
    it = actor(entering=partial(trio.sleep, 1))
    answers = []

    async def ask(number):
        answers.append(await supervisor.ask(it.spec, do(lambda: number)))

    async with open_supervisor() as supervisor:
        async with trio.open_nursery() as nursery:
            for number in range(10):
                nursery.start_soon(ask, number)

        assert it.opened == 1
        assert sorted(answers) == list(range(10))
        assert supervisor.statistics().started == 1
    assert it.closed == 1


@repeated
async def test_the_timeout_of_a_caller_does_not_kill_the_start(autojump_clock, actor, do, attempt):
    it = actor(entering=partial(trio.sleep, 2))
    async with open_supervisor() as supervisor:
        with trio.move_on_after(1) as first:
            await supervisor.ask(it.spec, do(lambda: pytest.fail("its caller has left")))

        assert first.cancelled_caught
        assert trio.current_time() == 1

        assert await supervisor.ask(it.spec, do(lambda: "here")) == "here"
        assert trio.current_time() == 2
        assert it.opened == 1


@repeated
async def test_the_context_of_a_caller_does_not_leak_into_the_start(
    autojump_clock, actor, do, attempt
):
    seen = []

    async def look():
        seen.append(request_id.get())

    it = actor(entering=look)
    async with open_supervisor() as supervisor:
        request_id.set("a request")
        inside = await supervisor.ask(it.spec, do(request_id.get))

    assert seen == ["none"]
    assert inside == "a request"  # the work itself is done in the caller's name


async def test_a_key_that_is_looked_up_is_registered_at_once(autojump_clock, actor):
    it = actor()
    async with open_supervisor() as supervisor:
        mailbox = supervisor.mailbox(it.spec)

        assert supervisor.mailbox(it.spec) is mailbox
        assert it.opened == 0
        await trio.testing.wait_all_tasks_blocked()
        assert it.opened == 1


@repeated
async def test_messages_that_came_before_the_actor_keep_their_order(
    autojump_clock, actor, do, attempt
):
    it = actor(entering=partial(trio.sleep, 1))
    order = []
    async with open_supervisor() as supervisor, trio.open_nursery() as nursery:
        mailbox = supervisor.mailbox(it.spec)
        for number in range(10):
            nursery.start_soon(mailbox.ask, do(partial(order.append, number)))
            await trio.testing.wait_all_tasks_blocked()

    assert order == list(range(10))


async def test_an_actor_may_be_closed_while_it_is_being_opened(autojump_clock, actor, do):
    it = actor(entering=partial(trio.sleep, 10), idle_after=5)
    async with open_supervisor() as supervisor:
        with trio.move_on_after(1):
            await supervisor.ask(it.spec, do(lambda: None))
        await trio.sleep_until(7)

        assert supervisor.statistics().mailboxes == 0
        assert await supervisor.ask(it.spec, do(lambda: "the next one")) == "the next one"
        assert trio.current_time() == 20
        assert (it.opened, it.closed) == (2, 1)


@pytest.mark.parametrize(
    "error", [WorkspaceBusy("one", 7), SnapshotNotFound("a", "one", ["b"]), NotFound("read", "a")]
)
def test_an_error_for_many_askers_says_the_same_to_each(error: RunnerError) -> None:
    error.__cause__ = cause = ValueError()
    another = one_more(error)

    assert another is not error
    assert (str(error), type(error), vars(error)) == (str(another), type(another), vars(another))
    assert cause is another.__cause__
