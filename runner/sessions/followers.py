"""Who follows a session's events: any number, and a slow one slows nobody.

Each follower has a buffer of its own, `FOLLOWER_BUFFER` events long. When it is full, further
events are dropped for this follower and counted in its `dropped`. One that follows from a cursor
misses nothing: it reads on in the session's transcript (replaying.py). The publisher never waits.
"""

from __future__ import annotations

import attrs
import trio

from runner.sessions.replaying import Replay
from runner.sessions.transcript import Transcript
from runner.sessions.turn import SessionEvent

# 50 events a second is busy: some minutes of a follower that does not look.
FOLLOWER_BUFFER = 16_384


@attrs.define(eq=False, repr=False)
class Follower(trio.abc.ReceiveChannel[SessionEvent]):
    """The events of a session from now on, or from a cursor; ends when the session is closed.

    Attributes:
        dropped: how many events there was no room for since it was too slow. Of these, one that
            follows from a cursor misses only what is in no transcript: partial texts, and what
            the disk had no room for (`SessionEvent.lost`).
    """

    _sender: trio.MemorySendChannel[SessionEvent]
    _receiver: trio.MemoryReceiveChannel[SessionEvent]
    dropped: int = 0
    _replay: Replay | None = None

    async def receive(self) -> SessionEvent:
        """Wait for the next event.

        Raises:
            trio.EndOfChannel: the session is closed, and this was all.
        """
        return await (self._receiver if self._replay is None else self._replay).receive()

    async def aclose(self) -> None:
        """Follow no more."""
        self.close()
        await trio.lowlevel.checkpoint()

    def close(self) -> None:
        """Follow no more."""
        self._sender.close()
        self._receiver.close()

    def __repr__(self) -> str:
        waiting = self._receiver.statistics().current_buffer_used
        return f"<Follower: {waiting} waiting, {self.dropped} dropped>"


@attrs.define(eq=False)
class Followers:
    """The followers of one session."""

    _all: dict[Follower, None] = attrs.field(factory=dict)
    _is_closed: bool = False

    def __bool__(self) -> bool:
        """Whether there is any."""
        return bool(self._all)

    def __len__(self) -> int:
        return len(self._all)

    def add(self, buffer: int = FOLLOWER_BUFFER) -> Follower:
        """Let somebody follow from now on."""
        follower = Follower(*trio.open_memory_channel[SessionEvent](buffer))
        if self._is_closed:
            follower._sender.close()  # noqa: SLF001 - one room
        else:
            self._all[follower] = None
        return follower

    def add_from(
        self, cursor: int, transcript: Transcript, buffer: int = FOLLOWER_BUFFER
    ) -> Follower:
        """Let somebody follow from a cursor of the transcript on."""
        follower = self.add(buffer)
        live = follower._receiver  # noqa: SLF001 - one room
        follower._replay = Replay(cursor, transcript, live, lambda: follower.dropped)  # noqa: SLF001
        return follower

    def remove(self, follower: Follower) -> None:
        """Let somebody follow no more."""
        self._all.pop(follower, None)
        follower.close()

    def publish(self, happened: SessionEvent) -> None:
        """Give an event to all who follow; never waits."""
        for follower in list(self._all):
            try:
                follower._sender.send_nowait(happened)  # noqa: SLF001 - one room
            except trio.WouldBlock:
                follower.dropped += 1
            except (trio.ClosedResourceError, trio.BrokenResourceError):
                self._all.pop(follower, None)  # it closed its end itself

    def close(self) -> None:
        """There will be no more events: let all read what is there, and end."""
        self._is_closed = True
        for follower in self._all:
            follower._sender.close()  # noqa: SLF001 - one room
        self._all.clear()
