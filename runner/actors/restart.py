"""Restart intensity: how often an actor may crash before it is given up for a while. Pure.

OTP's rule: more than `max_restarts` crashes within `period` seconds is too many (its supervisor
keeps the times inside the window and counts them; `supervisor.erl`, `add_restart`). Unlike OTP, we
do not end the supervisor then: the one child is given up until `period` has passed, and after that
it begins with a clean record.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable

import attrs

from runner.actors.child_spec import ChildSpec
from runner.errors import ActorGaveUp


@attrs.define(eq=False)
class RestartWindow:
    """The crashes of one actor that still count.

    Attributes:
        max_restarts: how many restarts are allowed within `period`.
        period: seconds.
        backoff: seconds before the first restart, doubled for each further one.
        given_up_until: when the actor may be started again, if it has been given up.
    """

    max_restarts: int
    period: float
    backoff: float
    crashes: deque[float] = attrs.field(factory=deque)
    given_up_until: float | None = None

    def crashed(self, now: float) -> bool:
        """Count a crash; whether a restart is allowed."""
        self._forget(now)
        self.crashes.append(now)
        if len(self.crashes) > self.max_restarts:
            self.given_up_until = now + self.period
        return self.given_up_until is None

    def has_given_up(self, now: float) -> bool:
        """Whether the actor may not be started now."""
        self._forget(now)
        return self.given_up_until is not None

    def is_clean(self, now: float) -> bool:
        """Whether there is nothing left to remember."""
        self._forget(now)
        return not self.crashes

    def delay(self) -> float:
        """Seconds to wait before the restart that follows the last crash."""
        doublings = min(len(self.crashes) - 1, 100)  # more would overflow a float
        return min(self.backoff * 2.0**doublings, self.period)

    def _forget(self, now: float) -> None:
        if self.given_up_until is None:
            while self.crashes and now - self.crashes[0] >= self.period:
                self.crashes.popleft()
        elif now >= self.given_up_until:
            self.given_up_until = None
            self.crashes.clear()


@attrs.define(eq=False)
class Windows:
    """The windows of all actors that have crashed, by key; `now` is any clock's, but always one's.

    Clean ones are thrown away when there are twice as many as at the last time.
    """

    _by_key: dict[Hashable, RestartWindow] = attrs.field(factory=dict)
    _sweep_at: int = 64

    def __len__(self) -> int:
        """How many are remembered."""
        return len(self._by_key)

    def of(self, spec: ChildSpec, now: float) -> RestartWindow:
        """The window of an actor, for a crash that is to be counted."""
        window = self._by_key.get(spec.key)
        if window is None:
            if len(self._by_key) >= self._sweep_at:
                self._by_key = {k: w for k, w in self._by_key.items() if not w.is_clean(now)}
                self._sweep_at = 2 * len(self._by_key) + 64
            window = RestartWindow(spec.max_restarts, spec.period, spec.backoff)
            self._by_key[spec.key] = window
        return window

    def check(self, key: Hashable, now: float) -> None:
        """See to it that an actor may be started.

        Raises:
            ActorGaveUp: it may not.
        """
        window = self._by_key.get(key)
        if window is None:
            return
        if window.is_clean(now):
            del self._by_key[key]
        elif window.has_given_up(now):
            raise self.given_up(key)

    def given_up(self, key: Hashable) -> ActorGaveUp:
        """What those are told who ask for an actor that has been given up."""
        window = self._by_key[key]
        msg = (
            f"{key!r} crashed more than {window.max_restarts} times within {window.period:g} s;"
            " it is tried again after that time"
        )
        return ActorGaveUp(msg)
