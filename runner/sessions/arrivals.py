"""Prompts that were sent, and whose turn has not begun: who interrupts means one of these as well.

The actor may still have to be started, or be reading the session's record; another turn may just
have ended. What is cut here is a turn that ends as it begins.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import attrs

from runner.sessions.turn import Send


@attrs.define(eq=False)
class Arrival:
    """A prompt on its way; `is_cut`: its turn was interrupted already."""

    message: Send
    is_cut: bool = False


@attrs.define(eq=False)
class Arrivals:
    """The prompts of a session that are on their way, in the order in which they were sent."""

    _on_way: list[Arrival] = attrs.field(factory=list)

    @contextmanager
    def sending(self, message: Send) -> Iterator[None]:
        """A prompt is on its way, until it has arrived, or its sender does not want it any more."""
        arrival = Arrival(message)
        self._on_way.append(arrival)
        try:
            yield
        finally:
            if arrival in self._on_way:
                self._on_way.remove(arrival)

    def take(self, message: Send) -> bool:
        """A prompt's turn begins; whether it was cut on its way."""
        for arrival in self._on_way:
            if arrival.message is message:
                self._on_way.remove(arrival)
                return arrival.is_cut
        return False

    def cut(self) -> bool:
        """Interrupt the turn that comes next; whether there is one, and it was not cut before."""
        urgent = (each for each in self._on_way if each.message.urgent)
        following = next(urgent, self._on_way[0] if self._on_way else None)
        if following is None or following.is_cut:
            return False
        following.is_cut = True
        return True
