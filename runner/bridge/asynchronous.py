"""runner for asyncio programs: every coroutine is awaited in the caller's event loop.

    from runner.bridge import asynchronous

    async with asynchronous.open_runner() as r:
        scope = r.scope("work/shop")
        await scope.write("notes/a.txt", "hi")
        async with r.session(scope, agent="shell") as session:
            turn = await session.send("ls")

The names and types are those of `runner`. A task that is cancelled leaves when what it has asked
for has been put down. Functions that are handed in are called in the event loop; they may be
coroutine functions. May be used from any number of event loops. There is no thread for a call.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, ParamSpec, TypeVar, cast

from runner import runtime
from runner.bridge.manners import Asyncio
from runner.bridge.proxies import Home

P = ParamSpec("P")
T = TypeVar("T")

ASYNCIO = Asyncio()


def _opened(
    function: Callable[P, AbstractAsyncContextManager[T]],
) -> Callable[P, AbstractAsyncContextManager[T]]:
    def opened(*args: P.args, **kwargs: P.kwargs) -> AbstractAsyncContextManager[T]:
        made = ASYNCIO.wrap(function(*args, **kwargs), Home(once=True))
        return cast("AbstractAsyncContextManager[T]", made)

    opened.__doc__ = function.__doc__
    opened.__name__ = function.__name__
    return opened


open_runner = _opened(runtime.open_runner)


def wrap(target: T) -> T:
    """The same object for asyncio: one of runner's that is used by itself, such as a backend.

    It holds trio's thread from its first call until `aclose`, or until it is forgotten.
    """
    made: Any = ASYNCIO.wrap(target)
    return cast("T", made)
