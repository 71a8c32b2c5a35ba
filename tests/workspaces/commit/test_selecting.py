"""What globs take of what was changed, and three-way commits, against plain dictionaries."""

from __future__ import annotations

import contextlib
import os
import tempfile
from fnmatch import fnmatchcase
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.errors import CommitError, ConfigError
from runner.workspaces.directory_base import apply_to, differences
from runner.workspaces.filling import fill
from runner.workspaces.listing import EMPTY, Entry, EntryType, encode
from runner.workspaces.objects import content
from runner.workspaces.planning import walk
from runner.workspaces.selecting import everything, make_wanted, select
from runner.workspaces.store import Store

NAMES = st.sampled_from(["a", "b", "c.md"])
PATHS = st.lists(NAMES, min_size=1, max_size=3).map("/".join)
CONTENTS = st.sampled_from(["1", "2", "3"])


@st.composite
def trees(draw, near=None):
    """Files by their paths, none of which is a directory of another."""
    found = dict(near or {})
    if near:
        for path in draw(st.lists(st.sampled_from(sorted(near)), max_size=3)):
            found.pop(path, None)
    for path, text in draw(st.lists(st.tuples(PATHS, CONTENTS), max_size=4)):
        below = path + "/"
        found = {
            each: old
            for each, old in found.items()
            if not each.startswith(below) and not below.startswith(each + "/")
        }
        found[path] = text
    return found


@st.composite
def three(draw):
    base = draw(trees())
    return base, draw(trees(near=base)), draw(trees(near=base))


def put(store, tree):
    """A tree of files, as a root in the store."""
    inside = {}
    for path, text in tree.items():
        name, _, rest = path.partition("/")
        if rest:
            inside.setdefault(name, {})[rest] = text
        else:
            inside[name] = text
    entries = []
    for name, each in inside.items():
        if isinstance(each, dict):
            entry = Entry(os.fsencode(name), EntryType.DIRECTORY, 0o755, put(store, each))
        else:
            kept = content(each.encode())
            store.put([kept])
            entry = Entry(os.fsencode(name), EntryType.FILE, 0o644, kept.id, len(each))
        entries.append(entry)
    made = encode(entries)
    store.put([made])
    return made.id


def files_of(store, root):
    return {
        "/".join(names): b"".join(store.content(each.id)).decode()
        for names, each in walk(store.listing, root)
        if each.type is EntryType.FILE
    }


def files_at(top):
    return {
        os.path.relpath(os.path.join(above, name), top): Path(above, name).read_text()
        for above, _, names in os.walk(top)
        for name in names
    }


@pytest.fixture(scope="module")
def store():
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=memory) as path:
        with contextlib.closing(Store.open(path + "/store.db")) as store:
            store.put([EMPTY])
            yield store


def model(base, ours, theirs):
    """What a three-way commit makes of three dictionaries; None where it conflicts."""
    found, conflicts = {}, set()
    for path in base.keys() | ours.keys() | theirs.keys():
        was, mine, yours = (each.get(path) for each in (base, ours, theirs))
        if mine in {was, yours}:
            now = yours
        elif yours == was:
            now = mine
        else:
            conflicts.add(path)
            continue
        if now is not None:
            found[path] = now
    mixed = any(other.startswith(path + "/") for path in found for other in found)
    return None if conflicts or mixed else found


def has_mixed_types(*trees):
    """Whether something is a file in one of them and a directory in another."""
    paths = {path for each in trees for path in each}
    return any(other.startswith(path + "/") for path in paths for other in paths)


@settings(max_examples=200, deadline=None)
@given(three())
def test_a_three_way_commit_is_what_plain_dictionaries_say(store, sides):
    theirs = sides[2]
    roots = [put(store, each) for each in sides]
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=memory) as path:
        target = path + "/base"
        os.mkdir(target)
        fill(store, roots[2], target)
        told, conflicts = [], None
        try:
            apply_to(
                store,
                "w",
                target,
                roots[0],
                roots[1],
                look=lambda: roots[2],
                place=path + "/place",
                also=lambda: told.append("done"),
            )
        except CommitError as error:
            conflicts = error.conflicts
        if conflicts is None:
            assert model(*sides) == files_at(target)
            assert ["done"] == told
        else:
            assert conflicts
            assert theirs == files_at(target)
            assert not told
            if not has_mixed_types(*sides):
                assert model(*sides) is None
        assert [] == os.listdir(path + "/place") if os.path.isdir(path + "/place") else True
    assert [] == store.acts()


@settings(max_examples=200, deadline=None)
@given(three(), st.sampled_from(["c.md", "a", "*.md", "a/**", "a/b", "?"]))
def test_what_is_taken_of_changes_is_what_the_globs_match_path_by_path(store, sides, glob):
    base, ours, _ = sides
    if has_mixed_types(base, ours):
        return
    before, after = put(store, base), put(store, ours)
    wanted = make_wanted([glob])
    root, objects = select(store.listing, before, after, wanted)
    store.put(objects)
    taken = {path: (ours if wanted(path) else base).get(path) for path in base.keys() | ours.keys()}

    assert {path: each for path, each in taken.items() if each is not None} == files_of(store, root)
    rest, objects = select(store.listing, before, after, make_wanted(exclude=[glob]))
    store.put(objects)
    left = {path: (base if wanted(path) else ours).get(path) for path in base.keys() | ours.keys()}
    assert {path: each for path, each in left.items() if each is not None} == files_of(store, rest)


@given(PATHS, st.sampled_from(["*", "c.md", "*.md", "a", "?"]))
def test_a_glob_without_a_slash_is_one_for_names_at_any_depth(path, glob):
    assert any(fnmatchcase(name, glob) for name in path.split("/")) == make_wanted([glob])(path)


@pytest.mark.parametrize(
    ("globs", "yes", "no"),
    [
        (["*.md"], ["a.md", "x/y/a.md", ".hidden.md"], ["a.mdx", "md"]),
        (["docs/**"], ["docs/a", "docs/x/y"], ["docs2/a", "x/docs/a"]),
        (["docs"], ["docs", "docs/a", "x/docs/a"], ["docs2"]),
        (["docs/"], ["docs/a"], ["docs2"]),
        (["./docs/*.md"], ["docs/a.md"], ["docs/x/a.md", "a.md"]),
        (["/a"], ["a", "a/b"], ["x/a"]),
        (["src/**/*.py"], ["src/a.py", "src/x/y/a.py"], ["a.py", "src/a.pyc"]),
        (["*.{md,txt}", "a"], ["x.md", "x.txt", "a"], ["x.rst"]),
    ],
)
def test_globs_take_what_their_readers_expect(globs, yes, no):
    wanted = make_wanted(globs)

    assert yes == [each for each in [*yes, *no] if wanted(each)]
    assert no == [each for each in [*yes, *no] if make_wanted(exclude=globs)(each)]
    assert make_wanted(["x"], ["x"])("x") is False


@pytest.mark.parametrize(
    "globs", ["*.md", ["{1..2000}"], ["/"], ["../a"], ["a//b"], [""], [7], ["a\0"], None, 7]
)
def test_what_is_no_glob_is_refused(globs):
    with pytest.raises(ConfigError, match="include"):
        make_wanted(globs)
    assert make_wanted() is everything


def test_directories_are_taken_with_what_is_in_them_or_by_their_own_path_if_nothing_is(store):
    before = put(store, {"gone/a": "1", "both": "1"})
    empty = Entry(b"empty", EntryType.DIRECTORY, 0o700, EMPTY.id)
    kept = content(b"1")
    both = encode([Entry(b"in", EntryType.FILE, 0o644, kept.id, 1)])
    made = encode([empty, Entry(b"both", EntryType.DIRECTORY, 0o755, both.id)])
    store.put([kept, both, made])

    def taken(*include):
        root, objects = select(store.listing, before, made.id, make_wanted(include))
        store.put(objects)
        return sorted("/".join(names) for names, _ in walk(store.listing, root))

    assert ["both", "both/in", "empty"] == taken("**")
    assert ["both", "empty", "gone", "gone/a"] == taken("empty")
    assert ["both"] == taken("gone/**")
    assert ["both", "both/in", "gone", "gone/a"] == taken("both")
    assert ["both", "gone", "gone/a"] == taken("nothing")


def test_differences_are_all_paths_and_no_linked_names(store):
    one = encode([Entry(b"a", EntryType.FILE, 0o644, content(b"1").id, 1, group=7)])
    two = encode([Entry(b"a", EntryType.FILE, 0o644, content(b"1").id, 1)])
    store.put([one, two])

    assert [] == list(differences(store.listing, one.id, two.id))


@pytest.mark.parametrize(
    ("before", "after", "glob", "taken"),
    [
        ({"x": "1"}, {"x/a": "2", "x/b": "2"}, "x", {"x/a": "2", "x/b": "2"}),
        ({"x": "1"}, {"x/a": "2", "x/b": "2"}, "a", {"x": "1"}),
        ({"x/a": "1", "x/b": "1"}, {"x": "2"}, "x", {"x": "2"}),
        ({"x/a": "1", "x/b": "1"}, {"x": "2"}, "x/a", {"x/a": "1", "x/b": "1"}),
        ({"x/a": "1", "x/b": "1"}, {"x": "2"}, "y", {"x/a": "1", "x/b": "1"}),
    ],
)
def test_what_became_of_another_type_is_taken_by_its_own_path(store, before, after, glob, taken):
    root, objects = select(
        store.listing, put(store, before), put(store, after), make_wanted([glob])
    )
    store.put(objects)

    assert taken == files_of(store, root)
