"""Which actors are idle long enough to be reaped: one heap, so that one timer serves all of them.

An actor has one entry, made when it becomes quiet and looked at when that falls due; a message in
between makes none, so that it costs nothing. What it does not do: reap (supervisor.py).
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterator
from math import inf

import attrs

from runner.actors.mailbox import Mailbox

# How many idle actors are reaped in one pass of the scheduler, so that a hundred thousand that
# fall due together do not hold up everybody else.
REAPED_AT_ONCE = 256
# Seconds until an actor is asked again that holds something, if its own `idle_after` is shorter.
HELD = 1.0


@attrs.define(eq=False)
class IdleActors:
    """The mailboxes that are to be looked at, by the time when each may have become idle."""

    _heap: list[tuple[float, int, Mailbox]] = attrs.field(factory=list)
    _watched: set[Mailbox] = attrs.field(factory=set)  # those in the heap
    _numbers: itertools.count[int] = attrs.field(factory=itertools.count)

    def __len__(self) -> int:
        """How many entries there are."""
        return len(self._heap)

    def watch(self, mailbox: Mailbox) -> bool:
        """Look at an actor again when it may have become idle; whether it is the first to be."""
        if mailbox in self._watched:
            return False
        self._look(mailbox, mailbox.last_used + mailbox.spec.idle_after)
        return self._heap[0][2] is mailbox

    def _look(self, mailbox: Mailbox, due: float) -> None:
        self._watched.add(mailbox)
        heapq.heappush(self._heap, (due, next(self._numbers), mailbox))

    def due(self, now: float) -> Iterator[Mailbox]:
        """Those that are to be reaped now, up to a bound."""
        for _ in range(REAPED_AT_ONCE):
            if not self._heap or self._heap[0][0] > now:
                break
            _, _, mailbox = heapq.heappop(self._heap)
            self._watched.discard(mailbox)
            if mailbox.is_busy or not mailbox.is_open:
                continue  # it will tell when it has become quiet
            if mailbox.last_used + mailbox.spec.idle_after > now:
                self.watch(mailbox)
            elif mailbox.is_held:
                self._look(mailbox, now + max(mailbox.spec.idle_after, HELD))
            else:
                yield mailbox

    def next(self, actors: int) -> float:
        """When to look again.

        Args:
            actors: how many there are. If there are many more entries, those are thrown away whose
                actors went before they fell due.
        """
        if len(self._heap) > 2 * actors + 64:
            self._heap = [entry for entry in self._heap if entry[2].is_open]
            self._watched = {entry[2] for entry in self._heap}
            heapq.heapify(self._heap)
        return self._heap[0][0] if self._heap else inf
