"""Functions that a caller hands in: carried out where the caller lives, not in trio's thread.

Under asyncio that is its event loop. In a synchronous program it is the thread that waits in the
call which the function is called for, or else in the one that it was handed in with; if there is
neither any more, it is trio's thread, as it would be in a trio program.

Trio's thread never waits for them, so they may use runner themselves. Who needs what they answer
awaits it; who does not need it goes on at once, and if the function then fails, so does the call.
"""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import logging
from collections.abc import Callable, Generator
from functools import partial
from typing import Any

import attrs
import trio

from runner.bridge.calls import Call, current_call, running_loop
from runner.bridge.home import Home
from runner.bridge.thread import TrioThread
from runner.errors import SupervisorClosed

log = logging.getLogger(__name__)
Function = Callable[..., Any]


class Answer:
    """What a function will have answered, for whoever awaits it in trio's thread."""

    def __init__(
        self,
        call: Call[object] | None,
        thread: TrioThread,
        take: Callable[[object], object] = lambda value: value,
    ) -> None:
        self._call = call
        self._thread = thread
        self._take = take
        self._event = trio.Event()
        self._is_awaited = False
        self._value: object = None
        self._error: Exception | None = None
        self._withdraw: Callable[[], object] | None = None

    def __await__(self) -> Generator[Any, Any, object]:
        self._is_awaited = True
        return self._wait().__await__()

    def __bool__(self) -> bool:
        raise TypeError("this is a callback's answer, which has to be awaited first")

    def settle(self, value: object, error: Exception | None = None) -> None:
        """Say what came of it, from any thread."""
        try:
            self._thread.post(self._settle, value, error)
        except SupervisorClosed:
            return  # nobody is there any more who could want it

    def withdraw_by(self, work: Callable[[], object]) -> None:
        """How it is ended early; for a function that takes its time."""
        self._withdraw = work

    def _settle(self, value: object, error: Exception | None) -> None:
        self._value, self._error = self._take(value), error
        self._event.set()
        if error is None or self._is_awaited:
            return
        if self._call is not None and not self._call.is_over:
            self._call.fail(error)
        else:
            log.error("a callback failed, and nobody waits for it", exc_info=error)

    async def _wait(self) -> object:
        try:
            await self._event.wait()
        except trio.Cancelled:
            if self._withdraw is not None:
                self._withdraw()
            raise
        if self._error is not None:
            raise self._error
        return self._value


@attrs.frozen
class InThread:
    """A function of a synchronous program, as it is called in trio's thread.

    Attributes:
        give: makes of a value in trio's thread what the caller gets.
        take: makes of what the function answers what it is in trio's thread.
        call: that it was handed in with; it may well be called in another, later.
    """

    function: Function
    give: Callable[[object], object] = attrs.field(eq=False)
    take: Callable[[object], object] = attrs.field(eq=False)
    call: Call[object] | None = attrs.field(eq=False)

    def __call__(self, *args: object, **kwargs: object) -> object:
        """Have it carried out, by the thread that waits in the call if there is one."""
        work = partial(self.function, *map(self.give, args), **kwargs)
        call = current_call() or self.call
        if call is None or call.is_over or call.inbox is None:
            return self.take(work())
        answer = Answer(call, call.thread, self.take)
        call.inbox.put(lambda: _do(work, answer))
        return answer


@attrs.frozen
class InLoop:
    """A function of an asyncio program, as it is called in trio's thread.

    Attributes:
        give: makes of a value in trio's thread what the caller gets.
        take: makes of what the function answers what it is in trio's thread.
        home: where it is called, if not in a call.
        loop: that it was handed in by; None = outside of any.
    """

    function: Function
    give: Callable[[object], object] = attrs.field(eq=False)
    take: Callable[[object], object] = attrs.field(eq=False)
    home: Home = attrs.field(eq=False)
    loop: asyncio.AbstractEventLoop | None = attrs.field(factory=running_loop)
    context: contextvars.Context = attrs.field(factory=contextvars.copy_context, eq=False)

    def __call__(self, *args: object, **kwargs: object) -> object:
        """Have it carried out by the event loop that it comes from, or else by the caller's."""
        work = partial(self.function, *map(self.give, args), **kwargs)
        call = current_call()
        loop = self.loop or (None if call is None else call.loop)
        if loop is None:
            return self.take(work())
        thread = self.home.thread if call is None else call.thread
        answer = Answer(call, thread, self.take)
        try:
            loop.call_soon_threadsafe(_do_in_loop, work, answer, context=self.context)
        except RuntimeError as closed:  # the event loop is closed
            answer.settle(None, closed)
        return answer


def _do(work: Callable[[], object], answer: Answer) -> None:
    try:
        value = work()
    except Exception as error:  # noqa: BLE001 - it is given to whoever called
        answer.settle(None, error)
    else:
        answer.settle(value)


def _do_in_loop(work: Callable[[], object], answer: Answer) -> None:
    try:
        value = work()
        if not inspect.isawaitable(value):
            answer.settle(value)
            return
        task = asyncio.ensure_future(value)
    except Exception as error:  # noqa: BLE001 - as above
        answer.settle(None, error)
        return
    loop = asyncio.get_running_loop()
    answer.withdraw_by(lambda: loop.call_soon_threadsafe(task.cancel))
    task.add_done_callback(partial(_ended, answer))


def _ended(answer: Answer, task: asyncio.Future[object]) -> None:
    if task.cancelled():
        answer.settle(None, RuntimeError("the callback was cancelled"))
        return
    error = task.exception()
    if error is not None and not isinstance(error, Exception):
        error = RuntimeError(f"the callback raised {error!r}")
    answer.settle(None if error else task.result(), error)


def is_callback(value: object) -> bool:
    """Whether it is a function that a caller may have handed in to be called."""
    return callable(value) and not isinstance(value, type | InThread | InLoop)


def is_async(function: object) -> bool:
    """Whether calling it gives a coroutine: in a synchronous program that can only be trio's."""
    while isinstance(function, partial):
        function = function.func
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
        getattr(function, "__call__", None)  # noqa: B004 - which kind it is
    )
