"""Ending a process of a program politely: rung by rung of its driver's ladder, as far as it takes.

Force comes after that, and is whose the process is (program.py). The rung "interrupt" is not of
this: it ends a turn, and is said in the program's own words.
"""

from __future__ import annotations

import signal
from collections.abc import Awaitable, Callable

import trio

from runner.agents.driver import Rung
from runner.processes.process import Process


def patience_of(ladder: tuple[Rung, ...]) -> float:
    """How long the end of a process may take before force is used."""
    return sum(rung.wait for rung in ladder if rung.act != "interrupt")


def interrupt_patience_of(ladder: tuple[Rung, ...]) -> float:
    """How long a turn may take to end after it was interrupted."""
    return sum(rung.wait for rung in ladder if rung.act == "interrupt")


async def descend(
    ladder: tuple[Rung, ...],
    process: Process,
    close_input: Callable[[], Awaitable[None]],
    ended: trio.Event,
) -> None:
    """Ask a process to end, more and more plainly; it has, or nothing helped.

    Args:
        ladder: how.
        process: which.
        close_input: ends its standard input.
        ended: it has.
    """
    for rung in ladder:
        if rung.act == "interrupt":
            continue
        if rung.act == "eof":
            await close_input()
        else:
            process.send_signal(signal.Signals[rung.act])
        with trio.move_on_after(rung.wait):
            await ended.wait()
            return
