"""Many items, one function: so many at a time, and the answers in the order of the items."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterable
from typing import Generic, TypeVar

import attrs
import trio

from runner.errors import ConfigError, RunnerError

ItemT = TypeVar("ItemT")
ValueT = TypeVar("ValueT")


@attrs.frozen(kw_only=True)
class Processed(Generic[ItemT, ValueT]):
    """What came of one item.

    Attributes:
        item: as it was given.
        value: what the function answered; None if it failed.
        error: what it failed with; None if it did not.
    """

    item: ItemT
    value: ValueT | None = None
    error: RunnerError | None = None

    @property
    def ok(self) -> bool:
        """Whether the function answered."""
        return self.error is None


async def process(
    items: Iterable[ItemT], function: Callable[[ItemT], Awaitable[ValueT] | ValueT], *, limit: int
) -> list[Processed[ItemT, ValueT]]:
    """Call a function with each item, at most `limit` at a time; the answers in the items' order.

    An error of ours is the answer for its item, and the others go on. Any other exception ends all
    of them, and is raised.

    Raises:
        ConfigError: the limit is none.
    """
    if isinstance(limit, bool) or not isinstance(limit, int) or limit < 1:
        raise ConfigError(f"limit={limit!r}: it is a whole number, 1 or more")
    waiting = list(enumerate(items))
    waiting.reverse()
    done: dict[int, Processed[ItemT, ValueT]] = {}
    failures: list[Exception] = []

    async def work(nursery: trio.Nursery) -> None:
        while waiting and not failures:
            number, item = waiting.pop()
            try:
                answer = function(item)
                value = await answer if inspect.isawaitable(answer) else answer
                done[number] = Processed(item=item, value=value)
            except RunnerError as error:
                done[number] = Processed(item=item, error=error)
            except Exception as error:  # noqa: BLE001 - raised again below, bare
                failures.append(error)
                nursery.cancel_scope.cancel(reason="the function failed")

    async with trio.open_nursery() as nursery:
        for _ in range(min(limit, len(waiting))):
            nursery.start_soon(work, nursery)
    if failures:
        raise failures[0]
    await trio.lowlevel.checkpoint_if_cancelled()
    return [done[number] for number in sorted(done)]
