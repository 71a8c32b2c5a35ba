"""What a pool gives: leases; and what it keeps: entries. Who changes them is the pool."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable
from typing import Any, Final, Generic, Protocol, TypeVar

import attrs
import trio

from runner.operations.status import Status


class Destroyable(Protocol):
    """What a pool can hold."""

    async def destroy(self) -> None:
        """Close it for good; may be called again."""


BackendT = TypeVar("BackendT", bound=Destroyable)
Factory = Callable[[Any, Any], BackendT | Awaitable[BackendT]]
ANY: Final = object()  # no configuration is asked for


@attrs.define(eq=False)
class Entry(Generic[BackendT]):
    """One backend, from before it is made until it is closed."""

    key: Hashable
    config: object
    is_own: bool  # without a key: for one caller alone
    since: float
    users: int = 0  # leases, and those who wait for it
    acquired: int = 0
    idle_since: float | None = None
    backend: BackendT | None = None
    error: Exception | None = None
    has_room: bool = False
    is_closing: bool = False
    making: trio.CancelScope = attrs.field(factory=trio.CancelScope)
    ready: trio.Event = attrs.field(factory=trio.Event)
    closed: trio.Event = attrs.field(factory=trio.Event)

    @property
    def is_dead(self) -> bool:
        """Whether somebody else destroyed it."""
        return getattr(self.backend, "status", None) is Status.DESTROYED


class Lease(Generic[BackendT]):
    """The right to use a backend until it is released, which may be done more than once."""

    __slots__ = ("_release", "backend", "key")

    def __init__(self, key: Hashable, backend: BackendT, release: Callable[[], None]) -> None:
        """Made by the pool."""
        self.key = key
        self.backend = backend
        self._release: Callable[[], None] | None = release

    def release(self) -> None:
        """Give the backend back."""
        release, self._release = self._release, None
        if release is not None:
            release()

    def __enter__(self) -> BackendT:
        return self.backend

    def __exit__(self, *_: object) -> None:
        self.release()
