"""A writer: output that never holds up the one who writes it.

    put ──► pending ──► (a thread) ──► descriptor

A reader that does not read (a pager, a terminal stopped with Ctrl-S) stops a write for as long as
it likes. So writes are made in a thread, one at a time and in order, and what comes meanwhile waits
in memory. Whoever makes much of it (a picture ten times a second) waits for `flushed` in between.

A reader who has gone closes the writer: what comes then vanishes, and `is_closed` says so.
"""

from __future__ import annotations

from collections.abc import Callable

import attrs
import trio

from runner.cli.streams import OutputClosed, encode, write_all


@attrs.define(eq=False)
class Writer:
    """Writes to a descriptor, in order.

    Attributes:
        on_close: what to do when the reader has gone.
        is_closed: the reader has gone.
    """

    _descriptor: int
    on_close: Callable[[], None] = lambda: None
    is_closed: bool = attrs.field(default=False, init=False)
    _pending: list[bytes] = attrs.field(factory=list, init=False)
    _is_writing: bool = attrs.field(default=False, init=False)
    _lot: trio.lowlevel.ParkingLot = attrs.field(factory=trio.lowlevel.ParkingLot, init=False)
    _limiter: trio.CapacityLimiter = attrs.field(
        factory=lambda: trio.CapacityLimiter(1), init=False
    )

    def put(self, text: str) -> None:
        """Write something, soon; never waits."""
        if not self.is_closed and text:
            self._pending.append(encode(text))
            self._lot.unpark_all()

    def put_line(self, text: str) -> None:
        """Write a line, soon; never waits."""
        self.put(text + "\n")

    async def flushed(self) -> None:
        """Wait until all of it is written, or there is no reader any more."""
        await trio.lowlevel.checkpoint()
        while self._pending or self._is_writing:
            await self._lot.park()

    async def run(self) -> None:
        """Write what is put, until cancelled."""
        while True:
            while not self._pending:
                await self._lot.park()
            data = b"".join(self._pending)
            self._pending.clear()
            self._is_writing = True
            try:
                # A write that nobody reads is given up at the end; the thread is a daemon.
                await trio.to_thread.run_sync(
                    write_all, self._descriptor, data, abandon_on_cancel=True, limiter=self._limiter
                )
            except OutputClosed:
                self.is_closed = True
                self._pending.clear()
                self.on_close()
            finally:
                self._is_writing = False
                self._lot.unpark_all()
