"""A backend of ours that is used from anywhere: trio, asyncio, or a thread that waits.

Model. A `LocalBackend` lives in one run of trio. Under trio that is the caller's own; otherwise it
is the bridge's. So there is one for each run that uses it, made at its first operation there, on
the same directory. It is given up when it is closed, or forgotten.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Generic, TypeVar
from weakref import WeakKeyDictionary

import sniffio
import trio

from runner.backends.base import Backend
from runner.bridge.calls import wait, wait_in_asyncio
from runner.bridge.home import Home
from runner.bridge.proxies import post
from runner.errors import SupervisorClosed

T = TypeVar("T")
BackendT = TypeVar("BackendT", bound=Backend)
Work = Callable[[BackendT], Awaitable[T]]


class Lodging(Generic[BackendT]):
    """Has work carried out on a backend, where the caller's way of waiting allows it.

    Args:
        make: a new backend; nothing may happen before its first operation.
    """

    def __init__(self, make: Callable[[], BackendT]) -> None:
        self._make = make
        self._home = Home()
        self._bridged: BackendT | None = None
        self._here: WeakKeyDictionary[trio.lowlevel.TrioToken, BackendT] = WeakKeyDictionary()

    async def carry(self, work: Work[BackendT, T]) -> T:
        """For a task, of trio's or of asyncio's."""
        if sniffio.current_async_library() == "trio":
            return await work(self._of_this_run())
        return await wait_in_asyncio(self._home.thread, post(partial(self._carry_out, work)))

    def carry_blocking(self, work: Work[BackendT, T]) -> T:
        """For a thread that waits."""
        return wait(self._home.thread, post(partial(self._carry_out, work)))

    async def aclose(self) -> None:
        """Close those of the bridge and of this run; it may be used again afterwards."""
        if sniffio.current_async_library() == "trio":
            here = self._here.pop(trio.lowlevel.current_trio_token(), None)
            if here is not None:
                await here.aclose()
            if self._bridged is not None:
                await trio.to_thread.run_sync(self.close)
        elif self._bridged is not None:
            with suppress(SupervisorClosed):
                await wait_in_asyncio(self._home.thread, post(self._close_bridged))
            self._home.leave()
        await self._checkpoint()

    def close(self) -> None:
        """Close the bridge's, from a thread that waits."""
        if self._bridged is not None:
            with suppress(SupervisorClosed):
                wait(self._home.thread, post(self._close_bridged))
            ended = self._home.leave()
            if ended is not None:
                ended.join()

    async def _checkpoint(self) -> None:
        if sniffio.current_async_library() == "trio":
            await trio.lowlevel.checkpoint()

    def _of_this_run(self) -> BackendT:
        token = trio.lowlevel.current_trio_token()
        found = self._here.get(token)
        if found is None:
            found = self._here[token] = self._make()
        return found

    async def _carry_out(self, work: Work[BackendT, T]) -> T:
        if self._bridged is None:
            self._bridged = self._make()
        return await work(self._bridged)

    async def _close_bridged(self) -> None:
        backend, self._bridged = self._bridged, None
        if backend is not None:
            await backend.aclose()
