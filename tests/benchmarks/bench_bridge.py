"""What a call costs from synchronous and asyncio programs, beside trio's own way across.

All in one process: `exists` on a scope, which is among the shortest of operations.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from pathlib import Path

import trio

import runner.asyncio
from runner import blocking
from tests.benchmarks.measure import Row

CALLS = 500  # in each round
ROUNDS = 15
AT_ONCE = 16


async def in_trio(place: Path) -> tuple[float, float]:
    """Seconds of a call in trio, and of one by `trio.from_thread.run` from a waiting thread."""
    import runner

    async with runner.open_runner(state=place / "state") as r:
        scope = r.scope(place)
        begin = time.perf_counter()
        for _ in range(CALLS):
            await scope.exists("a")
        here = time.perf_counter() - begin
        token = trio.lowlevel.current_trio_token()

        def across() -> float:
            begin = time.perf_counter()
            for _ in range(CALLS):
                trio.from_thread.run(scope.exists, "a", trio_token=token)
            return time.perf_counter() - begin

        return here / CALLS, await trio.to_thread.run_sync(across) / CALLS


def in_thread(place: Path) -> float:
    """Seconds of a blocking call."""
    with blocking.open_runner(state=place / "state") as r:
        scope = r.scope(place)
        begin = time.perf_counter()
        for _ in range(CALLS):
            scope.exists("a")
        return (time.perf_counter() - begin) / CALLS


async def in_asyncio(place: Path) -> tuple[float, float]:
    """Seconds of an awaited call, one by one and sixteen at a time."""
    async with runner.asyncio.open_runner(state=place / "state") as r:
        scope = r.scope(place)

        async def calls(number: int) -> None:
            for _ in range(number):
                await scope.exists("a")

        begin = time.perf_counter()
        await calls(CALLS)
        single = time.perf_counter() - begin
        begin = time.perf_counter()
        await asyncio.gather(*(calls(CALLS // AT_ONCE) for _ in range(AT_ONCE)))
        return single / CALLS, (time.perf_counter() - begin) / (CALLS // AT_ONCE * AT_ONCE)


def run() -> list[Row]:
    names = ("in trio", "from_thread", "blocking", "asyncio", "asyncio, 16 at once")
    found: dict[str, list[float]] = {name: [] for name in names}
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        for _ in range(ROUNDS):
            figures = (
                *trio.run(in_trio, place),
                in_thread(place),
                *asyncio.run(in_asyncio(place)),
            )
            for each, figure in zip(names, figures, strict=True):
                found[each].append(figure * 1e6)
    ratio = [
        ours / theirs for ours, theirs in zip(found["blocking"], found["from_thread"], strict=True)
    ]
    return [
        Row("a blocking call ÷ the same by trio.from_thread.run", ratio, 1.6),
        *(Row(f"scope.exists: {each}", found[each], unit="µs") for each in names),
    ]
