"""What is written to a program: whole lines, in their order, whoever is cancelled meanwhile."""

from __future__ import annotations

import trio
import trio.testing

from runner.sessions.credentials import Blanks
from runner.sessions.traffic import Traffic
from runner.sessions.writing import Writer


async def test_no_caller_that_is_cancelled_tears_a_line() -> None:
    writer, (ours, theirs) = (
        Writer(Traffic(), Blanks()),
        trio.testing.lockstep_stream_one_way_pair(),
    )
    lines = [b"%d" % number * 100_000 + b"\n" for number in range(5)]

    async def send(line: bytes) -> None:
        writer.put(line)
        await trio.sleep_forever()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(writer.write_to, ours)
        async with trio.open_nursery() as callers:
            for line in lines:
                callers.start_soon(send, line)
            await trio.testing.wait_all_tasks_blocked()
            callers.cancel_scope.cancel()
        with trio.fail_after(5):
            data = b""
            while data.count(b"\n") < len(lines):
                data += await theirs.receive_some()
        nursery.cancel_scope.cancel()

    assert sorted(lines) == sorted(data.splitlines(keepends=True))


async def test_a_program_that_has_closed_its_input_is_no_error() -> None:
    writer, (ours, theirs) = (
        Writer(Traffic(), Blanks()),
        trio.testing.lockstep_stream_one_way_pair(),
    )
    await theirs.aclose()
    writer.put(b"")
    writer.put(b"x\n")

    with trio.fail_after(5):
        await writer.write_to(ours)
