"""A plan makes any tree exactly any other, also if it is carried out again from the beginning."""

from __future__ import annotations

import random

import attrs
import pytest

from runner.errors import StoreDamaged
from runner.workspaces import step_rows
from runner.workspaces.listing import EMPTY, Entry, EntryType, encode
from runner.workspaces.objects import NO_ID, ObjectId, content
from runner.workspaces.planning import (
    ENTERED,
    Loosen,
    MakeDirectory,
    Put,
    Remove,
    SetMode,
    everything,
    plan,
    walk,
)

NAMES = [b"a", b"b", b"c", b"\xff"]
MODES = [0o755, 0o555, 0o000, 0o300]


class Model:
    """A tree as the kernel would have it: names, inodes, and rights that are kept."""

    def __init__(self, listing, root):
        self.listing = listing
        self.at = {(): {"kind": EntryType.DIRECTORY, "mode": 0o755}}
        inodes = {}
        for names, entry in walk(listing, root):
            inode = inodes.setdefault(entry.group or names, {"entry": entry, "mode": entry.mode})
            inode["kind"] = entry.type
            self.at[names] = inode

    def enter(self, names):
        above = self.at[names[:-1]]
        assert above["kind"] is EntryType.DIRECTORY
        for depth in range(len(names)):
            assert self.at[names[:depth]]["mode"] & ENTERED == ENTERED or depth == 0
        return above

    def look(self, names):
        """Nobody sees what is in a directory that is shut."""
        for depth in range(1, len(names)):
            above = self.at.get(names[:depth])
            if above is None or above["kind"] is not EntryType.DIRECTORY:
                return
            assert above["mode"] & 0o100

    def carry_out(self, made, steps):  # noqa: C901 - one step of each kind
        ready = self.ready
        for step in steps:
            self.look(step.names)
            there = self.at.get(step.names)
            match step:
                case Loosen():
                    if there is not None and there["kind"] is EntryType.DIRECTORY:
                        there["mode"] |= ENTERED
                case Remove():
                    if there is None:
                        continue
                    if (there["kind"] is EntryType.DIRECTORY) is not step.directory:
                        continue
                    self.enter(step.names)
                    assert not any(each[:-1] == step.names for each in self.at if each)
                    del self.at[step.names]
                case MakeDirectory():
                    if there is None:
                        self.enter(step.names)
                        self.at[step.names] = {"kind": EntryType.DIRECTORY, "mode": ENTERED}
                    else:
                        assert there["kind"] is EntryType.DIRECTORY
                        there["mode"] |= ENTERED
                case Put():
                    if step.number in ready:
                        self.enter(step.names)
                        assert there is None or there["kind"] is not EntryType.DIRECTORY
                        self.at[step.names] = ready.pop(step.number)
                case SetMode():
                    if there and (there["kind"] is EntryType.DIRECTORY) is step.directory:
                        there["mode"] = step.mode

    def make_ready(self, made):
        files = {}
        self.ready = {
            number: files.setdefault(
                entry.group or -1 - number,
                {"kind": entry.type, "mode": entry.mode, "entry": entry},
            )
            for number, entry in enumerate(made.contents)
        }

    def seen(self):
        first = {}
        found = {}
        for names in sorted(self.at):
            inode = self.at[names]
            entry = inode.get("entry") if inode["kind"] is not EntryType.DIRECTORY else None
            shared = first.setdefault(id(inode), names)
            content = (entry.id, entry.size) if entry else None
            found[names] = (inode["kind"], inode["mode"], content, shared)
        found.pop(())
        return found


class Trees:
    def __init__(self, seed):
        self.random = random.Random(seed)
        self.listings = {EMPTY.id: ()}
        self.groups = {}
        self.prefix = 0

    def listing(self, id_):
        return self.listings[id_]

    def file(self, name):
        data = self.random.choice([b"x", b"y"])
        mode = self.random.choice([0o644, 0o755])
        group = 0
        if self.random.random() < 0.4:  # one of few files that have several names
            number = self.prefix + self.random.randrange(3)
            data, mode = self.groups.setdefault(number, (data, mode))
            group = number
        return Entry(name, EntryType.FILE, mode, content(data).id, len(data), group)

    def entry(self, name, depth):
        kind = self.random.random()
        if kind < 0.5 or depth == 0:
            return self.file(name)
        if kind < 0.6:
            return Entry(name, EntryType.LINK, 0, content(b"target").id)
        if kind < 0.65:
            return Entry(name, EntryType.FIFO, self.random.choice([0o600, 0o644]), NO_ID)
        return Entry(name, EntryType.DIRECTORY, self.random.choice(MODES), self.tree(depth - 1))

    def tree(self, depth, old=None):
        entries = []
        olds = {each.name: each for each in self.listing(old)} if old else {}
        for name in NAMES:
            kind = self.random.random()
            if name in olds and kind < 0.5:
                entries.append(self.aged(olds[name], depth))
            elif kind < 0.8:
                entries.append(self.entry(name, depth))
        made = encode(entries)
        self.listings[made.id] = tuple(sorted(entries, key=lambda each: each.name))
        return made.id

    def aged(self, entry, depth):
        """The same a while later: files may have got another number by then, all that had it."""
        if entry.type is EntryType.DIRECTORY:
            return attrs.evolve(entry, id=self.tree(depth - 1, entry.id)) if depth else entry
        if entry.group and self.renumbered:
            return attrs.evolve(entry, group=entry.group + 100)
        return entry

    def pair(self):
        self.prefix, self.renumbered = 10, False
        before = self.tree(3)
        self.renumbered = self.random.random() < 0.5
        if self.renumbered:
            self.groups.update({key + 100: each for key, each in self.groups.items()})
        self.prefix = self.random.choice([10, 50, 110])
        return before, self.tree(3, before)


@pytest.mark.parametrize("part", range(4))
def test_a_plan_makes_any_tree_exactly_any_other_wherever_it_is_cut(part):
    for seed in range(part * 50, part * 50 + 50):
        make_any_other(Trees(seed))


def make_any_other(trees):
    before, after = trees.pair()
    made = plan(trees.listing, before, after)
    wanted = Model(trees.listing, after).seen()
    cuts = {0, len(made.steps), *(trees.random.randrange(len(made.steps) + 1) for _ in range(3))}
    for cut in cuts:
        model = Model(trees.listing, before)
        model.make_ready(made)

        model.carry_out(made, made.steps[:cut])
        model.carry_out(made, made.steps)

        assert model.seen() == wanted
    assert step_rows.decode(step_rows.encode(made.steps)) == made.steps
    assert plan(trees.listing, after, after).steps == ()
    model = Model(trees.listing, EMPTY.id)
    made = everything(trees.listing, after)
    model.make_ready(made)
    model.carry_out(made, made.steps)
    assert model.seen() == wanted


def test_files_that_only_got_other_numbers_are_left_alone():
    data = content(b"x")
    listings = {}

    def tree(group, *names):
        entries = [Entry(name, EntryType.FILE, 0o644, data.id, 1, group) for name in names]
        made = encode(entries)
        listings[made.id] = tuple(entries)
        return made.id

    assert plan(listings.get, tree(7, b"a", b"b"), tree(8, b"a", b"b")).steps == ()
    assert plan(listings.get, tree(7, b"a"), tree(0, b"a")).steps == ()
    split = plan(listings.get, tree(7, b"a", b"b"), tree(0, b"a", b"b"))
    assert split.steps == (Put(("b",), 0),)


def test_a_file_that_is_to_have_another_name_is_reached_in_directories_that_are_shut():
    data, listings = content(b"x"), {}

    def tree(*entries):
        made = encode(entries)
        listings[made.id] = tuple(entries)
        return made.id

    def file(name, group):
        return Entry(name, EntryType.FILE, 0o644, data.id, 1, group)

    inner = tree(Entry(b"in", EntryType.DIRECTORY, 0o755, tree(file(b"one", 7))))
    shut = Entry(b"shut", EntryType.DIRECTORY, 0o555, inner)

    made = plan(listings.get, tree(shut), tree(file(b"other", 7), shut))

    assert made.steps == (
        Loosen(("shut",)),
        Put(("other",), 0),
        Put(("shut", "in", "one"), 1),
        SetMode(("shut",), 0o555, directory=True),
    )


@pytest.mark.parametrize("row", [{}, [["jump", "a"]], [["put", "a", "1"]], [1], None])
def test_a_row_that_is_no_steps_is_damaged(row):
    with pytest.raises(StoreDamaged, match="step that is none"):
        step_rows.decode(row)


def test_ids_are_those_of_listings():
    assert ObjectId(EMPTY.id) == encode(()).id
