"""Restart intensity: how often an actor may crash before it is given up for a while. Pure.

OTP's rule: more than `max_restarts` crashes within `period` seconds is too many (its supervisor
keeps the times inside the window and counts them; `supervisor.erl`, `add_restart`). Unlike OTP, we
do not end the supervisor then: the one child is given up until `period` has passed.
"""

from __future__ import annotations

from collections import deque

import attrs


@attrs.define(eq=False)
class RestartWindow:
    """The crashes of one actor that still count.

    Attributes:
        max_restarts: how many restarts are allowed within `period`.
        period: seconds.
        backoff: seconds before the first restart, doubled for each further one.
    """

    max_restarts: int
    period: float
    backoff: float
    crashes: deque[float] = attrs.field(factory=deque)
    total: int = 0

    def crashed(self, now: float) -> bool:
        """Count a crash; whether a restart is allowed."""
        self._forget(now)
        self.crashes.append(now)
        self.total += 1
        return len(self.crashes) <= self.max_restarts

    def has_given_up(self, now: float) -> bool:
        """Whether the actor may not be started now."""
        self._forget(now)
        return len(self.crashes) > self.max_restarts

    def is_clean(self, now: float) -> bool:
        """Whether there is nothing left to remember."""
        self._forget(now)
        return not self.crashes

    def delay(self) -> float:
        """Seconds to wait before the restart that follows the last crash."""
        if not self.crashes:
            return 0.0
        return min(self.backoff * 2.0 ** (len(self.crashes) - 1), self.period)

    def _forget(self, now: float) -> None:
        while self.crashes and now - self.crashes[0] >= self.period:
            self.crashes.popleft()
