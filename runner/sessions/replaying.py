"""A session's events from a cursor on: first from its transcript, then as they happen.

    transcript, up to where it ended when somebody began to follow ──► live
         ▲                                                               │ the buffer was full
         └───────────────────────────────────────────────────────────────┘

There is no gap and no double: an event is noted and told to followers in one synchronous block, and
so is what ends the transcript's part: from then on all is live. Where the buffer had no room, what
is in it is let go, and the transcript is read on from the last event that was received. Partial
texts, and what there was no room for on the disk, are in no transcript: of those, what is not
received live is left out; how much the disk has lost is said with the next event (`lost`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress

import attrs
import trio

from runner.errors import AgentError
from runner.sessions.lines import Line, event_of, read_lines
from runner.sessions.transcript import Transcript
from runner.sessions.turn import SessionEvent


@attrs.define(eq=False)
class Replay:
    """The events of a session from a cursor on, for one follower.

    Attributes:
        cursor: of the last event that was received.
    """

    cursor: int
    _transcript: Transcript
    _live: trio.MemoryReceiveChannel[SessionEvent]
    _dropped: Callable[[], int]
    _lines: Iterator[Line] | None = None
    _seen: int = 0
    _lost: int = 0  # since the last event that was received
    _missing: int = 0  # what the transcript lacks at its end, as it was when we began to read

    def __attrs_post_init__(self) -> None:
        self._read_on()

    async def receive(self) -> SessionEvent:
        """Wait for the next event.

        Raises:
            trio.EndOfChannel: the session is closed, and this was all.
            AgentError: the transcript cannot be read.
        """
        while True:
            if self._lines is None:
                happened = await self._next_live()
            else:
                await trio.lowlevel.checkpoint()
                happened = self._next_line()
            if happened is not None:
                if self._lost:
                    happened, self._lost = attrs.evolve(happened, lost=self._lost), 0
                self.cursor = happened.cursor
                return happened

    def _next_line(self) -> SessionEvent | None:
        assert self._lines is not None
        try:
            line = next(self._lines, None)
        except OSError as exc:
            raise AgentError(f"the transcript cannot be read: {exc}") from exc
        if line is None:
            self._lines = None
            self._lost += self._missing
            return None
        self._lost += line.lost
        return event_of(line)

    async def _next_live(self) -> SessionEvent | None:
        if self._dropped() > self._seen:
            self._read_on()
            return None
        return await self._live.receive()

    def _read_on(self) -> None:
        # one synchronous block: what has happened is in the transcript, what comes is in the buffer
        self._seen = self._dropped()
        with suppress(trio.WouldBlock, trio.EndOfChannel):
            while True:
                self._live.receive_nowait()
        self._lost, self._missing = 0, self._transcript.missing
        self._lines = read_lines(self._transcript.path, self.cursor, self._transcript.cursor)
