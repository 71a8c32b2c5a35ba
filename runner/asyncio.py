"""runner for asyncio programs: every coroutine is awaited in the caller's event loop.

    import runner.asyncio

    async with runner.asyncio.open_runner() as r:
        scope = r.scope("work/shop")
        await scope.write("notes/a.txt", "hi")
        async with r.session(scope, agent="shell") as session:
            turn = await session.send("ls")

The names and types are all those of `runner`. A task that is cancelled leaves when what it has
asked for has been put down. Functions that are handed in are called in the event loop; they may be
coroutine functions. May be used from any number of event loops. There is no thread for a call.

A backend that is made by itself (`runner.asyncio.LocalBackend("work")`) holds trio's thread from
its first call until `aclose`, or until it is forgotten.
"""

from __future__ import annotations

from typing import Any

import runner
from runner.bridge.manners import Asyncio
from runner.bridge.names import public

__all__ = [*runner.__all__, "wrap"]  # noqa: PLE0604 - whatever runner has

ASYNCIO = Asyncio()


def wrap(target: Any) -> Any:
    """The same object for asyncio: one of runner's that was made for a trio program."""
    return ASYNCIO.wrap(target)


def __getattr__(name: str) -> Any:
    value = globals()[name] = public(ASYNCIO, name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *runner.__all__})
