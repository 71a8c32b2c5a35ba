"""Reading what programs say: all of it, in its order; at once, unless there is very much."""

from __future__ import annotations

import os

import pytest
import trio
import trio.testing

from runner.sessions.reading import AT_ONCE, TICK, Pace, read_all


async def test_a_pipe_is_read_to_its_end() -> None:
    ours, theirs = os.pipe()
    found: list[bytes] = []
    async with trio.lowlevel.FdStream(ours) as stream, trio.lowlevel.FdStream(theirs) as writer:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(read_all, stream, found.append, Pace())
            await writer.send_all(bytes(1_000_000))
            await writer.aclose()

    assert bytes(1_000_000) == b"".join(found)


async def test_a_pipe_that_is_closed_meanwhile_has_ended() -> None:
    ours, theirs = os.pipe()
    async with trio.lowlevel.FdStream(ours) as stream, trio.lowlevel.FdStream(theirs):
        with trio.fail_after(5):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(read_all, stream, print, Pace())
                await trio.testing.wait_all_tasks_blocked()
                await stream.aclose()


async def test_few_read_at_once_and_many_in_ticks(autojump_clock: trio.testing.MockClock) -> None:
    pace = Pace()
    found: list[float] = []

    async def read() -> None:
        await pace.keep()
        found.append(trio.current_time())

    start = trio.current_time()
    async with trio.open_nursery() as nursery:
        for _ in range(3 * AT_ONCE):
            nursery.start_soon(read)
    await trio.sleep(TICK)
    await read()

    late = [moment for moment in found if moment > start]
    assert AT_ONCE == found.count(start)
    assert [start + TICK] * (2 * AT_ONCE) + [start + 2 * TICK] == late


@pytest.mark.parametrize("attempt", range(10))
async def test_when_who_keeps_the_time_goes_another_one_does(
    autojump_clock: trio.testing.MockClock, attempt: int
) -> None:
    pace = Pace()
    for _ in range(AT_ONCE):
        await pace.keep()
    start = trio.current_time()
    ended: list[float] = []

    async def read(cancel_scope: trio.CancelScope) -> None:
        with cancel_scope:
            await pace.keep()
            ended.append(trio.current_time())

    cancel_scopes = [trio.CancelScope() for _ in range(4)]
    async with trio.open_nursery() as nursery:
        for each in cancel_scopes:
            nursery.start_soon(read, each)
        await trio.testing.wait_all_tasks_blocked()
        for each in cancel_scopes[:3]:
            each.cancel()
            await trio.testing.wait_all_tasks_blocked()

    assert [start + TICK] == ended
