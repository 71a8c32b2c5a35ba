"""The writer: in order, never holding up who writes; slow readers and those who have gone."""

from __future__ import annotations

import contextlib
import os

import pytest
import trio

from runner.cli.writer import Writer


@pytest.fixture
def pipe():
    ends = os.pipe()
    yield ends
    for end in ends:
        with contextlib.suppress(OSError):
            os.close(end)


async def test_what_is_put_comes_out_in_order(pipe, nursery) -> None:
    reader, descriptor = pipe
    writer = Writer(descriptor)
    nursery.start_soon(writer.run)

    for number in range(100):
        writer.put_line(str(number))
    writer.put("")
    await writer.flushed()

    assert os.read(reader, 1 << 16).decode().split() == [str(number) for number in range(100)]


@pytest.mark.parametrize("attempt", range(10))
async def test_a_reader_who_does_not_read_holds_nobody_up(attempt, pipe, nursery) -> None:
    reader, descriptor = pipe
    writer = Writer(descriptor)
    nursery.start_soon(writer.run)
    text = "x" * (1 << 20)

    writer.put(text)  # more than a pipe takes
    await trio.testing.wait_all_tasks_blocked()
    with trio.move_on_after(0) as scope:
        await writer.flushed()
    assert scope.cancelled_caught

    got = b""
    with trio.fail_after(30):
        while len(got) < len(text):
            got += await trio.to_thread.run_sync(os.read, reader, 1 << 20)
        await writer.flushed()
    assert got.decode() == text


async def test_a_write_that_nobody_reads_does_not_keep_us_at_the_end(pipe) -> None:
    writer = Writer(pipe[1])

    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(writer.run)
            writer.put("x" * (1 << 20))
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()

    assert os.read(pipe[0], 1) == b"x"


async def test_after_the_reader_has_gone_everything_vanishes(pipe, nursery) -> None:
    told = trio.Event()
    writer = Writer(pipe[1], told.set)
    nursery.start_soon(writer.run)
    os.close(pipe[0])

    writer.put("x")
    with trio.fail_after(10):
        await told.wait()
        await writer.flushed()
    writer.put("y")
    await writer.flushed()

    assert writer.is_closed
