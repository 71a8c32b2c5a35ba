"""Which trees a turn is compared by: the one before it, and the one after it.

A turn that follows another directly begins with the tree that the other ended with, which is kept
for it; so a directory is looked at once a turn and not twice. What is not here: looking at it, and
what has changed (changes.py).
"""

from __future__ import annotations

import attrs
import trio

from runner.sessions.changes import Changes, Scanner, Tree

# A tree of more files than this is not kept for a turn that does not follow at once.
SMALL_TREE = 1000


@attrs.define(eq=False)
class Trees:
    """The trees of one session's directory."""

    scanner: Scanner
    _kept: tuple[float, Tree] | None = None  # the scan after the last turn, and when it began

    async def before(self, asked: float | None) -> Tree:
        """The tree before a turn.

        Args:
            asked: when the turn was asked for; None if that is not known.
        """
        kept, self._kept = self._kept, None
        if kept is not None and asked is not None and asked <= kept[0]:
            return kept[1]
        return await self.scanner.scan()

    async def compare(self, before: Tree, nursery: trio.Nursery) -> Changes:
        """What the turn that is over has changed.

        Args:
            before: the tree before it.
            nursery: where something may wait a second to forget the tree after it.
        """
        began = trio.current_time()
        tree = await self.scanner.scan()
        self._kept = kept = (began, tree)
        if len(tree) > SMALL_TREE:
            nursery.start_soon(self._forget_soon, kept)
        return await self.scanner.compare(before, tree)

    def forget(self) -> None:
        """Keep nothing: no turn follows directly."""
        self._kept = None

    async def _forget_soon(self, kept: tuple[float, Tree]) -> None:
        """What follows directly has been called up by now; it would only fill the memory."""
        await trio.sleep(1.0)
        if self._kept is kept:
            self._kept = None
