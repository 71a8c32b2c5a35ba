from __future__ import annotations

import random

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.errors import StoreDamaged
from runner.workspaces.listing import EMPTY, HEADER, Entry, EntryType, decode, encode
from runner.workspaces.objects import NO_ID, Kind, content, make

ID = content(b"x").id
FILE = Entry(b"file", EntryType.FILE, 0o644, ID, 1)
DIRECTORY = Entry(b"dir", EntryType.DIRECTORY, 0o755, EMPTY.id)
LINK = Entry(b"link", EntryType.LINK, 0, ID)
FIFO = Entry(b"fifo", EntryType.FIFO, 0o600, NO_ID)

NAMES = st.binary(min_size=1, max_size=255).filter(
    lambda each: not {b"/", b"\0"} & {bytes([one]) for one in each} and each not in {b".", b".."}
)
REAL_IDS = st.binary(min_size=32, max_size=32).filter(lambda each: each != NO_ID)
MODES = st.integers(0, 0o1777)
NUMBERS = st.integers(0, (1 << 64) - 1)
ENTRIES = st.one_of(
    st.builds(Entry, NAMES, st.just(EntryType.FILE), MODES, REAL_IDS, NUMBERS, NUMBERS),
    st.builds(Entry, NAMES, st.just(EntryType.DIRECTORY), MODES, REAL_IDS),
    st.builds(Entry, NAMES, st.just(EntryType.LINK), st.just(0), REAL_IDS, st.just(0), NUMBERS),
    st.builds(Entry, NAMES, st.just(EntryType.FIFO), MODES, st.just(NO_ID), st.just(0), NUMBERS),
)


@given(st.lists(ENTRIES, unique_by=lambda each: each.name, max_size=20), st.randoms())
def test_a_listing_comes_back_sorted_and_does_not_depend_on_the_order(entries, chance):
    shuffled = list(entries)
    chance.shuffle(shuffled)

    found = encode(entries)

    assert found == encode(shuffled) == make(Kind.LISTING, found.data)
    assert decode(found.data) == tuple(sorted(entries, key=lambda each: each.name))


def test_the_empty_listing_is_the_root_of_an_empty_tree():
    assert decode(EMPTY.data) == ()
    assert EMPTY == encode([])
    assert EMPTY.data == HEADER


def test_all_types_stand_in_one_listing():
    entries = (DIRECTORY, FIFO, FILE, LINK)

    assert decode(encode(reversed(entries)).data) == entries


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        (attrs.evolve(FILE, name=b""), "has no name"),
        (attrs.evolve(FILE, name=b"a/b"), "no file can have"),
        (attrs.evolve(FILE, name=b"a\0"), "no file can have"),
        (attrs.evolve(FILE, name=b"."), "no file can have"),
        (attrs.evolve(FILE, name=b".."), "no file can have"),
        (attrs.evolve(FILE, name=b"x" * 65536), "no file can have"),
        (attrs.evolve(FILE, mode=0o4755), "a mode that is not kept, 0o4755"),
        (attrs.evolve(FILE, mode=-1), "a mode that is not kept"),
        (attrs.evolve(LINK, mode=0o777), "a mode that is not kept"),
        (attrs.evolve(FILE, id=b"short"), "an id that is none of its type"),
        (attrs.evolve(FILE, id=NO_ID), "an id that is none of its type"),
        (attrs.evolve(FIFO, id=ID), "an id that is none of its type"),
        (attrs.evolve(FILE, size=-1), "a size or a group that is none of its type, -1 and 0"),
        (attrs.evolve(FILE, size=1 << 64), "a size or a group that is none"),
        (attrs.evolve(LINK, size=1), "a size or a group that is none of its type, 1 and 0"),
        (attrs.evolve(FILE, group=-1), "a size or a group that is none of its type, 1 and -1"),
        (attrs.evolve(FILE, group=1 << 64), "a size or a group that is none"),
        (attrs.evolve(DIRECTORY, group=7), "a size or a group that is none of its type, 0 and 7"),
    ],
)
def test_an_odd_entry_is_refused(entry, why):
    with pytest.raises(ValueError, match=why):
        encode([entry])


def test_two_entries_of_one_name_are_refused():
    with pytest.raises(ValueError, match="b'file' comes twice"):
        encode([FILE, LINK, attrs.evolve(FILE, mode=0o600)])


WHOLE = encode([FILE, FIFO]).data
ONE = len(encode([FILE]).data)


@pytest.mark.parametrize("length", range(len(WHOLE)))
def test_a_listing_that_is_cut_is_damaged(length):
    if length in {len(HEADER), ONE}:  # a whole one of fewer entries: its id says that it is another
        return
    with pytest.raises(StoreDamaged):
        decode(WHOLE[:length])


def test_a_listing_out_of_order_is_damaged():
    first, second = (encode([each]).data[len(HEADER) :] for each in (FIFO, FILE))

    assert decode(HEADER + first + second) == (FIFO, FILE)
    for odd in (second + first, first + first):
        with pytest.raises(StoreDamaged, match="twice, or out of order"):
            decode(HEADER + odd)


@pytest.mark.parametrize("name", [b"..", b"a/b", b"nul\0"])
def test_a_listing_from_elsewhere_cannot_name_what_is_outside(name):
    good = b"x" * len(name)
    data = encode([attrs.evolve(FILE, name=good)]).data.replace(good, name)

    with pytest.raises(StoreDamaged, match="no file can have"):
        decode(data)


def test_an_entry_of_an_unknown_type_is_damaged():
    with pytest.raises(StoreDamaged, match="unknown type, 9"):
        decode(HEADER + b"\t" + encode([FILE]).data[len(HEADER) + 1 :])


@given(st.binary(max_size=200))
def test_bytes_that_are_no_listing_are_damaged_and_nothing_else(data):
    for start in (b"", HEADER):
        try:
            found = decode(start + data)
        except StoreDamaged:
            continue
        assert encode(found).data == start + data


@pytest.mark.parametrize("attempt", range(5))
def test_a_listing_with_a_bit_changed_is_damaged_or_another_one(attempt):
    chance = random.Random(attempt)
    for at in range(len(WHOLE)):
        odd = bytearray(WHOLE)
        odd[at] ^= 1 << chance.randrange(8)
        try:
            found = decode(bytes(odd))
        except StoreDamaged:
            continue
        assert encode(found).data == bytes(odd) != WHOLE
