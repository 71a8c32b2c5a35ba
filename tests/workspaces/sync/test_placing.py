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

    def files(prefix: str, id_: ObjectId) -> dict[str, Entry]:
        found = {}
        for each in listing(id_):
            path = prefix + os.fsdecode(each.name)
            if each.type is EntryType.DIRECTORY:
                found |= (below := files(f"{path}/", each.id))
                assert below
            else:
                found[path] = each
        return found

    for changes in rounds:
        entries = {p: None if d is None else file_of(p, d) for p, d in changes.items()}
        if is_nested(changes):
            with pytest.raises(ValueError, match="entry of its own"):
                place(listing, root, dict(sorted(entries.items())))
            continue
        root, objects = place(listing, root, entries)
        known |= {each.id: each.data for each in objects}
        for path, entry in entries.items():
            expected = changed(expected, path, entry)
        assert expected == files("", root)


def changed(files: dict[str, Entry], path: str, entry: Entry | None) -> dict[str, Entry]:
    """What is there when an entry was put at a path."""
    above = {each for each in files if path.startswith(f"{each}/")}
    if entry is None and above:
        return files
    left = {p: e for p, e in files.items() if p not in above and not f"{p}/".startswith(f"{path}/")}
    return left if entry is None else {**left, path: entry}
