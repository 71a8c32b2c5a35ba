"""What the directories of many sessions have in common: who is at work where, and how many watches.

Two turns in one directory, or in one inside the other, see each other's changes: nobody can say
whose a change was. So both say that they share it, from the moment on at which both are at work.
Of sessions of other processes the ledger tells (ledger.py).

The system's limit on watches is for everything that its user runs: we take an eighth at most, of
instances and of watches. Everything that changes either lives here.
"""

from __future__ import annotations

import attrs

from runner.sessions import inotify

SHARE = 8


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
    """What all sessions of one runner know of each other's directories."""

    watches: int = attrs.field(factory=lambda: inotify.limit("max_user_watches") // SHARE)
    instances: int = attrs.field(factory=lambda: inotify.limit("max_user_instances") // SHARE)
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

    def take_instance(self) -> bool:
        """Have one instance of inotify, if there is one left."""
        if self.instances <= 0:
            return False
        self.instances -= 1
        return True

    def take_watch(self) -> bool:
        """Have one watch, if there is one left."""
        if self.watches <= 0:
            return False
        self.watches -= 1
        return True

    def give_back(self, *, instances: int = 0, watches: int = 0) -> None:
        """Have them no more."""
        self.instances += instances
        self.watches += watches
