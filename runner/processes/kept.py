"""What a command has left running on request, and the keeper that looks after it from then on.

The keeper of such a command takes no other. It discards what is still written to the command's
streams, so that nobody gets SIGPIPE or a full pipe for writing there; it leaves when the last
process has ended, which its socket tells us, and ends them all when we ask for it or are gone.

What this does not do: wait for any of that of its own accord. Whoever keeps it asks (`is_over`)
and ends it (`aclose`); a host that is closed ends it as everything else.
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from contextlib import suppress

from runner.processes import protocol
from runner.processes.isolation.inside import Inside
from runner.processes.link import KeeperLink, LinkLost


class Kept:
    """Processes that a command has left behind, while any of them lives.

    Attributes:
        id: names them.
        count: how many there were when the command's leader ended.
    """

    def __init__(
        self,
        link: KeeperLink,
        inside: Inside | None,
        *,
        streams: tuple[int, ...],
        end: Callable[[KeeperLink], Awaitable[None]],
        drop: Callable[[KeeperLink], None],
    ) -> None:
        """Take over the link to a keeper, and have it read the streams from here on.

        Args:
            link: whose command has ended.
            inside: what holds them.
            streams: our ends of the command's streams, which stay the caller's.
            end: what sees to it that they are gone.
            drop: what becomes of the link then.
        """
        self.id = secrets.token_hex(6)
        self._link, self._inside, self._end, self._drop = link, inside, end, drop
        self._is_over = False
        self.count = 0 if link.command.end is None else link.command.end.leftovers
        # Without its keeper it is ended, and over; without the streams it gets SIGPIPE from them.
        with suppress(LinkLost, OSError):
            link.request(protocol.HOLD, fds=streams)

    def is_over(self) -> bool:
        """Whether none of them lives any more."""
        if not self._is_over:
            if not self._link.lost:  # its host closes it
                self._link.take()
            if self._link.lost:
                self._close()
        return self._is_over

    async def aclose(self) -> None:
        """End them; returns when they are gone, also if it is cancelled. It may be repeated."""
        try:
            if not self.is_over():
                await self._end(self._link)
        finally:
            self._close()

    def _close(self) -> None:
        if not self._is_over:
            self._is_over = True
            self._drop(self._link)
            if self._inside is not None:
                self._inside.close()
