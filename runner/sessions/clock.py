"""The time that a turn may take: a deadline that begins late, and rests where the turn does."""

from __future__ import annotations

import math

import attrs
import trio


@attrs.define(eq=False)
class Clock:
    """What ends a turn that takes too long.

    Attributes:
        cancel_scope: in which the turn is carried out.
    """

    _left: float | None
    cancel_scope: trio.CancelScope = attrs.field(factory=trio.CancelScope)
    _is_running: bool = False

    def start(self) -> None:
        """Let the time run, if it does not yet."""
        if self._left is not None and not self._is_running:
            self._is_running = True
            self.cancel_scope.deadline = trio.current_time() + self._left

    def rest(self) -> None:
        """Let it stand still until it is started again."""
        if self._is_running:
            self._left = self.left
            self._is_running = False
            self.cancel_scope.deadline = math.inf

    @property
    def left(self) -> float:
        """How many seconds there are until the deadline."""
        return self.cancel_scope.deadline - trio.current_time()
