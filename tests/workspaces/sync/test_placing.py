"""Other entries at some paths of a tree, against a dictionary that says what is to be there."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.workspaces.listing import EMPTY, Entry, EntryType, decode
from runner.workspaces.objects import ObjectId, content
from runner.workspaces.sync.placing import place

PATHS = st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=3).map("/".join)
CHANGES = st.dictionaries(PATHS, st.none() | st.binary(max_size=2), max_size=4)


def file_of(path: str, data: bytes) -> Entry:
    name = os.fsencode(path.rpartition("/")[2])
    return Entry(name, EntryType.FILE, 0o644, content(data).id, len(data))


def is_nested(paths) -> bool:
    return any(one.startswith(f"{other}/") for one in paths for other in paths)


@given(st.lists(CHANGES, max_size=4))
def test_a_tree_has_what_was_put_and_no_directory_with_nothing_in_it(rounds) -> None:
    known = {EMPTY.id: EMPTY.data}
    root, expected = EMPTY.id, {}

    def listing(id_: ObjectId) -> tuple[Entry, ...]:
        return decode(known[id_])

    def walk(prefix: str, id_: ObjectId) -> None:
        entries = listing(id_)
        assert entries or id_ == root
        for each in entries:
            path = prefix + os.fsdecode(each.name)
            if each.type is EntryType.DIRECTORY:
                walk(f"{path}/", each.id)
            else:
                found[path] = each

    for changes in rounds:
        if is_nested(changes):
            with pytest.raises(ValueError, match="entry of its own"):
                place(listing, root, {p: file_of(p, d or b"") for p, d in sorted(changes.items())})
            continue
        entries = {p: None if d is None else file_of(p, d) for p, d in changes.items()}
        root, objects = place(listing, root, entries)
        known |= {each.id: each.data for each in objects}
        for path, entry in entries.items():
            below = [each for each in expected if each.startswith(f"{path}/")]
            above = [each for each in expected if path.startswith(f"{each}/")]
            if entry is not None:
                for each in above:
                    del expected[each]
            for each in [*([] if above and entry is None else below), path]:
                expected.pop(each, None)
            if entry is not None:
                expected[path] = entry
        found: dict[str, Entry] = {}
        walk("", root)
        assert expected == found
