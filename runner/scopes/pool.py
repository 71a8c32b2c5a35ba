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

Everything that changes entries lives here. What it does not do: order operations, or know what a
backend is beyond `destroy()` and, if it has one, its `status`.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import AsyncGenerator, Hashable
from contextlib import AsyncExitStack, asynccontextmanager
from types import TracebackType
from typing import Generic, Literal, Self

import attrs
import trio

from runner.errors import ConfigError, Destroyed, PoolClosed, PoolFull
from runner.scopes.pool_entry import ANY, BackendT, Entry, Factory, Lease
from runner.scopes.pool_statistics import KeyStatistics, PoolStatistics, Totals

logger = logging.getLogger("runner.pool")


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
        self._factory = factory
        self._max_size = max_size
        self._room = None if max_size is None else trio.Semaphore(max_size, max_value=max_size)
        self._when_full = when_full
        self._idle_after = idle_after
        self._grace = grace
        self._entries: dict[Hashable, Entry[BackendT]] = {}
        self._idle: dict[Entry[BackendT], None] = {}  # in the order in which they were last used
        self._closing: dict[Entry[BackendT], None] = {}
        self._making: set[Entry[BackendT]] = set()  # also what nobody waits for any more
        self._totals = Totals()
        self._stack = AsyncExitStack()
        self._nursery: trio.Nursery | None = None
        self._is_open = False
        self._changed = trio.Event()  # something became idle, or closed

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
        nursery = self._require_open()
        entry = self._entries.get(key) if key is not None else None
        if entry is not None and entry.is_dead:
            self._retire(entry)
            entry = None
        if entry is None:
            entry = self._begin(key, None if config is ANY else config, nursery)
        elif config is not ANY and config != entry.config:
            what = f"{key!r} is in the pool with another configuration"
            raise ConfigError(f"{what}: destroy({key!r}) first, or take another key")
        self._idle.pop(entry, None)
        entry.idle_since = None
        entry.users += 1
        try:
            await entry.ready.wait()
        except BaseException:
            self._leave(entry)
            raise
        if entry.error is not None:
            entry.users -= 1
            raise entry.error
        assert entry.backend is not None
        entry.acquired += 1
        self._totals.acquired += 1
        held = entry
        return Lease(key, entry.backend, lambda: self._leave(held))

    @asynccontextmanager
    async def use(
        self, key: Hashable = None, config: object = ANY
    ) -> AsyncGenerator[BackendT, None]:
        """A backend for as long as the block lasts; see `acquire`."""
        with await self.acquire(key, config) as backend:
            yield backend

    def _begin(self, key: Hashable, config: object, nursery: trio.Nursery) -> Entry[BackendT]:
        busy = len(self._entries) - len(self._idle)
        full = self._max_size is not None and busy >= self._max_size
        if full and self._when_full == "refuse":
            self._totals.refused += 1
            raise PoolFull(f"all {self._max_size} backends of the pool are in use")
        own = object() if key is None else key
        entry = Entry[BackendT](own, config, key is None, trio.current_time())
        self._entries[own] = entry
        self._making.add(entry)
        nursery.start_soon(self._make, entry)
        return entry

    def _leave(self, entry: Entry[BackendT]) -> None:
        """One user less."""
        entry.users -= 1
        if entry.users or entry.is_closing:
            return
        if not entry.ready.is_set():
            self._forget(entry)
            entry.making.cancel()
        elif entry.error is None:
            self._rest(entry)

    def _rest(self, entry: Entry[BackendT]) -> None:
        """Nobody uses it any more: it is idle, unless it is of no use or its room is wanted."""
        waiting = 0 if self._room is None else self._room.statistics().tasks_waiting
        if entry.is_own or entry.is_dead or not self._is_open or waiting > len(self._closing):
            self._retire(entry)
            return
        entry.idle_since = trio.current_time()
        self._idle[entry] = None
        self._tell()

    # ------------------------------------------------------------ making and closing

    async def _make(self, entry: Entry[BackendT]) -> None:
        try:
            with entry.making:
                try:
                    await self._take_room(entry)
                    made = self._factory(None if entry.is_own else entry.key, entry.config)
                    entry.backend = (await made) if inspect.isawaitable(made) else made
                    self._totals.made += 1
                except Exception as error:  # noqa: BLE001 - it is the callers'
                    entry.error = error
                    self._totals.failed += 1
        finally:  # also if the pool itself is cancelled: whoever waits is told
            self._settle(entry)

    def _settle(self, entry: Entry[BackendT]) -> None:
        """It has been made, or not: one synchronous block."""
        if entry.backend is None:
            self._forget(entry)
            self._free_room(entry)
            if entry.error is None:
                entry.error = self._destroyed(entry)
        elif self._entries.get(entry.key) is not entry:  # it was made although it was cancelled
            entry.error = self._destroyed(entry)
            self._retire(entry)
        self._making.discard(entry)
        entry.ready.set()
        self._tell()
        if entry.error is None and not entry.users:
            self._rest(entry)

    def _destroyed(self, entry: Entry[BackendT]) -> Destroyed:
        return Destroyed("acquire", str(entry.key), "it was destroyed while it was made")

    async def _take_room(self, entry: Entry[BackendT]) -> None:
        if self._room is not None:
            try:
                self._room.acquire_nowait()
            except trio.WouldBlock:
                if self._idle and self._room.statistics().tasks_waiting >= len(self._closing):
                    self._totals.evicted += 1
                    self._retire(next(iter(self._idle)))
                await self._room.acquire()
            entry.has_room = True

    def _free_room(self, entry: Entry[BackendT]) -> None:
        if entry.has_room and self._room is not None:
            self._room.release()
            entry.has_room = False

    def _forget(self, entry: Entry[BackendT]) -> None:
        self._idle.pop(entry, None)
        if self._entries.get(entry.key) is entry:
            del self._entries[entry.key]

    def _retire(self, entry: Entry[BackendT]) -> None:
        """Close it, whoever uses it; the next who asks for its key gets another one."""
        self._forget(entry)
        if entry.backend is None:
            entry.making.cancel()
        elif not entry.is_closing and self._nursery is not None:
            entry.is_closing = True
            self._closing[entry] = None
            self._nursery.start_soon(self._close, entry, entry.backend)

    async def _close(self, entry: Entry[BackendT], backend: BackendT) -> None:
        with trio.move_on_after(self._grace, shield=True) as cancel_scope:
            try:
                await backend.destroy()
            except Exception:
                self._totals.close_failed += 1
                logger.exception("closing the backend %r failed", entry.key)
        if cancel_scope.cancelled_caught:
            self._totals.close_failed += 1
            logger.error("closing the backend %r took too long", entry.key)
        del self._closing[entry]
        self._free_room(entry)
        entry.closed.set()
        self._tell()

    async def destroy(self, key: Hashable) -> None:
        """Close the backend of a key, whoever uses it, and wait until that is done.

        Whoever uses it has his operations refused; a new one is made for the next who asks.
        """
        await self._close_all([each for each in self._all() if each.key == key])

    async def destroy_all(self) -> None:
        """Close all backends, side by side; the pool can be used afterwards."""
        await self._close_all(self._all())

    async def _close_all(self, entries: list[Entry[BackendT]]) -> None:
        for each in entries:
            self._retire(each)
        await trio.lowlevel.checkpoint()
        for each in entries:
            await each.ready.wait()
            if each.is_closing:
                await each.closed.wait()

    # ------------------------------------------------------------ the pool as a whole

    async def drain(self, seconds: float) -> int:
        """Give nothing more, close what is given back, and after some seconds all that is left.

        Returns:
            How many were closed while somebody used them. The pool is closed afterwards.
        """
        self._is_open = False
        for each in list(self._idle):
            self._retire(each)
        with trio.move_on_after(seconds):
            while self._entries:
                await self._next_change()
        left = self._all()
        cut_off = sum(1 for each in left if each.users and not each.is_closing)
        await self._close_all(left)
        return cut_off

    async def __aenter__(self) -> Self:
        if self._nursery is not None:
            raise PoolClosed("a pool is entered once")
        self._nursery = await self._stack.enter_async_context(trio.open_nursery())
        self._is_open = True
        if self._idle_after is not None:
            self._nursery.start_soon(self._clean_up, self._idle_after)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._nursery is not None
        try:
            await self.drain(self._grace if kind is None else 0)  # noqa: ASYNC102 - see finally
        finally:
            with trio.move_on_after(2 * self._grace + 1, shield=True):
                await self.drain(0)
            self._nursery.cancel_scope.shield = True
            self._nursery.cancel_scope.cancel()
            await self._stack.aclose()  # noqa: ASYNC102 - without the block's error: it stays bare

    def statistics(self) -> PoolStatistics:
        """The pool at this moment."""
        now = trio.current_time()
        every = list(self._entries.values())
        return PoolStatistics(
            size=self._size(),
            in_use=sum(1 for each in every if each.users and each.backend is not None),
            idle=len(self._idle),
            making=len(self._making),
            closing=len(self._closing),
            keys={
                each.key: KeyStatistics(
                    users=each.users,
                    acquired=each.acquired,
                    age=now - each.since,
                    idle_for=None if each.idle_since is None else now - each.idle_since,
                )
                for each in every
                if not each.is_own
            },
            **attrs.asdict(self._totals),
        )

    def __repr__(self) -> str:
        most = "any number" if self._max_size is None else str(self._max_size)
        return (
            f"<BackendPool {self._size()} of {most}, {len(self._idle)} idle"
            f"{'' if self._is_open else ', closed'}>"
        )

    async def _clean_up(self, idle_after: float) -> None:
        """Close what is idle for too long."""
        while True:
            oldest = next(iter(self._idle), None)
            if oldest is None or oldest.idle_since is None:
                await self._next_change()
                continue
            due = oldest.idle_since + idle_after
            if due <= trio.current_time():
                self._totals.expired += 1
                self._retire(oldest)
            else:
                await trio.sleep_until(due)

    async def _next_change(self) -> None:
        await self._changed.wait()

    def _tell(self) -> None:
        self._changed.set()
        self._changed = trio.Event()

    def _all(self) -> list[Entry[BackendT]]:
        return [*self._entries.values(), *self._closing]

    def _size(self) -> int:
        made = sum(1 for each in self._entries.values() if each.backend is not None)
        return made + len(self._making) + len(self._closing)

    def _require_open(self) -> trio.Nursery:
        if self._nursery is None or not self._is_open:
            raise PoolClosed("the pool is drained" if self._nursery else "use `async with pool:`")
        return self._nursery
