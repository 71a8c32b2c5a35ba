"""What a tree of processes uses: their processor time and memory, as the kernel counts them.

A process counts with what its dead children had used, once it has waited for them. So what a tree
has used hardly ever gets less while any of it lives. It can, by a child that its parent did not
want to know about: then the figure has changed all the same, and somebody was at work.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress

import attrs

from runner.processes.tree import PROC, children_of

TICK = 1 / os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")


@attrs.frozen
class TreeUsage:
    """What a tree of processes has used.

    Attributes:
        seconds: of processor time, in steps of `TICK`.
        processes: how many there are; 0 = it is not known, or nothing is left.
    """

    seconds: float
    processes: int


def tree_usage(root: int) -> TreeUsage:
    """What a process and all below it have used; it itself is not counted as one of them."""
    ticks, found = 0, 0
    for pid in _tree(root):
        with suppress(OSError, ValueError):
            ticks += _ticks(pid)
            found += pid != root
    return TreeUsage(ticks * TICK, found)


def tree_memory(root: int) -> int | None:
    """The bytes that a process and all below it have in memory; None if nothing is left of them.

    What several of them share counts for each.
    """
    pages = 0
    for pid in _tree(root):
        with suppress(OSError, IndexError):
            pages += _pages(pid)
    return PAGE * pages or None


def _tree(root: int) -> Iterator[int]:
    """A process, and all below it."""
    waiting = [root]
    while waiting:
        yield (pid := waiting.pop())
        with suppress(OSError):  # it has ended, or the kernel has no such list
            for thread in os.listdir(f"{PROC}/{pid}/task"):
                waiting += children_of(pid, thread)


def _pages(pid: int) -> int:
    with open(f"{PROC}/{pid}/statm", "rb", buffering=0) as file:
        return int(file.read().split()[1])  # resident (proc(5))


def _ticks(pid: int) -> int:
    with open(f"{PROC}/{pid}/stat", "rb", buffering=0) as file:
        stat = file.read()
    # utime, stime, cutime, cstime (proc(5), fields 14 to 17); names may hold anything
    return sum(map(int, stat[stat.rindex(b")") + 1 :].split(None, 16)[11:15]))
