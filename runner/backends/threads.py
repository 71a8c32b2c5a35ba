"""Threads for file work that may take long: one limiter per run, no work goes on without a caller.

Model. `in_thread(work)` waits until `work` has ended, also when the caller is cancelled (a thread
cannot be put down from outside); long work calls `breathe()` between its pieces, where the
cancellation of its caller is raised. A stretch that must not be torn simply does not call it.

The limiter is ours and not trio's default: forty slow directory trees must not keep a program's
other threads waiting.

Many short things of one message are begun in trio's own thread (`here_first`), and go on in one of
ours if they take longer than a moment: to go there and back costs as much as ten small files, and
again as much for what lies in the other core's cache.
"""

from __future__ import annotations

import contextlib
import gc
import time
from collections.abc import Callable, Iterator
from math import inf
from typing import TypeVar

import trio

T = TypeVar("T")

THREADS = 8  # two cores or sixty-four: file systems serve about as many before they queue
CHUNK = 1 << 20  # bytes between two breaths: under a millisecond from the page cache
# Seconds in trio's own thread; a thread that computes keeps it waiting longer (5 ms at a time, see
# `sys.getswitchinterval`).
MOMENT = 0.003

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


async def here_first(work: Callable[[float], bool]) -> None:
    """Carry out many short things: here for a moment, what is left of them then in a thread.

    Args:
        work: goes on with what is left, and asks `is_over` with the time that it was given before
            each; False: something is left, because it is over or the next thing may take long.
            In the thread the time is `inf`.
    """
    if not work(time.monotonic() + MOMENT):
        await in_thread(lambda: work(inf))


def is_over(until: float) -> bool:
    """Whether a time has come; it never does in a thread, where this is a breath instead."""
    if until < inf:
        return time.monotonic() >= until
    breathe()
    return False


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
