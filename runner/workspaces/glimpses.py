"""Glances at live trees, as values: what one was, what changed since, what can be looked at.

What is not here: glancing (glancing.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, TypeAlias

import attrs

from runner.watching.columns import State
from runner.watching.files import Tree
from runner.watching.patterns import Rules
from runner.watching.walking import Walk
from runner.workspaces.listing import Entry
from runner.workspaces.records import AuditRecord
from runner.workspaces.store import Store
from runner.workspaces.witness import Seen

ENTRIES = 4096  # of a tree that is walked through for a glance, rather than watched
WALKED = 20_000  # of one that cannot be watched
WATCHED = 500_000  # of one that is walked through once, to be watched from then on
# A path, what stood there, and what stands there.
Path: TypeAlias = tuple[str, Seen | None, Seen | None]
Pairs: TypeAlias = dict[str, tuple[State | None, State | None]]


@attrs.define(eq=False)
class Glimpse:
    """A live tree as it was when a program began.

    Attributes:
        tree: its files; None = it could not be had.
        opaque: of an overlay: directories through which the base did not shine.
        why: it could not be had.
        told: what was written down of other acts since, by path.
        is_spoiled: all of it was replaced since.
        is_shared: something else ran in it meanwhile, whose changes cannot be told apart.
    """

    tree: Tree | None
    opaque: frozenset[str] = frozenset()
    why: str = ""
    told: dict[str, AuditRecord] = attrs.field(factory=dict)
    is_spoiled: bool = False
    is_shared: bool = False


class Unseen(Exception):
    """There is no glance to be had; why, for people."""


@attrs.frozen
class Found:
    """What changed between two glances.

    Attributes:
        count: how many paths; None if that is not known.
        paths: what stood at each before, and what after; empty if they are more than `MOST`.
        moved: where each file has come from that was moved, by its path.
        why: it is not known.
    """

    count: int | None
    paths: tuple[Path, ...] = ()
    moved: Mapping[str, str] = attrs.field(factory=dict)
    why: str = ""


class Glanced(Protocol):
    """A live tree that can be glanced at."""

    store: Store
    rules: Rules
    root: str
    remembered: dict[str, tuple[State, Seen]]

    @property
    def is_blind(self) -> bool:
        """Whether it is not known what is below it, if it is an overlay."""

    def glance(self) -> Tree:
        """Its files, or those of its upper directory; raises Unseen if that would take long."""

    def opaque(self, tree: Tree) -> frozenset[str]:
        """Of an overlay: the directories through which the base does not shine."""

    def known(self, states: Mapping[str, State | None]) -> dict[str, Entry]:
        """What was captured of paths whose states are still these."""


def short_walk(directory: str, rules: Rules, most: int | None = None) -> Tree | None:
    """The files of a directory that has few; else None."""
    walk = Walk(directory, rules)
    try:
        return walk.tree if walk.advance(most or ENTRIES, float("inf")) else None
    finally:
        walk.close()
