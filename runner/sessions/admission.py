"""Who may start a program now: so many at a time, so many alive, and only where there is memory.

    start ──► a slot ──► the head of those who wait ──► room ──► starting ──► living ──► gone
                                                         ▲                       │
                                                         └── the longest idle is put down

Rules:

1. A program that lives over many turns has one of the slots, about one a core, until it is ready: a
   start is half a second of pure work, and many at once only make each other late (32 claudes on
   two cores took 22 s until the last was ready).
2. There is room while fewer live than may, and more memory is free than `reserve`; each that is
   starting is to get that much as well, since what it will take does not show yet.
3. Where there is none, the session that has been idle longest is put down: its program is ended
   politely, and its next turn brings it back. Its phase has a say (phases.py: `reap`), so that
   none is that is about something.
4. If nobody is idle, who wants to start waits, in order of arrival: nobody overtakes.
5. Memory that is short while nothing of ours lives is not ours to free, and waiting might never
   end: then the head starts all the same, and the log says so.

What is not here: how programs are started and ended (keeping.py), and actors (actors/).
"""

from __future__ import annotations

import logging
import os
from collections.abc import AsyncGenerator, Callable, Hashable
from contextlib import asynccontextmanager
from math import inf
from operator import itemgetter

import attrs
import trio

from runner.actors.supervisor import Supervisor
from runner.processes.free_memory import free_memory
from runner.sessions.phases import Do, Input
from runner.sessions.state import SessionState

# What claude takes after some turns is 233 MB.
RESERVE = 256 << 20
# Seconds until the head looks again, as memory says nothing when it is freed.
AGAIN = 0.25
# How long a reading of the memory is good; it costs 0.2 ms.
FRESH = 0.1

log = logging.getLogger("runner.sessions")


@attrs.frozen(kw_only=True)
class AdmissionStatistics:
    """What is known of programs at one moment; the counts are since the runner was opened.

    Attributes:
        living: how many live, those that are being put down included.
        starting: how many are about to.
        waiting: how many wait for a slot or for room.
        leaving: how many are being put down to make room.
        put_down: how many were.
        forced: how many were started without the memory that they should have.
    """

    living: int
    starting: int
    waiting: int
    leaving: int
    put_down: int
    forced: int


@attrs.define(eq=False, kw_only=True)
class Admission:
    """Who may start, for all sessions of a supervisor.

    Attributes:
        most: how many programs may live at a time; None = any number.
        reserve: how many bytes are to be free for another one; 0 = nobody asks.
        free: how many there are; None = that is not known.
        slots: how many programs may be starting at a time.
    """

    most: int | None = None
    reserve: int = RESERVE
    free: Callable[[], int | None] = free_memory
    slots: trio.CapacityLimiter = attrs.field(
        factory=lambda: trio.CapacityLimiter(os.cpu_count() or 1)
    )
    _supervisor: Supervisor | None = None
    _head: trio.StrictFIFOLock = attrs.field(factory=trio.StrictFIFOLock)
    _changed: trio.Event = attrs.field(factory=trio.Event)
    _starting: set[Hashable] = attrs.field(factory=set)
    _living: dict[Hashable, SessionState] = attrs.field(factory=dict)
    _leaving: set[Hashable] = attrs.field(factory=set)
    _read_at: float = -inf
    _reading: int | None = None
    _put_down: int = 0
    _forced: int = 0

    def attend(self, supervisor: Supervisor) -> None:
        """Know whose actors the sessions are, and hear of each that has nothing more to do."""
        self._supervisor = supervisor
        supervisor.on_quiet = self._has_changed

    @asynccontextmanager
    async def start(self, key: Hashable, *, is_quick: bool = False) -> AsyncGenerator[None, None]:
        """Start the program of a session, as soon as there is room; leave this when it is ready.

        Args:
            key: of the session's actor.
            is_quick: it is one that needs no slot, since it is ready at once.

        Cancellation: who waits does so no more.
        """
        if is_quick:
            await self._find_room(key)
        else:
            await self.slots.acquire()
        try:
            if not is_quick:
                await self._find_room(key)
            try:
                yield
            finally:
                self._starting.discard(key)
                self._has_changed()
        finally:
            if not is_quick:
                self.slots.release()

    def lives(self, state: SessionState) -> None:
        """The program of a session lives from now on; to be said while it starts."""
        self._living[state.key] = state

    def gone(self, key: Hashable) -> None:
        """The program of a session does not live any more."""
        self._living.pop(key, None)
        self._leaving.discard(key)
        self._read_at = -inf
        self._has_changed()

    def statistics(self) -> AdmissionStatistics:
        """All of them at this moment."""
        head = self._head.statistics()
        return AdmissionStatistics(
            living=len(self._living),
            starting=len(self._starting - self._living.keys()),
            waiting=self.slots.statistics().tasks_waiting + head.tasks_waiting + head.locked,
            leaving=len(self._leaving),
            put_down=self._put_down,
            forced=self._forced,
        )

    # ------------------------------------------------------------ room

    async def _find_room(self, key: Hashable) -> None:
        if not self._head.locked() and self._has_place() and self._has_memory():
            self._starting.add(key)
            return
        async with self._head:
            while not (self._has_place() and self._has_memory()) and not self._must_not_wait(key):
                self._make_room()
                self._changed = trio.Event()
                with trio.move_on_after(AGAIN):
                    await self._changed.wait()
            self._starting.add(key)

    def _has_place(self) -> bool:
        return self.most is None or self._occupied() < self.most

    def _occupied(self) -> int:
        return len(self._living.keys() | self._starting)

    def _has_memory(self) -> bool:
        if not self.reserve:
            return True
        now = trio.current_time()
        if now - self._read_at > FRESH:
            self._read_at, self._reading = now, self.free()
        return self._reading is None or self._reading >= self.reserve * (1 + len(self._starting))

    def _must_not_wait(self, key: Hashable) -> bool:
        """Whether only memory is short, and nothing of ours could ever free any."""
        if self._living or self._starting:
            return False
        self._forced += 1
        log.warning(
            "only %d MiB of memory are free, which is less than %d, and no session has a program"
            " that could be put down: that of %r is started all the same",
            (self._reading or 0) >> 20,
            self.reserve >> 20,
            key,
        )
        return True

    def _make_room(self) -> None:
        wanted = 0
        if self.most is not None:
            # Those behind the head that have a slot as well need not wait one after the other.
            heads = min(1 + self._head.statistics().tasks_waiting, int(self.slots.total_tokens))
            wanted = self._occupied() + heads - self.most
        if not self._has_memory():
            wanted = max(wanted, 1)  # how much it frees is seen when it is gone
        while len(self._leaving) < wanted and self._put_down_longest_idle():
            pass

    def _put_down_longest_idle(self) -> bool:
        supervisor = self._supervisor
        if supervisor is None:
            return False
        since = {key: supervisor.idle_since(key) for key in self._living.keys() - self._leaving}
        idle = [(when, key) for key, when in since.items() if when is not None]
        for _, key in sorted(idle, key=itemgetter(0)):
            # one synchronous block: nothing can be asked of it in between
            if self._living[key].step(Input.REAP) is Do.END:
                supervisor.reap(key)
                self._leaving.add(key)
                self._put_down += 1
                return True
        return False

    def _has_changed(self) -> None:
        self._changed.set()
