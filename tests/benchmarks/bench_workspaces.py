"""Files of a workspace, each write audited, beside the real agentfs-sdk 0.6.

Each figure is the peer's time divided by ours, in one run, for the same work on a disk: new files of
1,000 bytes that are written, read, or asked for their status. Ours go through the workspace's
order on real files, and each write leaves an intent before it and its end after it, with two
digests, in a log that outlives a kill; the chained rows of 64 come into the store at once, which is
in the time. agentfs-sdk has an SQLite file, in the same directory, without an audit of its own.

The peer is an asyncio library: its round is one coroutine in a loop of its own, in a thread, so
that it pays for no hops.
"""

from __future__ import annotations

import asyncio
import importlib
import tempfile
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import trio

import runner
from tests.benchmarks.measure import CannotRun, Row, ratios, times

HOW = "pip install agentfs-sdk==0.6.4"
CONTENT = b"x" * 1000
DIRECTORIES = 50
OURS, THEIRS = 500, 50  # operations of a round: theirs take that much longer
ROUNDS = 9
AT_LEAST = 20

Work = Callable[[int], Awaitable[object]]


@contextmanager
def loop_in_thread() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield loop
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def name(number: int) -> str:
    return f"src/d{number % DIRECTORIES}/file{number}.py"


class Round:
    """Does something with so many files, others each time; begins anew after the last one."""

    def __init__(self, work: Work, count: int, *, last: int) -> None:
        self.work, self.count, self.last = work, count, last
        self.next = 0

    async def __call__(self) -> None:
        for _ in range(self.count):
            await self.work(self.next % self.last)
            self.next += 1


async def there(loop: asyncio.AbstractEventLoop, work: Round) -> None:
    """A round of the peer's, in its own loop."""
    future = asyncio.run_coroutine_threadsafe(work(), loop)
    await trio.to_thread.run_sync(future.result)


async def open_peer(path: Path) -> Any:
    peer: Any = importlib.import_module("agentfs_sdk")
    return await peer.AgentFS.open(peer.AgentFSOptions(path=str(path / "agent.db")))


async def measure(top: Path, loop: asyncio.AbstractEventLoop) -> list[Row]:
    base = top / "base"
    base.mkdir()
    opening = asyncio.run_coroutine_threadsafe(open_peer(top), loop)
    peer = await trio.to_thread.run_sync(opening.result)
    async with runner.open_runner(state=top / "state") as made:
        ws = await made.project(base).create("bench")
        ours: dict[str, Work] = {
            "write": lambda number: ws.write(name(number), CONTENT),
            "read": lambda number: ws.read(name(number), encoding=None),
            "stat": lambda number: ws.stat(name(number)),
        }
        theirs: dict[str, Work] = {
            "write": lambda number: peer.fs.write_file(f"/{name(number)}", CONTENT),
            "read": lambda number: peer.fs.read_file(f"/{name(number)}", None),
            "stat": lambda number: peer.fs.stat(f"/{name(number)}"),
        }
        rows: list[Row] = []
        for what, work in ours.items():
            variants = {
                "ours": Round(work, OURS, last=OURS * (ROUNDS + 1)),
                "theirs": partial(
                    there, loop, Round(theirs[what], THEIRS, last=THEIRS * (ROUNDS + 1))
                ),
            }
            found = await times(variants, rounds=ROUNDS)
            mine = [each / OURS for each in found["ours"]]
            other = [each / THEIRS for each in found["theirs"]]
            audited = ", audited" if what == "write" else ""
            title = f"workspace {what} of 1,000 B{audited}, times faster than agentfs-sdk"
            rows.append(Row(title, ratios(other, mine), AT_LEAST, at_least=True))
            rows.append(Row(f"workspace {what}s a second", [1 / each for each in mine], unit="/s"))
            rows.append(
                Row(f"agentfs-sdk {what}s a second", [1 / each for each in other], unit="/s")
            )
        assert (await ws.audit.verify()).ok
        await ws.unmount()
    closing = asyncio.run_coroutine_threadsafe(peer.close(), loop)
    await trio.to_thread.run_sync(closing.result)
    return rows


def run() -> list[Row]:
    try:
        importlib.import_module("agentfs_sdk")
    except ImportError as exc:
        raise CannotRun(f"{exc}: {HOW}") from exc
    with tempfile.TemporaryDirectory() as top, loop_in_thread() as loop:
        return trio.run(measure, Path(top), loop)
