"""A pool of backends (or scopes, or anything that can be destroyed), by key.

    async with BackendPool(lambda key, config: LocalBackend(f"work/{key}"), max_size=50) as pool:
        async with pool.use("alice") as backend:
            await backend.write("a.txt", "hi")

Model. An entry is making ──► in use ◄──► idle ──► closing. One key has one entry: whoever asks for
it while it is being made waits for the same making. Making and closing are done by tasks of the
pool's own, so that no caller's timeout can harm another; a making that nobody waits for any more is
cancelled. `max_size` counts everything that is made and not closed yet. If it is reached, the idle
entry that was used longest ago is closed for a new key; if none is idle, a new key waits its turn
(or is refused). What was idle for `idle_after` seconds is closed. What was destroyed by somebody
else is made anew at the next `acquire`.

What is kept, and what becomes of it, is pool_stock.py's. What a pool does not do: order operations,
or know what a backend is beyond `destroy()` and, if it has one, its `status`.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Hashable
from contextlib import AsyncExitStack, asynccontextmanager
from types import TracebackType
from typing import Generic, Literal, Self

import trio

from runner.errors import ConfigError, PoolClosed, PoolFull
from runner.scopes.pool_entry import ANY, BackendT, Factory, Lease
from runner.scopes.pool_statistics import PoolStatistics
from runner.scopes.pool_stock import Stock


class BackendPool(Generic[BackendT]):
    """Backends by key. Use it with `async with`; nothing happens before.

    Args:
        factory: makes a backend from a key and a configuration (None if none was given); a plain
            or an async function.
        max_size: how many there may be at a time; None = any number.
        when_full: whether a new key waits for room, or is refused as `PoolFull`.
        idle_after: seconds without use until a backend is closed; None = never.
        grace: seconds that leaving the block gives those who still use one, and each closing has.
    """

    def __init__(
        self,
        factory: Factory[BackendT],
        *,
        max_size: int | None = None,
        when_full: Literal["wait", "refuse"] = "wait",
        idle_after: float | None = 300.0,
        grace: float = 5.0,
    ) -> None:
        if max_size is not None and max_size < 1:
            raise ConfigError(f"max_size={max_size}: a pool has room for one backend at least")
        if when_full not in {"wait", "refuse"}:
            raise ConfigError(f"when_full={when_full!r}: a new key may 'wait', or be 'refuse'd")
        for name, seconds in (("idle_after", idle_after), ("grace", grace)):
            if seconds is not None and not seconds >= 0:  # also what is no number
                raise ConfigError(f"{name}={seconds}: it is not 0 or more seconds")
        self._max_size = max_size
        self._when_full = when_full
        self._idle_after = idle_after
        self._grace = grace
        self._stock = Stock(factory, max_size, grace)
        self._stack = AsyncExitStack()

    # ------------------------------------------------------------ using

    async def acquire(self, key: Hashable = None, config: object = ANY) -> Lease[BackendT]:
        """A backend, made if need be; release the lease when it is used no more.

        Args:
            key: names it; None = one for this caller alone, closed when it is released.
            config: for the factory; if it is given, the key's backend must have been made with an
                equal one.

        Raises:
            ConfigError: the key's backend was made with another configuration.
            PoolFull: there is no room, and `when_full="refuse"`.
            PoolClosed: the pool is drained, or was not entered.
            Exception: whatever the factory raised, to all who waited for it.
        """
        await trio.lowlevel.checkpoint()
        # one synchronous block: two who ask for a new key find one entry
        nursery, stock = self._require_open(), self._stock
        entry = stock.entries.get(key) if key is not None else None
        if entry is not None and entry.is_dead:
            stock.retire(entry)
            entry = None
        if entry is None:
            self._require_room()
            entry = stock.begin(key, None if config is ANY else config, nursery)
        elif config is not ANY and config != entry.config:
            what = f"{key!r} is in the pool with another configuration"
            raise ConfigError(f"{what}: destroy({key!r}) first, or take another key")
        stock.take(entry)
        try:
            await entry.ready.wait()
        except BaseException:
            stock.leave(entry)
            raise
        if entry.error is not None:
            entry.users -= 1
            raise entry.error
        assert entry.backend is not None
        entry.acquired += 1
        stock.totals.acquired += 1
        held = entry
        return Lease(key, entry.backend, lambda: stock.leave(held))

    @asynccontextmanager
    async def use(
        self, key: Hashable = None, config: object = ANY
    ) -> AsyncGenerator[BackendT, None]:
        """A backend for as long as the block lasts; see `acquire`."""
        with await self.acquire(key, config) as backend:
            yield backend

    # ------------------------------------------------------------ closing

    async def destroy(self, key: Hashable) -> None:
        """Close the backend of a key, whoever uses it, and wait until that is done.

        Whoever uses it has his operations refused; a new one is made for the next who asks.
        """
        await self._stock.close_all([each for each in self._stock.all() if each.key == key])

    async def destroy_all(self) -> None:
        """Close all backends, side by side; the pool can be used afterwards."""
        await self._stock.close_all(self._stock.all())

    # ------------------------------------------------------------ the pool as a whole

    async def drain(self, seconds: float) -> int:
        """Give nothing more, close what is given back, and after some seconds all that is left.

        Returns:
            How many were closed while somebody used them. The pool is closed afterwards.
        """
        self._stock.is_open = False
        for each in list(self._stock.idle):
            self._stock.retire(each)
        with trio.move_on_after(seconds):
            while self._stock.entries:
                await self._stock.next_change()
        left = self._stock.all()
        cut_off = sum(1 for each in left if each.users and not each.is_closing)
        await self._stock.close_all(left)
        return cut_off

    async def __aenter__(self) -> Self:
        if self._stock.nursery is not None:
            raise PoolClosed("a pool is entered once")
        self._stock.nursery = await self._stack.enter_async_context(trio.open_nursery())
        self._stock.is_open = True
        if self._idle_after is not None:
            self._stock.nursery.start_soon(self._stock.clean_up, self._idle_after)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._stock.nursery is not None
        try:
            await self.drain(self._grace if kind is None else 0)  # noqa: ASYNC102 - see finally
        finally:
            with trio.move_on_after(2 * self._grace + 1, shield=True):
                await self.drain(0)
            self._stock.nursery.cancel_scope.shield = True
            self._stock.nursery.cancel_scope.cancel()
            await self._stack.aclose()  # noqa: ASYNC102 - without the block's error: it stays bare

    def statistics(self) -> PoolStatistics:
        """The pool at this moment."""
        return self._stock.statistics()

    def __repr__(self) -> str:
        most = "any number" if self._max_size is None else str(self._max_size)
        return (
            f"<BackendPool {self._stock.size()} of {most}, {len(self._stock.idle)} idle"
            f"{'' if self._stock.is_open else ', closed'}>"
        )

    def _require_room(self) -> None:
        stock = self._stock
        busy = len(stock.entries) - len(stock.idle)
        if self._when_full == "refuse" and self._max_size is not None and busy >= self._max_size:
            stock.totals.refused += 1
            raise PoolFull(f"all {self._max_size} backends of the pool are in use")

    def _require_open(self) -> trio.Nursery:
        nursery = self._stock.nursery
        if nursery is None or not self._stock.is_open:
            raise PoolClosed("the pool is drained" if nursery else "use `async with pool:`")
        return nursery
