"""An async context manager of trio, used by somebody who is not in trio.

It is entered and left by one task in trio's thread, which stays in between, as its cancel scopes
and nurseries need it. The block's exception is given to it as if the block were there.
"""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Any, TypeAlias

import trio

from runner.bridge.thread import TrioThread

Raised: TypeAlias = tuple[type[BaseException] | None, BaseException | None, TracebackType | None]


class Stay:
    """One stay inside of a context manager; its methods are carried out in trio's thread."""

    def __init__(self, thread: TrioThread, manager: AbstractAsyncContextManager[Any, Any]) -> None:
        self._thread = thread
        self._manager = manager
        self._cancel_scope = trio.CancelScope()
        self._entered = trio.Event()
        self._leaving = trio.Event()
        self._left = trio.Event()
        self._raised: Raised = (None, None, None)
        self._value: object = None
        self._swallowed: bool | None = False
        self._error: BaseException | None = None

    @property
    def is_inside(self) -> bool:
        """Whether it was entered, and has not been left."""
        return self._entered.is_set() and not self._left.is_set()

    @property
    def is_ours(self) -> bool:
        """Whether it was entered in this process, and not in one that this was forked from."""
        return self._thread.is_ours

    async def enter(self) -> object:
        """Enter, and give what the context manager gives."""
        self._thread.nursery.start_soon(self._stay)
        await self._or_cancel(self._entered)
        if self._error is not None:
            raise self._error
        return self._value

    async def leave(self, *raised: Any) -> bool | None:
        """Leave, with what the block raised; whether that is swallowed."""
        self._raised = raised
        self._leaving.set()
        await self._or_cancel(self._left)
        if self._error is not None:
            raise self._error
        return self._swallowed

    async def _or_cancel(self, event: trio.Event) -> None:
        try:
            await event.wait()
        except trio.Cancelled:
            self._cancel_scope.cancel(reason="its caller was cancelled")
            with trio.CancelScope(shield=True):  # as bounded as leaving the manager is
                await self._left.wait()
            raise

    async def _stay(self) -> None:
        try:
            with self._cancel_scope:
                await self._pass_through()
        except trio.Cancelled:
            raise
        except BaseException as error:  # noqa: BLE001 - whoever leaves gets it bare
            self._error = error
        finally:
            self._left.set()
            self._entered.set()

    async def _pass_through(self) -> None:
        self._value = await self._manager.__aenter__()
        self._entered.set()
        try:
            await self._leaving.wait()
        except trio.Cancelled as error:  # of a nursery inside, or since the thread ends
            trace = error.__traceback__
            await self._manager.__aexit__(type(error), error, trace)  # noqa: ASYNC102 - as `async with`
            raise
        self._swallowed = await self._manager.__aexit__(*self._raised)


def is_just(error: BaseException, raised: BaseException | None) -> bool:
    """Whether an error is no other than what the block raised.

    A nursery puts what passes through it into a group; KeyboardInterrupt or asyncio's cancellation
    would not be known again in one.
    """
    while (
        isinstance(error, BaseExceptionGroup)
        and len(error.exceptions) == 1
        and not isinstance(raised, Exception)
    ):
        error = error.exceptions[0]
    return error is raised
