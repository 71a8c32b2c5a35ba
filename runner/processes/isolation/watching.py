"""Limits that the kernel does not keep for us: somebody looks on, and ends what has passed them."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress

import trio

from runner.messages.isolation import Limit

DISK_EVERY = 0.5
MEMORY_EVERY = 0.05
MEMORY_AT_ONCE = 0.005
FASTEST = 4 << 30  # bytes in a second that a program fills, at most: so often do we look
PAGE = os.sysconf("SC_PAGE_SIZE")
MOST_FILES = 2_000_000
_threads = trio.CapacityLimiter(2)


def used(directory: str) -> int:
    """Bytes on disk of everything in a directory; links are not followed."""
    total, waiting, seen = 0, [directory], 0
    while waiting and seen < MOST_FILES:
        with suppress(OSError), os.scandir(waiting.pop()) as entries:
            for entry in entries:
                seen += 1
                with suppress(OSError):
                    total += entry.stat(follow_symlinks=False).st_blocks * 512
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
    return total


def outer_pid(keeper: int, inner: int) -> int:
    """What the number of a keeper's child inside is out here; the same if it cannot be found.

    The keeper may be a child itself, of the program that has made its namespaces.
    """
    children = _children(keeper)
    grandchildren = [each for child in children for each in _children(child)]
    for child in (*children, *grandchildren):
        with suppress(OSError), open(f"/proc/{child}/status", "rb", buffering=0) as file:
            numbers = file.read(1 << 14).partition(b"\nNSpid:")[2].partition(b"\n")[0]
            if numbers.split()[-1:] == [b"%d" % inner]:
                return child
    return inner


def _children(pid: int) -> list[int]:
    with suppress(OSError), open(f"/proc/{pid}/task/{pid}/children", "rb", buffering=0) as file:
        return [int(each) for each in file.read(1 << 16).split()]
    return []


async def watch_disk(directory: str, limit: int, end: Callable[[Limit], None]) -> None:
    """End the program when a directory has grown by more than the limit."""
    before = await trio.to_thread.run_sync(used, directory, limiter=_threads)
    while True:
        await trio.sleep(DISK_EVERY)
        now = await trio.to_thread.run_sync(used, directory, limiter=_threads)
        if now - before > limit:
            end("disk")
            return


def resident(pid: int) -> int:
    """Bytes in memory of a process' descendants; what they share is counted for each."""
    total, waiting = 0, [pid]
    while waiting:
        parent = waiting.pop()
        waiting += _children(parent)
        with suppress(OSError, ValueError):
            if parent != pid:
                with open(f"/proc/{parent}/statm", "rb", buffering=0) as file:
                    total += int(file.read(256).split()[1]) * PAGE
    return total


async def watch_memory(pid: int, limit: int, end: Callable[[Limit], None]) -> None:
    """End the program when its processes hold more than the limit."""
    while (held := resident(pid)) <= limit:
        soon = (limit - held) / FASTEST
        await trio.sleep(min(MEMORY_EVERY, max(MEMORY_AT_ONCE, soon)))
    end("memory")
