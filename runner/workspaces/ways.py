"""Ways to make a live tree, and what is told of them. Values only, no I/O.

    overlay   what was not changed is the base's own: made at once, whatever the size
    reflink   each file shares its blocks with the base's, until one of the two is written
    copy      everything is copied; it works everywhere

The first that works is the best.
"""

from __future__ import annotations

import enum
import os

import attrs


class Way(enum.StrEnum):
    """How a live tree is made of a directory; the first that works is the best."""

    OVERLAY = "overlay"
    REFLINK = "reflink"
    COPY = "copy"


@attrs.frozen(kw_only=True)
class Probe:
    """Whether a way works, found out by trying it.

    Attributes:
        way: which one.
        works: whether it does.
        why: what it is made of; or why not, in a sentence.
        mend: how to get it; empty if it works, or nothing would help.
    """

    way: Way
    works: bool
    why: str
    mend: str = ""

    def __str__(self) -> str:
        return f"{self.way}: {self.why}" + (f" ({self.mend})" if self.mend else "")


@attrs.frozen(kw_only=True)
class Skipped:
    """Something of the base that is not in a copy of it.

    Attributes:
        path: from the base, with surrogate escapes.
        why: a few words.
    """

    path: str
    why: str


@attrs.frozen(kw_only=True)
class Made:
    """A live tree that is there for good.

    Attributes:
        way: how it was made.
        tree: its absolute path, as programs in it see it.
        why: why not by a better way, or what that way is made of here.
        skipped: what of the base is not in it: sockets, devices.
    """

    way: Way
    tree: str
    why: str
    skipped: tuple[Skipped, ...] = ()


@attrs.frozen(kw_only=True)
class Place:
    """The directory of a workspace, and what stands in it.

    Attributes:
        path: absolute, and without links.
    """

    path: str

    @classmethod
    def at(cls, path: str | os.PathLike[str]) -> Place:
        """The place of a path: its parent's links are followed, now and for good."""
        parent, name = os.path.split(os.path.abspath(path))
        return cls(path=os.path.join(os.path.realpath(parent), name))

    @property
    def tree(self) -> str:
        """The live tree. It is there last: what has it is whole."""
        return os.path.join(self.path, "tree")

    @property
    def upper(self) -> str:
        """What was changed of the base, of an overlay."""
        return os.path.join(self.path, "upper")

    @property
    def work(self) -> str:
        """The kernel's, of an overlay."""
        return os.path.join(self.path, "work")

    @property
    def mounted(self) -> str:
        """Says which mount of an overlay was the last."""
        return os.path.join(self.path, "mounted")

    @property
    def making(self) -> str:
        """What is not whole yet."""
        return os.path.join(self.path, "making")
