"""What a process left behind, and which of its limits was met: each is told once."""

from __future__ import annotations

import attrs

from runner.messages import Limit
from runner.processes.process import Process


@attrs.define(eq=False)
class Remains:
    """What of one process has been told.

    Attributes:
        process: which; None = one that is over, of which the rest is known.
        left: how many processes it left behind, if it is over.
        exceeded: the limit that ended it or one of its processes.
    """

    process: Process | None = None
    left: int = 0
    exceeded: Limit | None = None
    _counted: int = 0
    _told: Limit | None = None

    def take_left(self) -> int:
        """How many were left behind, and ended, that were not taken by this before."""
        counted = self._counted
        self._counted = self.left if self.process is None else self.process.leftovers
        return self._counted - counted

    def take_exceeded(self, *, is_over: bool) -> Limit | None:
        """The limit, unless that was taken before; of a process that is over, in any case."""
        if self.exceeded is None and self.process is not None:
            self.exceeded = self.process.limit_exceeded
        told, self._told = self._told, self.exceeded
        return self.exceeded if told is None or is_over else None
