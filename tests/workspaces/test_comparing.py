from __future__ import annotations

import os
import random

import pytest

from runner.workspaces.comparing import Change, Status, compare, is_same, is_same_tree
from runner.workspaces.listing import EMPTY, Entry, EntryType


def flat(trees, root, prefix=b"") -> dict[bytes, Entry]:
    found = {}
    for each in trees.listing(root):
        found[prefix + each.name] = each
        if each.type is EntryType.DIRECTORY:
            found |= flat(trees, each.id, prefix + each.name + b"/")
    return found


def naive(trees, before, after) -> list[tuple[str, str, Entry | None, Entry | None]]:
    """Everything of both trees, path by path."""
    olds, news = flat(trees, before), flat(trees, after)
    found = []
    for path in sorted({*olds, *news}):
        was, now = olds.get(path), news.get(path)
        if was is None or now is None:
            there = was or now
            if there.type is EntryType.DIRECTORY and trees.listing(there.id):
                continue
            type_ = "added" if was is None else "deleted"
        elif (was.type, was.mode) == (now.type, now.mode) and (
            was.type is EntryType.DIRECTORY or was.id == now.id
        ):
            continue
        else:
            type_ = "modified"
        found.append((type_, os.fsdecode(path), was, now))
    return found


def plain(changes):
    return [(each.type, each.path, each.before, each.after) for each in changes]


def test_a_walk_that_leaves_equal_directories_out_finds_what_a_naive_one_does(trees, chance):
    for seed in range(150):
        made = chance(random.Random(seed))
        tree = made.tree()
        before, after = trees.root(tree), trees.root(made.changed(tree))

        assert plain(compare(trees.listing, before, after)) == naive(trees, before, after)
        assert plain(compare(trees.listing, after, before)) == naive(trees, after, before)
        assert is_same_tree(trees.listing, before, after) is (not naive(trees, before, after))


def test_what_is_equal_is_never_entered(trees):
    same = {b"deep": {b"deeper": {b"file": b"x"}}}
    before = trees.root({b"same": same, b"other": b"1"})
    after = trees.root({b"same": same, b"other": b"2"})
    asked = []

    def listing(id_):
        asked.append(id_)
        return trees.listing(id_)

    assert [str(each) for each in compare(listing, before, after)] == ["M other"]
    assert asked == [before, after]
    assert compare(listing, before, before) == []


def test_changes_are_sorted_by_the_bytes_of_whole_paths(trees):
    after = trees.root({b"a": {b"x": b""}, b"a-b": b"", b"a0": b"", b"\xff": b"", b"\xc3\xa9": b""})

    found = [each.path for each in compare(trees.listing, EMPTY.id, after)]

    assert found == ["a-b", "a/x", "a0", "é", "\udcff"]


def test_an_empty_directory_counts_and_one_with_something_in_it_by_its_mode(trees):
    before = trees.root({b"kept": {b"x": b""}, b"emptied": {b"x": b""}, b"empty": {}})
    shut = trees.Directory({b"x": b""}, 0o700)
    after = trees.root({b"kept": shut, b"emptied": {}, b"full": {b"x": b""}, b"new": {}})

    found = [str(each) for each in compare(trees.listing, before, after)]

    assert found == ["D emptied/x", "D empty", "A full/x", "M kept", "A new"]


def test_what_is_of_another_type_is_modified_and_what_is_in_it_added_or_deleted(trees):
    before = trees.root({b"a": b"x", b"b": {b"x": b""}, b"c": b"x", b"d": trees.Link(b"x")})
    after = trees.root({b"a": {b"y": b""}, b"b": b"x", b"c": trees.Link(b"x"), b"d": trees.Fifo()})

    found = [str(each) for each in compare(trees.listing, before, after)]

    assert found == ["M a", "A a/y", "M b", "D b/x", "M c", "M d"]


def test_which_names_are_one_inode_is_no_change(trees):
    before = trees.root({b"d": {b"a": trees.File(b"x"), b"b": trees.File(b"x")}})
    after = trees.root({b"d": {b"a": trees.File(b"x", group=7), b"b": trees.File(b"x", group=7)}})

    assert before != after
    assert compare(trees.listing, before, after) == []
    assert is_same_tree(trees.listing, before, after)


def test_a_tree_may_be_deeper_than_the_stack(trees):
    old, new = trees.root({b"x": b"1"}), trees.root({b"x": b"2"})
    for _ in range(3000):
        old, new = (
            trees.put(trees_encode([Entry(b"d", EntryType.DIRECTORY, 0o755, each)]))
            for each in (old, new)
        )

    (change,) = compare(trees.listing, old, new)

    assert change.path == "d/" * 3000 + "x"


def trees_encode(entries):
    from runner.workspaces.listing import encode

    return encode(entries)


def test_a_status_has_the_changes_by_what_they_are():
    def change(type_, path, **more):
        return Change(type=type_, path=path, **more)

    changes = [change("added", "b"), change("renamed", "d", old_path="x"), change("modified", "a"),
               change("deleted", "c"), change("added", "a0")]  # fmt: skip

    status = Status.of(changes)

    assert [each.path for each in status.added] == ["b", "a0"]
    assert status.has_changes
    assert str(status) == "M a\nA a0\nA b\nD c\nR x -> d"
    assert not Status.of([]).has_changes
    assert not Status().has_changes


@pytest.mark.parametrize("one", [None, Entry(b"a", EntryType.FILE, 0o644, EMPTY.id, 1)])
def test_entries_are_compared_without_their_names(one):
    other = None if one is None else Entry(b"b", EntryType.FILE, 0o644, EMPTY.id, 1, 5)

    assert is_same(one, other)
    assert not is_same(one, Entry(b"b", EntryType.FILE, 0o600, EMPTY.id, 1))
