"""What the directories of many sessions have in common: who is at work where, and their watches.

Two turns in one directory, or in one inside the other, see each other's changes: nobody can say
whose a change was. So both say that they share it, from the moment on at which both are at work.
Of sessions of other processes the ledger tells (ledger.py).
"""

from __future__ import annotations

import attrs

from runner.watching.allowance import Allowance


@attrs.define(eq=False)
class Stay:
    """A turn at work in a directory.

    Attributes:
        directory: its real path, with a slash at the end.
        shared: whether another turn was at work there at the same time.
    """

    directory: str
    shared: bool = False


@attrs.define(eq=False)
class Places:
    """What all sessions of one runner know of each other's directories.

    Attributes:
        allowance: how many watches they may have together.
    """

    allowance: Allowance = attrs.field(factory=Allowance)
    _stays: set[Stay] = attrs.field(factory=set)

    def enter(self, directory: str) -> Stay:
        """A turn begins in a directory: its real path."""
        stay = Stay(directory.rstrip("/") + "/")
        for other in self._stays:
            one, two = sorted((stay.directory, other.directory), key=len)
            if two.startswith(one):
                stay.shared = other.shared = True
        self._stays.add(stay)
        return stay

    def leave(self, stay: Stay) -> None:
        """It is over; may be said again."""
        self._stays.discard(stay)
