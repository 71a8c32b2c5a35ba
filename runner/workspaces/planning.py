"""The exact steps from one tree to another: pure, so that they can be tried on any two trees.

Model. A plan is made of steps in an order in which each can be carried out, and of the contents
that are put in their places. Each step says what is to be so afterwards, not what to change: to
carry one out again changes nothing, so a plan that was cut off is carried out from its beginning.

    Loosen          a directory takes entries, whatever its mode was or will be
    Remove          an entry is gone, the deepest first
    MakeDirectory   a directory is there, the highest first
    Put             a content that is ready has this name; a file that was there is replaced
    SetMode         of a file that stays; of directories at the very end, the deepest first

What neither tree has is nobody's to remove: a directory that is to go, but has something else in
it, stays with that.

Hard links: the numbers of two trees' groups are not those of one time, so what is compared is
which names share a file. A file whose names differ from those that it is to have is made anew.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import TypeAlias

import attrs

from runner.backends.beneath import Names
from runner.workspaces.listing import EMPTY, Entry, EntryType
from runner.workspaces.objects import ObjectId

Listing: TypeAlias = Callable[[ObjectId], tuple[Entry, ...]]

ENTERED = 0o700  # what a directory's mode must have while its entries change


@attrs.frozen
class Loosen:
    """Let a directory take entries, as far as we may."""

    names: Names


@attrs.frozen
class Remove:
    """Remove a directory if it is one (and empty), or anything else if it is that."""

    names: Names
    directory: bool


@attrs.frozen
class MakeDirectory:
    """Have a directory there, which takes entries."""

    names: Names


@attrs.frozen
class Put:
    """Have a content there, which is ready under its number."""

    names: Names
    number: int


@attrs.frozen
class SetMode:
    """Give what is there its mode, if it is a directory, or is none, as is said here."""

    names: Names
    mode: int
    directory: bool


Step: TypeAlias = Loosen | Remove | MakeDirectory | Put | SetMode


@attrs.frozen
class Plan:
    """How one tree becomes another.

    Attributes:
        steps: in their order.
        contents: what is put somewhere, by number; those of one group are one file.
    """

    steps: tuple[Step, ...]
    contents: tuple[Entry, ...]


def plan(listing: Listing, before: ObjectId, after: ObjectId) -> Plan:
    """The steps that make the tree `before` the tree `after`; the ids are those of roots."""
    making = _Making(listing)
    making.compare(before, after)
    if making.grouped:
        making.group(before, after)
    return making.plan()


def walk(listing: Listing, root: ObjectId) -> Iterator[tuple[Names, Entry]]:
    """All entries of a tree with their names, a directory before what is in it."""
    pending: list[tuple[Names, ObjectId]] = [((), root)]
    while pending:
        above, id_ = pending.pop()
        for entry in listing(id_):
            names = (*above, os.fsdecode(entry.name))
            yield names, entry
            if entry.type is EntryType.DIRECTORY:
                pending.append((names, entry.id))


def same(one: Entry, other: Entry) -> bool:
    """Whether they are the same but for their groups (and names)."""
    return (one.type, one.mode, one.id, one.size) == (other.type, other.mode, other.id, other.size)


class _Making:
    """A plan in the making."""

    def __init__(self, listing: Listing) -> None:
        self.listing: Listing = lambda id_: () if id_ == EMPTY.id else listing(id_)
        self.grouped = False  # whether hard links have a part in what differs
        self._loosened: dict[Names, None] = {}
        self._removed: list[Remove] = []
        self._made: list[MakeDirectory] = []
        self._put: dict[Names, Entry] = {}
        self._modes: list[SetMode] = []
        self._directory_modes: dict[Names, int] = {}

    def plan(self) -> Plan:
        """What came of it."""
        steps: list[Step] = [Loosen(names) for names in sorted(self._loosened, key=len)]
        steps += reversed(self._removed)
        steps += self._made
        steps += [Put(names, number) for number, names in enumerate(self._put)]
        steps += [each for each in self._modes if each.names not in self._put]
        deepest = sorted(self._directory_modes.items(), key=lambda item: -len(item[0]))
        steps += [SetMode(names, mode, directory=True) for names, mode in deepest]
        return Plan(tuple(steps), tuple(self._put.values()))

    def compare(self, before: ObjectId, after: ObjectId) -> None:
        """Find what differs; equal listings are not looked into."""
        pending: list[tuple[Names, ObjectId, ObjectId]] = [((), before, after)]
        while pending:
            above, old_id, new_id = pending.pop()
            if old_id == new_id:
                continue
            old = {each.name: each for each in self.listing(old_id)}
            new = {each.name: each for each in self.listing(new_id)}
            for name in sorted(old.keys() | new.keys()):
                was, is_ = old.get(name), new.get(name)
                if was == is_:
                    continue
                names = (*above, os.fsdecode(name))
                if was is not None and is_ is not None and was.type is is_.type:
                    if is_.type is EntryType.DIRECTORY:
                        self._stay(names, was, is_)
                        pending.append((names, was.id, is_.id))
                    else:
                        self._change(names, was, is_)
                    continue
                self._become(names, was, is_)

    def _stay(self, names: Names, was: Entry, is_: Entry) -> None:
        """A directory stays one."""
        if was.id != is_.id:
            self._enter(names, was.mode, is_.mode)
        if was.mode != is_.mode:
            self._directory_modes[names] = is_.mode

    def _enter(self, names: Names, was: int, is_: int) -> None:
        """Entries of a directory that stays change; it may keep others out, before or after."""
        if was & is_ & ENTERED != ENTERED:
            self._loosened[names] = None
            self._directory_modes[names] = is_

    def _change(self, names: Names, was: Entry, is_: Entry) -> None:
        """What is no directory stays of its type."""
        if was.group or is_.group:
            self.grouped = True
            if same(was, is_):
                return  # `group` says whether that is all
        if was.group == is_.group == 0 and (was.id, was.size) == (is_.id, is_.size):
            self._modes.append(SetMode(names, is_.mode, directory=False))
        else:
            self._put[names] = is_

    def _become(self, names: Names, was: Entry | None, is_: Entry | None) -> None:
        """Something comes, goes, or becomes a directory or ceases to be one."""
        if was is not None and was.type is EntryType.DIRECTORY:
            self._remove(names, was)
        elif was is not None:
            self.grouped = self.grouped or bool(was.group)
            if is_ is None or is_.type is EntryType.DIRECTORY:
                self._removed.append(Remove(names, directory=False))
        if is_ is not None and is_.type is EntryType.DIRECTORY:
            self._make(names, is_)
        elif is_ is not None:
            self._add(names, is_)

    def _remove(self, names: Names, entry: Entry) -> None:
        """A directory goes, with all that it is known to have."""
        self._leave(names, entry)
        for inner, each in walk(self.listing, entry.id):
            if each.type is EntryType.DIRECTORY:
                self._leave((*names, *inner), each)
            else:
                self.grouped = self.grouped or bool(each.group)
                self._removed.append(Remove((*names, *inner), directory=False))

    def _leave(self, names: Names, entry: Entry) -> None:
        if entry.mode & ENTERED != ENTERED:
            self._loosened[names] = None
        self._removed.append(Remove(names, directory=True))

    def _make(self, names: Names, entry: Entry) -> None:
        """A directory comes, with all that is in it."""
        self._made.append(MakeDirectory(names))
        self._directory_modes[names] = entry.mode
        for inner, each in walk(self.listing, entry.id):
            if each.type is EntryType.DIRECTORY:
                self._made.append(MakeDirectory((*names, *inner)))
                self._directory_modes[*names, *inner] = each.mode
            else:
                self._add((*names, *inner), each)

    def _add(self, names: Names, entry: Entry) -> None:
        self.grouped = self.grouped or bool(entry.group)
        self._put[names] = entry

    # ------------------------------------------------------------ hard links

    def group(self, before: ObjectId, after: ObjectId) -> None:
        """Make anew the files whose names are not those that they are to have.

        Both trees are looked at whole: other names of a file may stand where nothing differs.
        """
        old = dict(walk(self.listing, before))
        shared = _by_group(old)
        new = dict(walk(self.listing, after))
        files = _by_group(new)
        alone = [[names] for names, entry in new.items() if _is_alone(entry, files)]
        taken: set[int] = set()  # files of before that are one of after's already
        for members in [*files.values(), *alone]:
            if self._is_one(members, old, new, shared, taken):
                continue
            for names in members:
                self._put[names] = new[names]
                self._come_to(names, old, new)

    def _is_one(
        self,
        members: list[Names],
        old: dict[Names, Entry],
        new: dict[Names, Entry],
        shared: dict[int, list[Names]],
        taken: set[int],
    ) -> bool:
        """Whether these names are one file already that no others are to share."""
        was = [old.get(names) for names in members]
        group = was[0].group if was[0] is not None else 0
        if len(members) == 1 and group not in shared:
            return True  # one name before and after: compared already
        for names, entry in zip(members, was, strict=True):
            if entry is None or entry.group != group or not same(entry, new[names]):
                return False
        if not group or group in taken:
            return False
        taken.add(group)
        return True

    def _come_to(self, names: Names, old: dict[Names, Entry], new: dict[Names, Entry]) -> None:
        """Let the directories above take entries, also where nothing else differs."""
        for depth in range(1, len(names)):
            was, is_ = old.get(names[:depth]), new[names[:depth]]
            if was is not None and was.type is EntryType.DIRECTORY:
                self._enter(names[:depth], was.mode, is_.mode)


def _by_group(tree: dict[Names, Entry]) -> dict[int, list[Names]]:
    """The names of each file that has several of them in the tree."""
    found: defaultdict[int, list[Names]] = defaultdict(list)
    for names, entry in tree.items():
        if entry.group:
            found[entry.group].append(names)
    return {group: names for group, names in found.items() if len(names) > 1}


def _is_alone(entry: Entry, files: dict[int, list[Names]]) -> bool:
    return entry.type is not EntryType.DIRECTORY and entry.group not in files


def everything(listing: Listing, root: ObjectId) -> Plan:
    """The steps that make an empty directory the tree."""
    return plan(listing, EMPTY.id, root)
