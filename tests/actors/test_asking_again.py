"""Promise 4: a closing mailbox refuses, and the ask begins anew; no message is lost in between."""

from __future__ import annotations

from functools import partial

import pytest
import trio
import trio.testing

from runner.actors import Lane, open_supervisor
from runner.errors import ActorCrashed, ActorGaveUp, MailboxClosed, SupervisorClosed

repeated = pytest.mark.parametrize("attempt", range(30))


@pytest.mark.parametrize("attempt", range(300))
async def test_a_message_on_the_tick_of_the_idle_deadline_is_not_lost(
    autojump_clock, actor, do, attempt
):
    it = actor(idle_after=10)
    answers = []

    async def ask_at(moment):
        await trio.sleep_until(moment)
        answers.append(await supervisor.ask(it.spec, do(lambda: moment)))

    async with open_supervisor() as supervisor:
        await supervisor.ask(it.spec, do(lambda: None))
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(ask_at, 10)
            nursery.start_soon(ask_at, 20)

    assert answers == [10, 10, 10, 20]
    assert 1 <= it.opened <= 3
    assert it.opened == it.closed


@repeated
async def test_the_next_incarnation_waits_until_the_one_before_has_freed_what_it_owned(
    autojump_clock, actor, do, attempt
):
    it = actor(idle_after=10, leaving=partial(trio.sleep, 3))
    async with open_supervisor() as supervisor:
        await supervisor.ask(it.spec, do(lambda: None))
        await trio.sleep_until(11)

        assert it.owns, "it is still freeing"
        assert await supervisor.ask(it.spec, do(lambda: it.owns))
        assert trio.current_time() == 13
        assert (it.opened, it.closed) == (2, 1)


async def test_who_holds_a_closed_mailbox_is_refused(autojump_clock, actor, do):
    it = actor(idle_after=10)
    async with open_supervisor() as supervisor:
        mailbox = supervisor.mailbox(it.spec)
        assert await mailbox.ask(do(lambda: "open")) == "open"
        await trio.sleep_until(11)

        assert not mailbox.is_open
        with pytest.raises(MailboxClosed) as caught:
            await mailbox.ask(do(lambda: pytest.fail("closed")))
        assert caught.value.mailbox is mailbox
        assert await supervisor.ask_nowait(it.spec, do(lambda: "anew")) == "anew"


@repeated
async def test_a_message_that_had_not_begun_when_its_actor_crashed_keeps_its_turn(
    autojump_clock, actor, do, attempt
):
    """Called up, but not awake yet, in the step in which the actor crashes."""
    it = actor(backoff=1)
    order = []
    hold = trio.Event()

    async def read(name):
        await supervisor.ask(it.spec, do(partial(order.append, name), Lane.OBSERVATION))

    async def crash_in_the_background():
        await hold.wait()
        raise ValueError

    async with open_supervisor() as supervisor, trio.open_nursery() as nursery:

        async def write():
            await supervisor.ask(it.spec, do(hold.wait))
            # The readers have been called up by now; this is a crash before they wake up.
            with pytest.raises(ActorCrashed):
                await supervisor.mailbox(it.spec).ask(do(crash, Lane.CONTROL))

        def crash():
            order.append("crash")
            raise ValueError

        nursery.start_soon(write)
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(read, "earlier")
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(supervisor.ask, it.spec, do(partial(order.append, "later")))
        await trio.testing.wait_all_tasks_blocked()
        hold.set()

    assert order in (["crash", "earlier", "later"], ["earlier", "crash", "later"])


@repeated
async def test_a_message_that_was_put_back_can_still_be_cancelled_or_refused(
    autojump_clock, actor, do, attempt
):
    it = actor(max_restarts=0, bare=True)
    hold = trio.Event()
    cancel_scope = trio.CancelScope()
    told = []

    async def read():
        with cancel_scope:
            try:
                await supervisor.ask(it.spec, do(lambda: told.append("ran"), Lane.OBSERVATION))
            except ActorGaveUp as error:
                told.append(type(error).__name__)
                return
        if cancel_scope.cancelled_caught:
            told.append("cancelled")

    def crash():
        raise ValueError

    async def write():
        await supervisor.ask(it.spec, do(hold.wait))
        if attempt % 2:
            cancel_scope.cancel()
        with pytest.raises(ActorCrashed):
            await supervisor.mailbox(it.spec).ask(do(crash, Lane.CONTROL))

    async with open_supervisor() as supervisor, trio.open_nursery() as nursery:
        nursery.start_soon(write)
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(read)
        await trio.testing.wait_all_tasks_blocked()
        hold.set()

    assert told in ([["cancelled"]] if attempt % 2 else [["ActorGaveUp"], ["ran"]])


@repeated
@pytest.mark.parametrize("way", ["ask", "ask_nowait"])
async def test_whoever_waits_in_a_mailbox_that_closes_asks_again(
    autojump_clock, actor, do, attempt, way
):
    it = actor(entering=partial(trio.sleep, 1))
    answers = []

    async def ask(number):
        answers.append(await getattr(supervisor, way)(it.spec, do(lambda: number)))

    async with open_supervisor() as supervisor:
        async with trio.open_nursery() as nursery:
            for number in range(5):
                nursery.start_soon(ask, number)
            await trio.sleep(0.5)
            mailbox = supervisor.mailbox(it.spec)
            supervisor._close(mailbox)
            assert supervisor.mailbox(it.spec) is not mailbox

        assert sorted(answers) == list(range(5))
        assert (it.opened, it.closed) == (2, 1)


@repeated
async def test_whoever_waits_for_an_actor_that_is_cancelled_is_told_of_the_end(
    autojump_clock, actor, do, attempt
):
    """The actor's task may be cancelled before the block in which it was opened has ended."""
    it = actor(entering=trio.sleep_forever)
    told = []

    async def ask(way):
        with pytest.raises(SupervisorClosed):
            await way(it.spec, do(lambda: pytest.fail("it never opened")))
        told.append(True)

    async with trio.open_nursery() as nursery:
        with trio.move_on_after(1):
            async with open_supervisor() as supervisor:
                for _ in range(3):
                    nursery.start_soon(ask, supervisor.ask)
                    nursery.start_soon(ask, supervisor.ask_nowait)
                await trio.sleep_forever()

    assert told == [True] * 6
