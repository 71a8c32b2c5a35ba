"""Who has the floor in a session: one turn at a time, and who interrupts before all others.

The mailbox calls turns up in the order of their arrival, one at a time; a turn that interrupts is
called up at once, beside it. Here they meet.
"""

from __future__ import annotations

import attrs
import trio


@attrs.define(eq=False)
class Floor:
    """The floor; nobody has it at first."""

    _is_taken: bool = False
    # Lists: an empty deque takes 760 bytes, in each session.
    _urgent: list[trio.Event] = attrs.field(factory=list)
    _waiting: list[trio.Event] = attrs.field(factory=list)

    @property
    def is_wanted(self) -> bool:
        """Whether somebody who interrupts waits for it."""
        return bool(self._urgent)

    async def take(self, *, urgent: bool) -> None:
        """Have the floor; who interrupts has it before those who only wait."""
        if not self._is_taken:
            self._is_taken = True  # who waits was given it already, in `give`
            return
        queue = self._urgent if urgent else self._waiting
        called = trio.Event()
        queue.append(called)
        try:
            await called.wait()
        except trio.Cancelled:
            queue.remove(called)  # it was not called: then this would not be felt here
            raise

    def give(self) -> None:
        """Let the next one have it."""
        if queue := self._urgent or self._waiting:
            queue.pop(0).set()
        else:
            self._is_taken = False
