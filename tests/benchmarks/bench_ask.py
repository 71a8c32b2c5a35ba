"""(a) An ask of an idle actor, against request and reply over a new trio memory channel.

What can be answered at once is a plain function of the actor's, as scopes do short operations and
sessions all but turns; the rest is a coroutine. Both are measured with work that costs nothing, so
that what is left is the way of the message; and a real session, asked to interrupt no turn.
"""

from __future__ import annotations

import tempfile
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import trio

import runner
from runner.actors import ChildSpec, Handle, Lane, open_supervisor
from runner.messages import Exists, Message
from tests.benchmarks.measure import Row, ratios, times

ASKS = 2000  # in all, in each round
MESSAGE = Exists(path="a.txt")
LANES: dict[type[Message[Any]], Lane] = {Exists: Lane.OBSERVATION}
PLACE = ("home", "somebody", "work", "project", "sub")  # as deep as real ones
Ask = Callable[[], Awaitable[object]]


async def answer_by_channel(
    requests: trio.MemoryReceiveChannel[Any], work: Callable[[object], Awaitable[object]]
) -> None:
    """The obvious actor: one task, one channel for requests, one for each reply."""
    async for message, reply in requests:
        await reply.send(await work(message))


async def ask_by_channel(requests: trio.MemorySendChannel[Any]) -> object:
    reply, answers = trio.open_memory_channel[object](1)
    await requests.send((MESSAGE, reply))
    return await answers.receive()


def at_once(_message: Message[Any]) -> object:
    return True


async def later(_message: object) -> object:
    return True


async def later_with_a_wait(_message: object) -> object:
    await trio.lowlevel.checkpoint()
    return True


def spec_of(handle: Handle, *, like: str) -> ChildSpec:
    @asynccontextmanager
    async def open_actor() -> AsyncGenerator[Handle, None]:
        yield handle

    if like == "scope":
        return ChildSpec(
            key=handle, open=open_actor, lane=lambda message: LANES[type(message)], place=PLACE
        )
    return ChildSpec(key=(like, handle), open=open_actor)


async def repeat(ask: Ask, times: int) -> None:
    for _ in range(times):
        await ask()


async def by_many(ask: Ask, callers: int) -> None:
    if callers == 1:
        await repeat(ask, ASKS)
        return
    async with trio.open_nursery() as nursery:
        for _ in range(callers):
            nursery.start_soon(repeat, ask, ASKS // callers)


@asynccontextmanager
async def real_session() -> AsyncGenerator[runner.Session, None]:
    """A session that has had a turn, and has none now."""
    with tempfile.TemporaryDirectory() as place:
        async with (
            runner.open_runner(state=f"{place}/state") as r,
            r.session(r.scope(f"{place}/work"), agent="shell", durable=False) as session,
        ):
            await r.scope(f"{place}/work").mkdir(".")
            await session.send("true")
            yield session


async def measure() -> list[Row]:
    rows: list[Row] = []
    async with (
        trio.open_nursery() as nursery,
        open_supervisor() as supervisor,
        real_session() as session,
    ):
        channels = {}
        for name, work in [("channel", later), ("channel, waits", later_with_a_wait)]:
            requests, received = trio.open_memory_channel[Any](1024)
            nursery.start_soon(answer_by_channel, received, work)
            channels[name] = partial(ask_by_channel, requests)
        actors = {
            "scope": spec_of(at_once, like="scope"),
            "session, coroutine": spec_of(later, like="session"),
            "session, at once": spec_of(at_once, like="session"),
            "session, waits": spec_of(later_with_a_wait, like="session"),
        }
        asks: dict[str, Ask] = channels | {
            name: partial(supervisor.ask, spec, MESSAGE) for name, spec in actors.items()
        }
        asks["real session"] = session.interrupt
        for callers in (1, 100):
            found = await times(
                {name: partial(by_many, ask, callers) for name, ask in asks.items()}
            )
            targets = {"scope": 0.5, "real session": 0.8, "session, at once": 0.8}
            for name in (*actors, "real session"):
                base = "channel, waits" if name.endswith("waits") else "channel"
                target = targets.get(name)
                if target is not None and callers > 1:
                    target = 0.35
                who = "1 caller" if callers == 1 else f"{callers} callers"
                values = ratios(found[name], found[base])
                rows.append(Row(f"(a) ask of a {name}, {who} ÷ {base}", values, target))
            for name in ("channel", "scope", "session, coroutine"):
                micro = [seconds / ASKS * 1e6 for seconds in found[name]]
                rows.append(Row(f"(a) {name}, {callers} caller(s)", micro, unit="us"))
        nursery.cancel_scope.cancel()
    return rows


def run() -> list[Row]:
    return trio.run(measure)
