"""Threads for file work that may take long: one limiter per run, no work goes on without a caller.

Model. `in_thread(work)` waits until `work` has ended, also when the caller is cancelled (a thread
cannot be put down from outside); long work calls `breathe()` between its pieces, where the
cancellation of its caller is raised. A stretch that must not be torn simply does not call it.

The limiter is ours and not trio's default: forty slow directory trees must not keep a program's
other threads waiting.
"""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Callable, Iterator
from typing import TypeVar

import trio

T = TypeVar("T")

THREADS = 8  # two cores or sixty-four: file systems serve about as many before they queue
CHUNK = 1 << 20  # bytes between two breaths: under a millisecond from the page cache

_limiter: trio.lowlevel.RunVar[trio.CapacityLimiter] = trio.lowlevel.RunVar("runner file threads")


def file_threads() -> trio.CapacityLimiter:
    """The limiter of this run for file work."""
    try:
        return _limiter.get()
    except LookupError:
        limiter = trio.CapacityLimiter(THREADS)
        _limiter.set(limiter)
        return limiter


async def in_thread(work: Callable[[], T]) -> T:
    """Carry out `work` in a thread of ours; leaves when it has ended, never before."""
    # Not as the thread's own answer: trio's loop would hold on to that until the caller's next
    # checkpoint, and a million matches would be let go of in the middle of something else.
    answer: list[T] = []
    await trio.to_thread.run_sync(lambda: answer.append(work()), limiter=file_threads())
    return answer.pop()


@contextlib.contextmanager
def no_collection() -> Iterator[None]:
    """Let the garbage collector rest while records are made in their hundreds of thousands.

    It would look through all of them again and again, and they hold no cycles: twice the time. Two
    threads that do this at once at worst let it work again too early.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def breathe() -> None:
    """Raise Cancelled if the caller of `in_thread` was cancelled; nothing in any other thread.

    Work that is done inline, in trio's own thread, is short by construction and need not breathe.
    """
    try:
        trio.from_thread.check_cancelled()
    except RuntimeError:  # not one of trio's worker threads
        return
