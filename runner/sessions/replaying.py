"""A session's events from a cursor on: first from its transcript, then as they happen.

    transcript, up to where it ended when somebody began to follow ──► live
         ▲                                                               │ the buffer was full
         └───────────────────────────────────────────────────────────────┘

There is no gap and no double: an event is noted and told to followers in one synchronous block, and
where the buffer had no room, the transcript is read on from the last event that was received. Only
partial texts are in no transcript: of those, what is not received live is left out.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator

import attrs
import trio

from runner.agents.events import Text
from runner.sessions.transcript import Line, Transcript, event_of, read_lines
from runner.sessions.turn import SessionEvent


@attrs.define(eq=False)
class Replay:
    """The events of a session from a cursor on, for one follower.

    Attributes:
        cursor: of the last event that was received.
    """

    cursor: int
    _transcript: Transcript
    _receive_live: Callable[[], Awaitable[SessionEvent]]
    _dropped: Callable[[], int]
    _lines: Iterator[Line] | None = None
    _end: int = 0
    _seen: int = 0

    def __attrs_post_init__(self) -> None:
        self._read_on()

    async def receive(self) -> SessionEvent:
        """Wait for the next event.

        Raises:
            trio.EndOfChannel: the session is closed, and this was all.
        """
        while True:
            if self._lines is None:
                happened = await self._next_live()
            else:
                await trio.lowlevel.checkpoint()
                happened = self._next_line()
            if happened is not None:
                self.cursor = happened.cursor
                return happened

    def _next_line(self) -> SessionEvent | None:
        assert self._lines is not None
        line = next(self._lines, None)
        if line is None:
            self._lines = None
            return None
        return event_of(line)

    async def _next_live(self) -> SessionEvent | None:
        try:
            happened = await self._receive_live()
        except trio.EndOfChannel:
            if self._dropped() == self._seen:
                raise
            self._read_on()
            return None
        # one synchronous block: what was noted up to here is in the transcript
        if self._dropped() > self._seen:
            self._read_on()
            return None
        # What was told before the transcript was looked at has been read there.
        is_partial = isinstance(happened.event, Text) and happened.event.partial
        is_read = happened.cursor < self._end or (happened.cursor == self._end and not is_partial)
        return None if is_read else happened

    def _read_on(self) -> None:
        self._seen = self._dropped()
        self._end = self._transcript.cursor
        self._lines = read_lines(self._transcript.path, self.cursor, self._end)
