"""One call into trio's thread: how it is carried out, waited for, and cancelled.

    caller: post ──► trio: a task of its own ──► outcome ──► caller woken, in its own way

The caller's task or thread waits until the work is over, also when it is interrupted: then the work
is cancelled first. So nothing goes on in the name of somebody who has left. Only a second Ctrl-C
does not wait. There is no thread for a call, and the caller's context variables go with it.

What it does not do: decide what is carried out (proxies.py).
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Awaitable, Callable
from contextlib import suppress
from queue import SimpleQueue
from typing import Generic, TypeVar, cast

import trio

from runner.bridge.thread import TrioThread
from runner.errors import SupervisorClosed

T = TypeVar("T")
Work = Callable[[], Awaitable[T]]

_call: contextvars.ContextVar[Call[object] | None] = contextvars.ContextVar(
    "runner_call", default=None
)


def running_loop() -> asyncio.AbstractEventLoop | None:
    """The event loop that runs in this thread."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


class Call(Generic[T]):
    """Something that is carried out in trio's thread for a caller elsewhere.

    Everything but `post` and `cancel` happens in trio's thread, until it is over.

    Attributes:
        is_over: whether it has its outcome; set before the caller is woken.
        inbox: gives the caller's thread something to do meanwhile, if it is one that waits here.
        loop: the caller's event loop, if it is in one.
    """

    __slots__ = ("_cancel_scope", "_error", "_value", "_wake", "inbox", "is_over", "loop", "thread")

    def __init__(
        self,
        thread: TrioThread,
        wake: Callable[[], object],
        inbox: SimpleQueue[Callable[[], object] | None] | None = None,
    ) -> None:
        self.thread = thread
        self.inbox = inbox
        self.loop = running_loop() if inbox is None else None
        self.is_over = False
        self._wake = wake
        self._cancel_scope: trio.CancelScope | None = None
        self._value: T | None = None
        self._error: BaseException | None = None

    def post(self, work: Work[T]) -> None:
        """Have it carried out by a task of its own."""
        self.thread.post(self._start, work, contextvars.copy_context())

    def post_now(self, work: Callable[[], T]) -> None:
        """Have it carried out at once, in one piece."""
        self.thread.post(self._do, work, contextvars.copy_context())

    def cancel(self) -> None:
        """Have it put down; it is over a little later."""
        self.thread.post(self._cancel)

    def fail(self, error: BaseException) -> None:
        """Put it down, and have this come of it."""
        if not self.is_over and self._error is None:
            self._error = error
            self._cancel()

    def answer(self) -> T:
        """What came of it."""
        if self._error is not None:
            try:
                raise self._error
            finally:
                self._error = None  # no cycle by its traceback
        value, self._value = self._value, None  # an actor that was begun by it may keep the call
        return cast("T", value)

    def _start(self, work: Work[T], context: contextvars.Context) -> None:
        self._cancel_scope = trio.CancelScope()
        context.run(_call.set, cast("Call[object]", self))
        try:
            context.run(self.thread.nursery.start_soon, self._carry_out, work)
        except RuntimeError:  # the nursery is closed
            self._error = _ended()
            self._finish()

    async def _carry_out(self, work: Work[T]) -> None:
        try:
            with cast("trio.CancelScope", self._cancel_scope):
                self._value = await work()
        except trio.Cancelled:
            self._error = _ended()
            raise
        except BaseException as error:  # noqa: BLE001 - it is the caller's, who gets it bare
            self._error = error
        finally:
            self._finish()

    def _do(self, work: Callable[[], T], context: contextvars.Context) -> None:
        context.run(_call.set, cast("Call[object]", self))
        self._cancel_scope = trio.CancelScope()
        try:
            self._value = context.run(work)
        except BaseException as error:  # noqa: BLE001, ASYNC103 - as above
            self._error = error
        self._finish()

    def _cancel(self) -> None:
        if self._cancel_scope is None:  # the caller was interrupted before it had posted anything
            self._finish()
        else:
            self._cancel_scope.cancel(reason="its caller was cancelled")

    def _finish(self) -> None:
        self.is_over = True
        self._wake()


def _ended() -> SupervisorClosed:
    return SupervisorClosed("the trio thread has ended meanwhile")


def current_call() -> Call[object] | None:
    """The call on whose behalf the current code runs in trio's thread, if it is not over."""
    call = _call.get()
    return None if call is None or call.is_over else call


# ---------------------------------------------------------------- a thread that waits


def wait(thread: TrioThread, post: Callable[[Call[T]], None], *, serve: bool = True) -> T:
    """Have a call carried out, and wait for it in this thread.

    Args:
        thread: where it is carried out.
        post: how.
        serve: whether callbacks are called here meanwhile.

    An exception that a signal's handler raises meanwhile, as KeyboardInterrupt, puts it down.

    Raises:
        SupervisorClosed: the thread has ended.
        RuntimeError: the caller is in trio's thread, which cannot wait for itself.
    """
    if thread.is_here:
        raise RuntimeError("a blocking call in runner's own trio thread would wait for itself")
    inbox: SimpleQueue[Callable[[], object] | None] = SimpleQueue()
    call: Call[T] = Call(thread, lambda: inbox.put(None), inbox if serve else None)
    try:
        post(call)
        _serve(inbox)
    except SupervisorClosed:
        raise
    except BaseException:
        with suppress(SupervisorClosed):
            call.cancel()
        if not call.is_over:
            _serve(inbox)
        raise
    return call.answer()


def _serve(inbox: SimpleQueue[Callable[[], object] | None]) -> None:
    """Do what is to be done in this thread until there is nothing more."""
    while (work := inbox.get()) is not None:
        work()


# ---------------------------------------------------------------- an asyncio task that waits


class _Waiter:
    """Wakes an asyncio task from another thread."""

    __slots__ = ("_future", "_loop", "is_woken")

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._future: asyncio.Future[None] = self._loop.create_future()
        self.is_woken = False

    def wake(self) -> None:
        try:
            self._loop.call_soon_threadsafe(self._woken)
        except RuntimeError:
            return  # the loop is closed: nobody waits any more

    def _woken(self) -> None:
        self.is_woken = True
        if not self._future.done():
            self._future.set_result(None)

    async def wait(self) -> None:
        await self._future

    async def wait_in_spite_of_cancellation(self) -> None:
        while not self.is_woken:
            self._future = self._loop.create_future()  # a cancelled task cancels its future
            try:
                await self._future
            except asyncio.CancelledError:  # noqa: ASYNC103 - the caller raises the first of them
                continue  # noqa: ASYNC104


async def wait_in_asyncio(thread: TrioThread, post: Callable[[Call[T]], None]) -> T:
    """Have a call carried out, and wait for it in this asyncio task.

    Cancelled, the task leaves when the work has been put down.

    Raises:
        SupervisorClosed: the thread has ended.
    """
    waiter = _Waiter()
    call: Call[T] = Call(thread, waiter.wake)
    post(call)
    try:
        await waiter.wait()
    except asyncio.CancelledError:
        call.cancel()
        await waiter.wait_in_spite_of_cancellation()  # noqa: ASYNC102 - asyncio has no shield for it
        raise
    return call.answer()
