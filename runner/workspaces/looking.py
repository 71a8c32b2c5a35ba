"""What is seen of a live tree: its root, for the store; and glances, for the audit.

It is looked at by a `Looker`, whatever way the tree was made: one that is made when it is needed
first, and knows more each time. What it knows is kept when it is closed. Of a capture that takes
long there is a lease (leasing.py), until the next one, or the end.

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
from runner.workspaces import glimpses
from runner.workspaces.capturing import Captured
from runner.workspaces.glimpses import Unseen, short_walk
from runner.workspaces.leasing import Lease
from runner.workspaces.listing import Entry
from runner.workspaces.store import Store
from runner.workspaces.uppers import opaque
from runner.workspaces.ways import Place
from runner.workspaces.witness import Seen


class Looker(Protocol):
    """Looks at a live tree: whatever way that was made."""

    def take(self, *, verify: bool = False, check: Callable[[], object] = ...) -> Captured:
        """The tree as it is now."""
        ...

    def glance(self) -> Tree | None:
        """Its files as hints have them; None where there are none."""
        ...

    def watch(self, most: int) -> bool:
        """Have hints from now on, if it has no more entries than that; whether there are some."""
        ...

    def known(self, states: Mapping[str, State | None]) -> dict[str, Entry]:
        """What was captured of files that are still in these states."""
        ...

    def close(self) -> None:
        """Save what is known."""
        ...


def _nothing() -> None:
    """There is no looker to be had."""


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
        make: makes the looker; None if that cannot be yet.
        remembered: what glances saw of changed files, by path, and in which state that was.
    """

    store: Store
    rules: Rules
    place: str
    root: str
    name: str
    is_overlay: bool = False
    looker: Looker | None = None
    make: Callable[[], Looker | None] = _nothing
    remembered: dict[str, tuple[State, Seen]] = attrs.field(factory=dict)
    _lease: Lease | None = None

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
        lease = self._lease_anew()

        def check() -> None:
            breathe()
            lease.take_if_long()

        try:
            return self.looker.take(verify=verify, check=check)
        except OSError as exc:
            what = f"the workspace {self.name!r} cannot be read: {exc.strerror}"
            raise WorkspaceError(f"{what} ({Place.at(self.place).tree!r})") from exc

    def look_anew(self) -> None:
        """Begin anew the next time, with what is known by then."""
        lease, self._lease = self._lease, None
        if lease is not None:
            lease.end()
        looker, self.looker = self.looker, None
        if looker is not None:
            looker.close()

    def _lease_anew(self) -> Lease:
        """What was captured before is named by now, or never will be."""
        if self._lease is not None:
            self._lease.end()
        self._lease = self.store.lease()
        return self._lease

    def glance(self) -> Tree:
        """Its files, of an overlay those of its upper directory.

        Raises:
            Unseen: that would take long.
        """
        if self.is_overlay:
            return self._walked(Place.at(self.place).upper)
        found = self._hinted() or short_walk(self.root, self.rules)
        if found is None and self.see() and self._watched():
            found = self._hinted()
        return found or self._walked(self.root)

    def _hinted(self) -> Tree | None:
        return None if self.looker is None else self.looker.glance()

    def _watched(self) -> bool:
        assert self.looker is not None
        return self.looker.watch(glimpses.WATCHED)

    def _walked(self, directory: str) -> Tree:
        most = glimpses.WALKED
        found = short_walk(directory, self.rules, most)
        if found is None:
            raise Unseen(f"there are more than {most:,} files to look at, and no hints")
        return found

    @property
    def is_blind(self) -> bool:
        """Whether it is not known what is below it, if it is an overlay."""
        return self.is_overlay and self.looker is None

    def see(self) -> bool:
        """Have a looker, if there can be one; of an overlay, once its base is known."""
        if self.looker is None:
            self.looker = self.make()
        return self.looker is not None

    def opaque(self, tree: Tree) -> frozenset[str]:
        """Of an overlay: the directories of a glance through which the base does not shine."""
        if not self.is_overlay:
            return frozenset()
        return opaque(Place.at(self.place).upper, tree.folders)

    def known(self, states: Mapping[str, State | None]) -> dict[str, Entry]:
        """What was captured of files that are still in these states."""
        return self.looker.known(states) if self.see() and self.looker is not None else {}
