"""Many items, one function, so many at a time, for callers outside of trio; order is kept."""

from __future__ import annotations

import asyncio
import inspect
from collections import deque
from collections.abc import AsyncGenerator, Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from runner.compat.agentfs.words import BatchResult, ConfigError

ItemT = TypeVar("ItemT")
ValueT = TypeVar("ValueT")


def processed(
    items: Iterable[ItemT], callback: Callable[[ItemT], ValueT], limit: int
) -> Generator[BatchResult[ItemT, ValueT], None, None]:
    """Each in a thread; who goes on no more waits for those that have begun."""
    _check(limit)
    waiting: deque[Future[BatchResult[ItemT, ValueT]]] = deque()
    pool = ThreadPoolExecutor(limit, thread_name_prefix="agentfs batch")
    try:
        for item in items:
            waiting.append(pool.submit(_carried_out, item, callback))
            if len(waiting) == limit:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


async def processed_in_asyncio(
    items: Iterable[ItemT], callback: Callable[[ItemT], Any], limit: int
) -> AsyncGenerator[BatchResult[ItemT, Any], None]:
    """Each in a task; who goes on no more has the others cancelled."""
    _check(limit)
    waiting: deque[asyncio.Task[BatchResult[ItemT, Any]]] = deque()
    try:
        for item in items:
            waiting.append(asyncio.ensure_future(_awaited(item, callback)))
            if len(waiting) == limit:
                yield await waiting.popleft()
        while waiting:
            yield await waiting.popleft()
    finally:
        for each in waiting:
            each.cancel()


def _carried_out(item: ItemT, callback: Callable[[ItemT], ValueT]) -> BatchResult[ItemT, ValueT]:
    try:
        return BatchResult(item=item, value=callback(item))
    except Exception as exc:  # noqa: BLE001 - it is this item's answer
        return BatchResult(item=item, error=exc)


async def _awaited(item: ItemT, callback: Callable[[ItemT], Any]) -> BatchResult[ItemT, Any]:
    try:
        value = callback(item)
        return BatchResult(item=item, value=await value if inspect.isawaitable(value) else value)
    except Exception as exc:  # noqa: BLE001 - it is this item's answer
        return BatchResult(item=item, error=exc)


def _check(limit: int) -> None:
    if isinstance(limit, bool) or not isinstance(limit, int) or limit < 1:
        raise ConfigError(f"limit={limit!r}: it is a whole number, 1 or more")
