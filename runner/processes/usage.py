"""What a tree of processes has used so far: their processor time, as the kernel counts it.

A process counts with what its dead children had used, once it has waited for them. So what a tree
has used hardly ever gets less while any of it lives. It can, by a child that its parent did not
want to know about: then the figure has changed all the same, and somebody was at work.
"""

from __future__ import annotations

import os
from contextlib import suppress

import attrs

from runner.processes.tree import PROC, children_of

TICK = 1 / os.sysconf("SC_CLK_TCK")


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
    ticks, found, waiting = 0, 0, [root]
    while waiting:
        pid = waiting.pop()
        with suppress(OSError, ValueError):
            ticks += _ticks(pid)
            found += pid != root
        with suppress(OSError):  # it has ended, or the kernel has no such list
            for thread in os.listdir(f"{PROC}/{pid}/task"):
                waiting += children_of(pid, thread)
    return TreeUsage(ticks * TICK, found)


def _ticks(pid: int) -> int:
    with open(f"{PROC}/{pid}/stat", "rb", buffering=0) as file:
        stat = file.read()
    # utime, stime, cutime, cstime (proc(5), fields 14 to 17); names may hold anything
    return sum(map(int, stat[stat.rindex(b")") + 1 :].split(None, 16)[11:15]))
