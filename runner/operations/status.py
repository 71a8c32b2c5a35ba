"""Whether something that takes operations is there for them, and who is told of changes.

    connecting ──► connected ◄──► disconnected ◄──► reconnecting
         └─────────────┴───── any ─────┴──► destroyed, for good

What is on this machine is connected from the beginning; the states between are for what is
elsewhere. Whoever is destroyed has all that stands in it destroyed as well, and stays so.

Everything that changes a status lives here. Nothing here closes anything. No I/O, no trio.
"""

from __future__ import annotations

import enum
import logging
import weakref
from collections.abc import Callable
from datetime import UTC, datetime

import attrs

logger = logging.getLogger("runner.status")


class Status(enum.StrEnum):
    """Whether operations can be carried out."""

    CONNECTING = "connecting"
    CONNECTED = "connected"
    DISCONNECTED = "disconnected"
    RECONNECTING = "reconnecting"
    DESTROYED = "destroyed"


@attrs.frozen(kw_only=True)
class StatusChange:
    """That a status has changed.

    Attributes:
        at: when, aware, UTC.
        error: why, if something went wrong.
    """

    old: Status
    new: Status
    at: datetime
    error: Exception | None = None


Watcher = Callable[[StatusChange], object]


class Life:
    """The status of one thing, below that of another.

    Attributes:
        is_over: whether it was destroyed; every operation looks here.
    """

    __slots__ = ("__weakref__", "_inner", "_outer", "_watchers", "is_over", "status")

    def __init__(self, outer: Life | None = None, status: Status = Status.CONNECTED) -> None:
        """Destroyed already, if what it stands in is."""
        self.status = status if outer is None or not outer.is_over else Status.DESTROYED
        self.is_over: bool = self.status is Status.DESTROYED
        self._outer = outer
        self._inner: weakref.WeakSet[Life] | None = None
        self._watchers: dict[object, Watcher] | None = None
        if outer is not None:
            outer.take_in(self)

    def take_in(self, inner: Life) -> None:
        """Something stands in this one."""
        if self._inner is None:
            self._inner = weakref.WeakSet()
        self._inner.add(inner)

    def on_change(self, watcher: Watcher) -> Callable[[], None]:
        """Have someone told of every change, at once and synchronously; returns how to end that.

        A watcher that raises is logged and told again the next time.
        """
        key = object()
        watchers = self._watchers
        if watchers is None:  # most have none, and there may be a hundred thousand of them
            watchers = self._watchers = {}
        if not self.is_over:
            watchers[key] = watcher

        def unsubscribe() -> None:
            watchers.pop(key, None)

        return unsubscribe

    def become(self, status: Status, error: Exception | None = None) -> bool:
        """Change the status; False if it is that already, or destroyed for good."""
        if status is self.status or self.is_over:
            return False
        change = StatusChange(old=self.status, new=status, at=datetime.now(UTC), error=error)
        self.status = status
        self.is_over = status is Status.DESTROYED
        watchers = list((self._watchers or {}).values())
        if status is Status.DESTROYED:
            if self._watchers is not None:
                self._watchers.clear()
            for each in list(self._inner or ()):
                each.become(status, error)
        for watcher in watchers:
            try:
                watcher(change)
            except Exception:
                logger.exception("a watcher of a status failed at %s", change)
        return True
