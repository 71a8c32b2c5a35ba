"""Reading what programs say: at once, or when very many speak at a time, more at a time.

To be woken costs more than to read a line: two hundred programs that say fifty words a second each
would take most of a core, word by word. So those who read share a `Pace`: as long as at most `FEW`
of them read anything within a `TICK`, each reads as soon as there is something. When there are
more, each waits for the tick's end after it has read, and reads then what has come in the meantime.
Nothing is lost or put in another order: it waits in its pipe, which holds some seconds of it, and
then its program waits.

What is not here: what is done with it.
"""

from __future__ import annotations

import os
from collections.abc import Callable

import attrs
import trio

CHUNK = 1 << 16
# Seconds; who follows a conversation with the eye hardly sees it.
TICK = 0.1
# How many may read in a tick before all keep to it: word by word, 50 a second each, they take some
# percent of a core. It is who reads that counts, not how often: a turn of one program is as fast as
# it is alone.
FEW = 20


@attrs.define(eq=False)
class Pace:
    """How often is read; shared by all who read in one runner."""

    _ends: float = 0.0
    _readers: set[object] = attrs.field(factory=set)
    _were_many: bool = False
    _lot: trio.lowlevel.ParkingLot = attrs.field(factory=trio.lowlevel.ParkingLot)
    _is_timed: bool = False

    async def keep(self, reader: object) -> None:
        """Wait if many read; no checkpoint if not.

        Args:
            reader: who has read; anything that can be told from the others.
        """
        now = trio.current_time()
        if now >= self._ends:
            self._were_many = len(self._readers) > FEW and now < self._ends + TICK
            self._ends = now + TICK
            self._readers.clear()
        self._readers.add(reader)
        if self._were_many or len(self._readers) > FEW:
            await self._wait(self._ends)

    async def _wait(self, ends: float) -> None:
        """Wait until the end of the tick; one of those who do keeps the time for all."""
        while self._ends == ends and trio.current_time() < ends:
            if self._is_timed:
                await self._lot.park()
                continue
            self._is_timed = True
            try:
                await trio.sleep_until(ends)
            finally:  # also if this one is cancelled: then another one keeps the time
                self._is_timed = False
                self._lot.unpark_all()


async def read_all(
    stream: trio.abc.ReceiveStream, take: Callable[[bytes], None], pace: Pace
) -> None:
    """Read a pipe to its end.

    Without the stream's own way, which makes a checkpoint and tries to read before it waits: that
    is twice the work where there is seldom more to be read than was told.
    """
    assert isinstance(stream, trio.lowlevel.FdStream)
    while data := await _next(stream):
        take(data)
        await pace.keep(stream)


async def _next(stream: trio.lowlevel.FdStream) -> bytes:
    try:
        await trio.lowlevel.wait_readable(stream.fileno())
        return os.read(stream.fileno(), CHUNK)
    except (trio.ClosedResourceError, OSError):
        return b""  # as good as its end
