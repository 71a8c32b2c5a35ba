"""What is seen of a live tree: its root, for the store; and glances, for the audit.

It is looked at by a `Looker`, whatever way the tree was made: one that is made when it is needed
first, and knows more each time. What it knows is kept when it is closed.

For a thread, one at a time; a glance may be had beside that.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

import attrs

from runner.backends.threads import breathe
from runner.errors import ObjectMissing, WorkspaceError
from runner.watching.columns import State
from runner.watching.files import Tree
from runner.watching.patterns import Rules
from runner.workspaces.capturing import Captured
from runner.workspaces.glancing import short_walk
from runner.workspaces.listing import Entry
from runner.workspaces.store import Store
from runner.workspaces.uppers import opaque
from runner.workspaces.ways import Place


class Looker(Protocol):
    """Looks at a live tree: whatever way that was made."""

    def take(self, *, verify: bool = False, check: Callable[[], object] = ...) -> Captured:
        """The tree as it is now."""
        ...

    def glance(self) -> Tree | None:
        """Its files as hints have them; None where there are none."""
        ...

    def known(self, states: Mapping[str, State | None]) -> dict[str, Entry]:
        """What was captured of files that are still in these states."""
        ...

    def close(self) -> None:
        """Save what is known."""
        ...


@attrs.define(eq=False)
class Looking:
    """What is seen of a live tree.

    Attributes:
        store: of its project.
        rules: which files are in no snapshot.
        place: the workspace's own directory.
        root: where its files are reached.
        name: what the workspace is called, for errors.
        is_overlay: whether what was not changed is the base's own.
        looker: looks at it; None until that is asked for.
    """

    store: Store
    rules: Rules
    place: str
    root: str
    name: str
    is_overlay: bool = False
    looker: Looker | None = None

    def take(self, *, verify: bool = False) -> Captured:
        """The root of the tree; its objects are in the store.

        Raises:
            WorkspaceError: the tree cannot be read.
            StoreError: the store cannot keep it.
        """
        try:
            return self._take(verify=verify)
        except ObjectMissing:  # another process has dropped what nobody named any more
            return self._take(verify=True)

    def _take(self, *, verify: bool) -> Captured:
        assert self.looker is not None
        try:
            return self.looker.take(verify=verify, check=breathe)
        except OSError as exc:
            what = f"the workspace {self.name!r} cannot be read: {exc.strerror}"
            raise WorkspaceError(f"{what} ({Place.at(self.place).tree!r})") from exc

    def look_anew(self) -> None:
        """Begin anew the next time, with what is known by then."""
        looker, self.looker = self.looker, None
        if looker is not None:
            looker.close()

    def glance(self) -> Tree | None:
        """Its files, of an overlay those of its upper directory; None = that would take long."""
        if self.is_overlay:
            return short_walk(Place.at(self.place).upper, self.rules)
        hinted = None if self.looker is None else self.looker.glance()
        return short_walk(self.root, self.rules) if hinted is None else hinted

    def opaque(self, tree: Tree) -> frozenset[str]:
        """Of an overlay: the directories of a glance through which the base does not shine."""
        if not self.is_overlay:
            return frozenset()
        return opaque(Place.at(self.place).upper, tree.folders)

    def known(self, states: Mapping[str, State | None]) -> dict[str, Entry]:
        """What was captured of files that are still in these states."""
        return {} if self.looker is None else self.looker.known(states)
