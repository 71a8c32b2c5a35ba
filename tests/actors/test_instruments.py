"""Promise 9: what a mailbox and a supervisor tell of themselves."""

from __future__ import annotations

from functools import partial

import attrs
import pytest
import trio
import trio.testing

from runner.actors import open_supervisor
from runner.actors.instruments import SupervisorStatistics


async def test_the_statistics_of_a_mailbox_count_who_is_where(autojump_clock, actor, do):
    it = actor(capacity=2)
    async with open_supervisor() as supervisor, trio.open_nursery() as nursery:
        mailbox = supervisor.mailbox(it.spec)
        assert not mailbox.statistics().is_served
        for _ in range(5):
            nursery.start_soon(mailbox.ask, do(partial(trio.sleep, 1)))
            await trio.testing.wait_all_tasks_blocked()
        await trio.sleep(0.5)

        now = mailbox.statistics()
        assert (now.running, now.queued, now.outside, now.taken) == (1, 2, 2, 1)
        assert (now.is_open, now.is_served, now.idle, now.waited) == (True, True, 0, 0.5)
        assert repr(mailbox) == "<Mailbox 'it' served: 4 waiting, 1 running>"
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            now.running = 0

        await trio.sleep_until(7)
        now = supervisor.mailbox_statistics()["it"]
        assert (now.running, now.queued, now.outside, now.taken) == (0, 0, 0, 5)
        assert (now.idle, now.waited) == (2, 0)

        mailbox.close()
        await trio.testing.wait_all_tasks_blocked()
        now = mailbox.statistics()
        assert (now.is_open, now.is_served) == (False, False)
        assert repr(mailbox) == "<Mailbox 'it' closed: 0 waiting, 0 running>"


async def test_a_mailbox_whose_actor_is_not_there_says_so(autojump_clock, actor, do):
    it = actor(entering=trio.sleep_forever)
    async with open_supervisor(grace=0) as supervisor, trio.open_nursery() as nursery:
        mailbox = supervisor.mailbox(it.spec)
        nursery.start_soon(mailbox.ask, do(lambda: None))
        await trio.sleep(3)

        assert repr(mailbox) == "<Mailbox 'it' not served: 1 waiting, 0 running>"
        assert mailbox.statistics().waited == 3
        nursery.cancel_scope.cancel()


async def test_answers_of_every_kind_are_counted(autojump_clock, actor, do):
    from runner.errors import NotFound

    def refuse():
        raise NotFound("read", "a.txt")

    async def refuse_later():
        refuse()

    it = actor()
    async with open_supervisor() as supervisor:
        for work in (lambda: None, partial(trio.sleep, 0)):
            await supervisor.ask(it.spec, do(work))
        for work in (refuse, refuse_later):
            with pytest.raises(NotFound):
                await supervisor.ask(it.spec, do(work))

        assert supervisor.mailbox_statistics()["it"].taken == 4


async def test_the_statistics_of_a_supervisor_count_its_actors(autojump_clock, actor, do):
    it, other = actor("it", idle_after=5), actor("other")
    async with open_supervisor(name="tests", grace=0) as supervisor:
        assert repr(supervisor) == "<Supervisor of tests, open: 0 actors>"
        await supervisor.ask(it.spec, do(lambda: None))
        await trio.sleep(6)
        supervisor.mailbox(other.spec)
        now = supervisor.statistics()
        assert now == SupervisorStatistics(
            mailboxes=1,
            actors=0,
            starting=1,
            started=1,
            crashed=0,
            reaped=1,
            gave_up=0,
            is_closing=False,
        )
        await trio.testing.wait_all_tasks_blocked()
        assert repr(supervisor) == "<Supervisor of tests, open: 1 actors>"
    assert repr(supervisor) == "<Supervisor of tests, closing: 0 actors>"
    assert supervisor.statistics().is_closing
