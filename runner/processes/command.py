"""How far a command is, and how it ended, as its keeper has reported. Values; no I/O."""

from __future__ import annotations

import signal
import time
from typing import Self

import attrs


@attrs.frozen(kw_only=True)
class End:
    """How a command ended: its leader's exit code, what else was ended, what could not be.

    Attributes:
        kept: whether the leftovers were not ended: their keeper looks after them.
        when: the leader's end on the monotonic clock, which all processes share.
    """

    exit_code: int
    leftovers: int
    remaining: int
    when: float
    kept: bool = False

    @classmethod
    def killed(cls) -> Self:
        """The end of what has lost its keeper: guardian or sweep kill what that had."""
        return cls(exit_code=-signal.SIGKILL, leftovers=0, remaining=0, when=time.monotonic())


@attrs.define(eq=False)
class Command:
    """How far a command is.

    Attributes:
        began: when it was sent, on the clock of `End.when`.
        leader: the leader's pid, once it has started and if that was asked for.
        error: the errno if it could not be started.
        is_directory: whether it was its directory that could not be entered.
        end: how it ended, once it has.
        lost: its keeper is gone.
        down: its keeper was lost, and what it had is gone by now.
        sweeps: sweeps that have been asked for and not been answered.
        answered: sweeps that have been answered.
        swept: how many processes they have ended.
    """

    began: float = attrs.field(factory=time.monotonic)
    leader: int | None = None
    error: int | None = None
    is_directory: bool = False
    end: End | None = None
    lost: bool = False
    down: bool = False
    sweeps: int = 0
    answered: int = 0
    swept: int = 0

    @property
    def settled(self) -> bool:
        """Whether its keeper has said how it ended."""
        return self.end is not None or self.error is not None

    @property
    def gone(self) -> bool:
        """Whether it is settled, and has left nothing that its keeper has kept."""
        return self.settled and not (self.end is not None and self.end.kept)

    @property
    def over(self) -> bool:
        """Whether nothing more will come of it."""
        return self.settled or self.lost
