"""Writing to a program: by one task only, so that no cancelled caller can tear a line.

Half a line ends claude. What is to be written is put down at once, and goes out in its order; who
puts it down does not wait.
"""

from __future__ import annotations

import attrs
import trio

from runner.sessions.credentials import Blanks
from runner.sessions.traffic import Traffic


@attrs.define(eq=False)
class Writer:
    """What is to be written to a program, and who does it.

    Attributes:
        traffic: gets what is written.
        blanks: filled in on the way, after that.
    """

    traffic: Traffic
    blanks: Blanks
    _unsent: trio.Event = attrs.field(factory=trio.Event)
    _outgoing: list[bytes] = attrs.field(factory=list)

    def put(self, data: bytes) -> None:
        """Have it written; nothing if it is empty."""
        if data:  # mostly nothing: then nobody is woken
            self._outgoing.append(data)
            self._unsent.set()

    async def write_to(self, stdin: trio.abc.SendStream) -> None:
        """Write until cancelled, or until the program has closed its input."""
        try:
            while True:
                await self._unsent.wait()
                self._unsent = trio.Event()
                data = b"".join(self._outgoing)
                self._outgoing.clear()
                self.traffic.send(data)
                await stdin.send_all(self.blanks.fill(data))
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # its end is seen elsewhere
