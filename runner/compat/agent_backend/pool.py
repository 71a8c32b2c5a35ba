"""agent-backend's pool of backends by key.

Backends are made by a plain function, so two who ask for one key cannot make two. If periodic
cleanup is on, what has been idle for too long is destroyed when the pool is next asked for one.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from runner.compat.agent_backend.words import ConnectionStatus

logger = logging.getLogger(__name__)
T = TypeVar("T")


@dataclass
class PoolManagerConfig:
    """Options of a pool."""

    backend_factory: Callable[..., Any]
    default_config: dict[str, Any] = field(default_factory=dict)
    idle_timeout_ms: int = 300_000
    enable_periodic_cleanup: bool = False
    cleanup_interval_ms: int = 60_000


@dataclass
class PoolStats:
    """What is in a pool."""

    total_backends: int
    active_backends: int
    idle_backends: int
    backends_by_key: dict[str, int]


@dataclass
class _Pooled:
    backend: Any
    in_use: int = 0
    last_used: float = field(default_factory=time.monotonic)


class BackendPoolManager:
    """Backends by key; usable again after `destroy_all`."""

    def __init__(self, config: PoolManagerConfig) -> None:
        self._config = config
        self._pooled: dict[str, _Pooled] = {}
        self._cleaned = time.monotonic()

    async def acquire_backend(
        self, key: str | None = None, config_override: dict[str, Any] | None = None
    ) -> tuple[Any, Callable[[], None]]:
        """A backend, and how to release it, once or more often.

        Args:
            key: names it; None = one for this caller alone, who destroys it.
            config_override: laid over the default configuration if it has to be made.
        """
        await self._clean_now_and_then()
        if key is None:
            return self._make(config_override), lambda: None
        pooled = self._pooled.get(key)
        if pooled is None or pooled.backend.status != ConnectionStatus.CONNECTED:
            pooled = self._pooled[key] = _Pooled(self._make(config_override))
        pooled.in_use += 1
        held = [pooled]

        def release() -> None:
            if held:
                one = held.pop()
                one.in_use -= 1
                one.last_used = time.monotonic()

        return pooled.backend, release

    async def with_backend(
        self,
        fn: Callable[[Any], Awaitable[T]],
        key: str | None = None,
        config_override: dict[str, Any] | None = None,
    ) -> T:
        """Call a coroutine function with a backend, which is released in any case."""
        backend, release = await self.acquire_backend(key, config_override)
        try:
            return await fn(backend)
        finally:
            release()

    def get_stats(self) -> PoolStats:
        """What is in the pool."""
        active = sum(each.in_use > 0 for each in self._pooled.values())
        total = len(self._pooled)
        return PoolStats(total, active, total - active, dict.fromkeys(self._pooled, 1))

    async def destroy_all(self) -> None:
        """Destroy every backend; what goes wrong is logged."""
        await self._destroy(list(self._pooled))

    def _make(self, override: dict[str, Any] | None) -> Any:
        return self._config.backend_factory(**{**self._config.default_config, **(override or {})})

    async def _clean_now_and_then(self) -> None:
        now = time.monotonic()
        every = self._config.cleanup_interval_ms / 1000
        if not self._config.enable_periodic_cleanup or now - self._cleaned < every:
            return
        self._cleaned = now
        idle = self._config.idle_timeout_ms / 1000
        await self._destroy(
            key
            for key, each in list(self._pooled.items())
            if not each.in_use and now - each.last_used > idle
        )

    async def _destroy(self, keys: Any) -> None:
        for key in keys:
            pooled = self._pooled.pop(key, None)
            try:
                if pooled is not None:
                    await pooled.backend.destroy()
            except Exception:
                logger.exception("Error destroying backend for key %s", key)
