"""Turns in a program's own file of a conversation, each found by its marker.

A marker is what the program called the last message of a turn. That its file has it does not say
that the program knows it: a driver that can tell (`knows`) is asked.
"""

from __future__ import annotations

import glob
from collections.abc import Callable, Iterable

from runner.agents.driver import Driver

Knows = Callable[..., bool]


def find_marker(pattern: str, marker: str) -> str | None:
    """The file that has a marker, of those that a pattern for `glob` means; None if none has."""
    for path in glob.glob(pattern):
        try:
            with open(path, "rb") as file:
                if stands(file, marker):
                    return path
        except OSError:  # then it cannot be forked by that
            continue
    return None


def stands(lines: Iterable[bytes], marker: str, *, in_short: bool = False) -> bool:
    """Whether a marker stands in some lines; the same if it may be summed up (`in_short`)."""
    sought = marker.encode()
    return any(sought in line for line in lines)


def knows_of(driver: Driver) -> Knows:
    """How to see in a file's lines whether the driver's program, started anew, knows a turn."""
    knows: Knows = getattr(driver, "knows", stands)
    return knows


def is_known(driver: Driver, path: str, marker: str) -> bool:
    """Whether the driver's program, started with a file, can go back to a marker in it."""
    try:
        with open(path, "rb") as file:
            return knows_of(driver)(file, marker)
    except OSError:  # it is gone since it was found
        return False
