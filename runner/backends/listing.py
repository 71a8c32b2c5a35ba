"""Names of directories, read through descriptors: sorted, bounded, counted.

Temporary names of ours are not shown. A directory of a million names is read in one pass and in the
memory of those that are returned. Nothing here follows a link.
"""

from __future__ import annotations

import contextlib
import heapq
import itertools
import os
from collections.abc import Generator, Iterable, Iterator

from runner.backends.files import entry, is_left_behind, is_temporary
from runner.backends.threads import breathe, no_collection
from runner.messages import Entry, Listing

FEW = 256  # names that are listed inline; their stats take under half a millisecond
_BREATH = 4096


def smallest(names: Iterable[str], limit: int) -> tuple[list[str], int]:
    """The first `limit` names in order, and how many more there are."""
    rest = iter(names)
    kept = sorted(itertools.islice(rest, limit))
    omitted = 0
    while more := list(itertools.islice(rest, max(limit, _BREATH))):
        omitted += len(more)
        kept = heapq.nsmallest(limit, itertools.chain(kept, more))
        breathe()
    return kept, omitted


def names_in(fd: int, left: list[str]) -> Generator[str, None, None]:
    """The names in an open directory, in the order of the file system, without temporary ones.

    To `left` are added the temporary ones that a process left behind which is no more.
    """
    with os.scandir(fd) as entries:
        for each in entries:
            name = each.name
            if name[0] != "." or not is_temporary(name):
                yield name
            elif len(left) < FEW and is_left_behind(name):
                left.append(name)


def listing(fd: int, limit: int, left: list[str]) -> Listing:
    """The answer to `Ls` for an open directory."""
    names, omitted = smallest(names_in(fd, left), limit)
    with no_collection():
        return Listing(entries=tuple(entries_of(fd, names)), omitted=omitted)


def few_names(fd: int, left: list[str]) -> list[str] | None:
    """All names if they are few, unsorted; None if they are many."""
    with contextlib.closing(
        names_in(fd, left)
    ) as every:  # closing rewinds: scandir shares the offset
        names = list(itertools.islice(every, FEW + 1))
    return names if len(names) <= FEW else None


def entries_of(fd: int, names: Iterable[str]) -> Iterator[Entry]:
    """Entries for names; those that have vanished meanwhile are left out."""
    for number, name in enumerate(names):
        if number % FEW == FEW - 1:
            breathe()
        found = entry(fd, name)
        if found is not None:
            yield found
