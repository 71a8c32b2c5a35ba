"""Promise 2: exactly one answer, and errors cross as bare exceptions."""

from __future__ import annotations

from functools import partial

import pytest
import trio
import trio.testing

from runner.actors import open_supervisor
from runner.errors import MailboxClosed, NotFound, RunnerError

repeated = pytest.mark.parametrize("attempt", range(30))


async def after(seconds, answer):
    await trio.sleep(seconds)
    if isinstance(answer, Exception):
        raise answer
    return answer


@pytest.mark.parametrize("answer", [None, 0, "text", b"bytes", (), [1]])
async def test_an_answer_may_be_anything_at_once_or_later(autojump_clock, actor, do, answer):
    it = actor()
    async with open_supervisor() as supervisor:
        for _ in range(2):  # the first waits for the actor, the second finds it free
            assert await supervisor.ask(it.spec, do(lambda: answer)) == answer
            assert await supervisor.ask(it.spec, do(partial(after, 1, answer))) == answer


async def test_an_error_on_purpose_is_an_answer_and_the_actor_lives_on(autojump_clock, actor, do):
    it = actor()
    error = NotFound("read", "a.txt")

    def refuse():
        raise error

    async with open_supervisor() as supervisor:
        for work in [refuse, refuse, partial(after, 1, error), partial(after, 1, error)]:
            with pytest.raises(NotFound) as caught:
                await supervisor.ask(it.spec, do(work))
            assert caught.value is error

        assert it.opened == 1
        assert supervisor.statistics().crashed == 0


async def test_an_answer_that_happens_to_be_of_a_closed_mailbox_is_no_reason_to_ask_again(
    autojump_clock, actor, do
):
    it, other = actor("it"), actor("other")
    begun = []
    async with open_supervisor() as supervisor:
        elsewhere = supervisor.mailbox(other.spec)
        elsewhere.close()

        async def ask_elsewhere():
            begun.append(True)
            await elsewhere.ask(do(lambda: None))

        for ask in (supervisor.ask, supervisor.ask_nowait):
            with pytest.raises(MailboxClosed) as caught:
                await ask(it.spec, do(ask_elsewhere))
            assert caught.value.mailbox is elsewhere
        assert len(begun) == 2


@repeated
async def test_an_error_on_opening_answers_all_who_wait(autojump_clock, actor, do, attempt):
    error = NotFound("open", "place")
    it = actor(bare=True, entering=partial(after, 1, error))
    caught = []

    async def ask():
        try:
            await supervisor.ask(it.spec, do(lambda: pytest.fail("there is no actor")))
        except NotFound as answer:
            caught.append(answer)

    async with open_supervisor() as supervisor:
        async with trio.open_nursery() as nursery:
            for _ in range(10):
                nursery.start_soon(ask)

        assert [str(each) for each in caught] == [str(error)] * 10
        assert len({id(each) for each in caught}) == 10, "each may add to its own"
        assert it.opened == 1
        assert supervisor.statistics().mailboxes == 0
        assert supervisor.statistics().crashed == 0

        it.entering = partial(after, 1, None)
        assert await supervisor.ask(it.spec, do(lambda: "again")) == "again"


class OddError(RunnerError):
    def __init__(self, *, reason: str) -> None:
        super().__init__(reason)


async def test_an_error_that_is_made_in_a_way_of_its_own_is_an_answer_too(
    autojump_clock, actor, do
):
    error = OddError(reason="odd")
    it = actor(bare=True, entering=partial(after, 1, error))
    async with open_supervisor() as supervisor:
        with pytest.raises(OddError) as caught:
            await supervisor.ask(it.spec, do(lambda: None))
        assert "odd" == str(caught.value)


async def test_the_lane_of_a_message_decides_who_runs_beside_it(autojump_clock, actor, do):
    from runner.actors import Lane

    it = actor()
    ends = {}

    async def ask(name, lane):
        await supervisor.ask(it.spec, do(partial(after, 1, None), lane))
        ends[name] = trio.current_time()

    async with open_supervisor() as supervisor:
        async with trio.open_nursery() as nursery:
            for name, lane in [
                ("write", Lane.EFFECT),
                ("read", Lane.OBSERVATION),
                ("stat", Lane.OBSERVATION),
                ("exec", Lane.EXEC),
                ("interrupt", Lane.CONTROL),
            ]:
                nursery.start_soon(ask, name, lane)
                await trio.testing.wait_all_tasks_blocked()

    assert ends == {"write": 1, "interrupt": 1, "read": 2, "stat": 2, "exec": 3}
