"""Reading what programs say: all of it, in its order; at once, unless there is very much."""

from __future__ import annotations

import os

import pytest
import trio
import trio.testing

from runner.sessions.reading import FEW, TICK, Pace, read_all


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


async def reads(pace: Pace, reader: object, times: int, found: list[float]) -> None:
    """Read so often, a hundred times a tick if nothing is in the way."""
    for _ in range(times):
        await pace.keep(reader)
        found.append(trio.current_time())
        await trio.sleep(TICK / 100)


async def test_few_who_read_very_often_never_wait(
    autojump_clock: trio.testing.MockClock,
) -> None:
    pace = Pace()
    found: list[float] = []
    start = trio.current_time()
    async with trio.open_nursery() as nursery:
        for reader in range(FEW):
            nursery.start_soon(reads, pace, reader, 500, found)

    assert pytest.approx(5 * TICK) == trio.current_time() - start


async def test_many_read_once_in_a_tick(autojump_clock: trio.testing.MockClock) -> None:
    pace = Pace()
    found: list[float] = []
    start = trio.current_time()
    async with trio.open_nursery() as nursery:
        for reader in range(3 * FEW):
            nursery.start_soon(reads, pace, reader, 10, found)
    took = trio.current_time() - start

    assert 9 * TICK <= took <= 11 * TICK
    assert 3 * FEW * 10 == len(found)


async def test_when_most_have_stopped_the_others_do_not_wait_any_more(
    autojump_clock: trio.testing.MockClock,
) -> None:
    pace = Pace()
    async with trio.open_nursery() as nursery:
        for reader in range(3 * FEW):
            nursery.start_soon(reads, pace, reader, 3, [])
    await pace.keep("one")  # the tick after theirs may still be one of many
    await trio.sleep(TICK)
    start = trio.current_time()
    await reads(pace, "one", 50, [])

    assert pytest.approx(TICK / 2) == trio.current_time() - start


@pytest.mark.parametrize("attempt", range(10))
async def test_when_who_keeps_the_time_goes_another_one_does(
    autojump_clock: trio.testing.MockClock, attempt: int
) -> None:
    pace = Pace()
    for reader in range(FEW):
        await pace.keep(reader)
    start = trio.current_time()
    ended: list[float] = []

    async def read(cancel_scope: trio.CancelScope) -> None:
        with cancel_scope:
            await pace.keep(cancel_scope)
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
