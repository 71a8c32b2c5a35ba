"""agent-backend's status of a backend, and who is told of its changes."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

from runner.compat.agent_backend.words import ConnectionStatus, StatusChangeEvent

StatusChangeCallback = Callable[[StatusChangeEvent], object]
Unsubscribe = Callable[[], None]


class Closeable(Protocol):
    """Something that is closed with the backend."""

    async def close(self) -> object:
        """Close it."""
        ...


class ConnectionStatusManager:
    """A status, and who is told of its changes."""

    def __init__(self, initial_status: ConnectionStatus) -> None:
        self._status = initial_status
        self._listeners: dict[StatusChangeCallback, None] = {}

    @property
    def status(self) -> ConnectionStatus:
        """What it is now."""
        return self._status

    def set_status(self, new_status: ConnectionStatus, error: Exception | None = None) -> None:
        """Change it, and tell all who listen; what they raise is nobody's."""
        if self._status == new_status:
            return
        event = StatusChangeEvent(self._status, new_status, time.time(), error)
        self._status = new_status
        for listener in list(self._listeners):
            with suppress(Exception):
                listener(event)

    def on_status_change(self, cb: StatusChangeCallback) -> Unsubscribe:
        """Have someone told of changes; returns how to end that."""
        self._listeners[cb] = None

        def unsubscribe() -> None:
            self._listeners.pop(cb, None)

        return unsubscribe

    def clear_listeners(self) -> None:
        """Nobody is told any more."""
        self._listeners.clear()
