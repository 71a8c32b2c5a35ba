"""What a pool of backends keeps: all entries, from their making to their closing.

Model. An entry is making ──► in use ◄──► idle ──► closing. Making and closing are done by tasks of
the pool's nursery, so that no caller's timeout can harm another. What nobody waits for any more is
put down while it is made; until then it counts.

Everything that changes entries lives here. What it does not do: say who may have what (pool.py).
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Hashable
from typing import Generic

import attrs
import trio

from runner.errors import Destroyed
from runner.scopes.pool_entry import BackendT, Entry, Factory
from runner.scopes.pool_statistics import KeyStatistics, PoolStatistics, Totals

logger = logging.getLogger("runner.pool")


class Stock(Generic[BackendT]):
    """The entries of a pool.

    Attributes:
        entries: those that may be had, by key.
        idle: those that nobody uses, in the order in which they were last used.
        closing: those that are being closed.
        making: those that are being made, also what nobody waits for any more.
        nursery: the pool's, once it was entered.
        is_open: whether what is given back may stay.
    """

    def __init__(self, factory: Factory[BackendT], max_size: int | None, grace: float) -> None:
        """Empty."""
        self.entries: dict[Hashable, Entry[BackendT]] = {}
        self.idle: dict[Entry[BackendT], None] = {}
        self.closing: dict[Entry[BackendT], None] = {}
        self.making: set[Entry[BackendT]] = set()
        self.totals = Totals()
        self.nursery: trio.Nursery | None = None
        self.is_open = False
        self.room = None if max_size is None else trio.Semaphore(max_size, max_value=max_size)
        self._factory = factory
        self._grace = grace
        self._changed = trio.Event()  # something became idle, or closed

    def all(self) -> list[Entry[BackendT]]:
        """Every entry that there is."""
        return list(dict.fromkeys([*self.entries.values(), *self.making, *self.closing]))

    def size(self) -> int:
        """How many there are."""
        return len(self.all())

    # ---------------------------------------------------------------- using

    def begin(self, key: Hashable, config: object, nursery: trio.Nursery) -> Entry[BackendT]:
        """A new entry, which is being made."""
        own = object() if key is None else key
        entry = Entry[BackendT](own, config, key is None, trio.current_time())
        self.entries[own] = entry
        self.making.add(entry)
        nursery.start_soon(self._make, entry)
        return entry

    def take(self, entry: Entry[BackendT]) -> None:
        """One user more."""
        self.idle.pop(entry, None)
        entry.idle_since = None
        entry.users += 1

    def leave(self, entry: Entry[BackendT]) -> None:
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
        waiting = 0 if self.room is None else self.room.statistics().tasks_waiting
        if entry.is_own or entry.is_dead or not self.is_open or waiting > len(self.closing):
            self.retire(entry)
            return
        entry.idle_since = trio.current_time()
        self.idle[entry] = None
        self._tell()

    # ---------------------------------------------------------------- making and closing

    async def _make(self, entry: Entry[BackendT]) -> None:
        try:
            with entry.making:
                try:
                    await self._take_room(entry)
                    made = self._factory(None if entry.is_own else entry.key, entry.config)
                    entry.backend = (await made) if inspect.isawaitable(made) else made
                    self.totals.made += 1
                except Exception as error:  # noqa: BLE001 - it is the callers'
                    entry.error = error
                    self.totals.failed += 1
        finally:  # also if the pool itself is cancelled: whoever waits is told
            self._settle(entry)

    def _settle(self, entry: Entry[BackendT]) -> None:
        """It has been made, or not: one synchronous block."""
        if entry.backend is None:
            self._forget(entry)
            self._free_room(entry)
            if entry.error is None:
                entry.error = self._destroyed(entry)
        elif self.entries.get(entry.key) is not entry:  # it was made although it was cancelled
            entry.error = self._destroyed(entry)
            self.retire(entry)
        self.making.discard(entry)
        entry.ready.set()
        self._tell()
        if entry.error is None and not entry.users:
            self._rest(entry)

    def _destroyed(self, entry: Entry[BackendT]) -> Destroyed:
        return Destroyed("acquire", str(entry.key), "it was destroyed while it was made")

    async def _take_room(self, entry: Entry[BackendT]) -> None:
        if self.room is not None:
            try:
                self.room.acquire_nowait()
            except trio.WouldBlock:
                if self.idle and self.room.statistics().tasks_waiting >= len(self.closing):
                    self.totals.evicted += 1
                    self.retire(next(iter(self.idle)))
                await self.room.acquire()
            entry.has_room = True

    def _free_room(self, entry: Entry[BackendT]) -> None:
        if entry.has_room and self.room is not None:
            self.room.release()
            entry.has_room = False

    def _forget(self, entry: Entry[BackendT]) -> None:
        self.idle.pop(entry, None)
        if self.entries.get(entry.key) is entry:
            del self.entries[entry.key]

    def retire(self, entry: Entry[BackendT]) -> None:
        """Close it, whoever uses it; the next who asks for its key gets another one."""
        self._forget(entry)
        if entry.backend is None:
            entry.making.cancel()
        elif not entry.is_closing and self.nursery is not None:
            entry.is_closing = True
            self.closing[entry] = None
            self.nursery.start_soon(self._close, entry, entry.backend)

    async def _close(self, entry: Entry[BackendT], backend: BackendT) -> None:
        with trio.move_on_after(self._grace, shield=True) as cancel_scope:
            try:
                await backend.destroy()
            except Exception:
                self.totals.close_failed += 1
                logger.exception("closing the backend %r failed", entry.key)
        if cancel_scope.cancelled_caught:
            self.totals.close_failed += 1
            logger.error("closing the backend %r took too long", entry.key)
        del self.closing[entry]
        self._free_room(entry)
        entry.closed.set()
        self._tell()

    async def clean_up(self, idle_after: float) -> None:
        """Close what is idle for too long."""
        while True:
            oldest = next(iter(self.idle), None)
            if oldest is None or oldest.idle_since is None:
                await self.next_change()
                continue
            due = oldest.idle_since + idle_after
            if due <= trio.current_time():
                self.totals.expired += 1
                self.retire(oldest)
            else:
                await trio.sleep_until(due)

    async def next_change(self) -> None:
        """Wait until something became idle, or closed."""
        await self._changed.wait()

    def _tell(self) -> None:
        self._changed.set()
        self._changed = trio.Event()

    async def close_all(self, entries: list[Entry[BackendT]]) -> None:
        """Close these, whoever uses them, and wait until that is done."""
        for each in entries:
            self.retire(each)
        await trio.lowlevel.checkpoint()
        for each in entries:
            await each.ready.wait()
            if each.is_closing:
                await each.closed.wait()

    # ---------------------------------------------------------------- what is there

    def statistics(self) -> PoolStatistics:
        """All of it at this moment."""
        now = trio.current_time()
        every = list(self.entries.values())
        return PoolStatistics(
            size=self.size(),
            in_use=sum(1 for each in every if each.users and each.backend is not None),
            idle=len(self.idle),
            making=len(self.making),
            closing=len(self.closing),
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
            **attrs.asdict(self.totals),
        )
