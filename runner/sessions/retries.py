"""The retries that a program announces in a turn: the last one, and which are put up with. Pure.

A program that asks its provider again by itself says so, and for how long it is going to wait. What
becomes of a turn whose program is told to stop is not known here (flight.py).
"""

from __future__ import annotations

import attrs

from runner.agents.events import ErrorClass, Retry

# How often in a row a program may ask its provider again that does not say how often it will at
# most: codex waits for a network without end, the fifth time after more than a minute (measured).
RETRIES = 5


@attrs.define(eq=False)
class Retries:
    """The retries of one turn.

    Attributes:
        last: the last one.
    """

    last: Retry | None = None
    _row: int = 0

    def take(self, retry: Retry, seconds: float) -> bool:
        """Note one; whether it is put up with, if there are so many seconds left for the turn."""
        self.last = retry
        self._row += 1
        is_endless = retry.of is None and self._row > RETRIES
        is_late = (retry.delay or 0.0) > seconds
        return not (retry.error is ErrorClass.AUTH or is_late or is_endless)

    def end_row(self) -> None:
        """The provider has answered: what comes now is another row."""
        self._row = 0

    @property
    def sentence(self) -> str:
        """What was about to be done when the last one was announced; empty if none was."""
        if self.last is None:
            return ""
        status = f" (status {self.last.status})" if self.last.status is not None else ""
        what = f": {self.last.message}" if self.last.message else ""
        return f"the program was about to ask its provider again{status}{what}"
