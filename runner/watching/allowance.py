"""How many watches we may have: the system's limit on them is for everything that its user runs.

We take an eighth at most, of instances and of watches. Everything that changes either lives here.
"""

from __future__ import annotations

import attrs

from runner.watching import inotify

SHARE = 8


@attrs.define(eq=False)
class Allowance:
    """What is left of both for all of one runner."""

    watches: int = attrs.field(factory=lambda: inotify.limit("max_user_watches") // SHARE)
    instances: int = attrs.field(factory=lambda: inotify.limit("max_user_instances") // SHARE)

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
