"""Where a scope's operations are carried out, for frameworks that call from anywhere.

Model. A scope lives in a trio thread. An adapter writes what it does as coroutine functions on that
scope; a `Carrier` has them carried out there, in one go however many operations they make:

    scope of a trio program      ──► a task there awaits them; a thread that trio started waits
    scope of the bridge's        ──► an asyncio task or any thread waits, as the bridge does

So one adapter object serves a framework that calls it both ways, whatever the scope came from.

What it does not do: know any framework.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, TypeVar

import sniffio
import trio

from runner.bridge.calls import wait, wait_in_asyncio
from runner.bridge.home import Home
from runner.bridge.proxies import StandIn, post
from runner.scopes.scope import Scope

T = TypeVar("T")


class Carrier:
    """Has work carried out where a scope lives.

    Attributes:
        scope: the scope itself, to be used by that work only.

    Args:
        scope: of a runner in a trio program, or of one that was opened through the bridge.
    """

    scope: Scope

    def __init__(self, scope: Any) -> None:
        self._home: Home | None = None
        if isinstance(scope, StandIn):
            self._home, scope = scope._home, scope._target  # noqa: SLF001 - the bridge's own words
        self.scope = scope

    async def carry(self, work: Callable[[], Awaitable[T]]) -> T:
        """Have a coroutine function carried out, for a task of trio's or of asyncio's."""
        is_trio = sniffio.current_async_library() == "trio"
        if self._home is None:
            if not is_trio:
                raise RuntimeError(
                    "this scope is of a trio program: under asyncio, use one of a runner that"
                    " runner.asyncio.open_runner() has opened"
                )
            return await work()
        if is_trio:
            return await trio.to_thread.run_sync(partial(self.carry_blocking, work))
        return await wait_in_asyncio(self._home.thread, post(work))

    def carry_blocking(self, work: Callable[[], Awaitable[T]]) -> T:
        """Have a coroutine function carried out, for a thread that waits for it."""
        if self._home is None:
            return trio.from_thread.run(work)
        return wait(self._home.thread, post(work))
