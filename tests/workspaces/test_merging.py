from __future__ import annotations

import os
import random
import re
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.workspaces import merging_texts
from runner.workspaces.comparing import compare
from runner.workspaces.listing import EMPTY, Entry, EntryType, decode, encode
from runner.workspaces.merging import merge
from runner.workspaces.merging_texts import MergedText, merge_texts
from runner.workspaces.objects import content
from runner.workspaces.quoting import quoted

LINES = b"1\n2\n3\n4\n5\n6\n7\n8\n9\n"


@pytest.fixture
def merged(trees):
    """The tree that three come to, and the conflicts as text."""

    def merged(base, ours, theirs, **options):
        roots = [trees.root(each) for each in (base, ours, theirs)]
        if options.pop("texts", False):
            options["read"] = trees.whole
        found = merge(trees.listing, *roots, **options)
        for each in found.objects:
            trees.put(each)
        return trees.nodes(found.root), [str(each) for each in found.conflicts]

    return merged


@pytest.fixture
def nodes(trees):
    return lambda tree: trees.nodes(trees.root(tree))


def test_a_tree_may_be_as_deep_as_a_path_is_long():
    def deep(leaf):
        listings = [encode([Entry(b"f", EntryType.FILE, 0o644, content(leaf).id, len(leaf))])]
        for _ in range(2000):
            above = Entry(b"d", EntryType.DIRECTORY, 0o755, listings[-1].id)
            listings.append(encode([above]))
        return listings

    made = [deep(leaf) for leaf in (b"1", b"2", b"3")]
    entries = {each.id: decode(each.data) for listings in made for each in listings}
    found = merge(entries.__getitem__, *(listings[-1].id for listings in made))

    assert ["d/" * 2000 + "f: both modified"] == [str(each) for each in found.conflicts]
    assert made[1][-1].id == found.root


def test_what_only_one_side_changed_is_taken_from_there(merged, nodes, trees):
    base = {b"a": b"1", b"b": b"1", b"c": b"1", b"d": {b"x": b"1", b"y": b"1"}, b"e": b"1"}
    ours = {
        b"a": b"2",
        b"c": b"1",
        b"d": {b"x": b"2", b"y": b"1"},
        b"new": trees.Link(b"x"),
        b"e": b"2",
    }
    theirs = {b"a": b"1", b"b": b"1", b"c": {b"z": b""}, b"d": {b"x": b"1", b"y": b"2"}, b"e": b"2"}

    assert merged(base, ours, theirs) == (
        nodes({b"a": b"2", b"c": {b"z": b""}, b"d": {b"x": b"2", b"y": b"2"},
               b"new": trees.Link(b"x"), b"e": b"2"}),
        [],
    )  # fmt: skip


def test_each_kind_of_conflict_has_its_name_and_leaves_ours_there(merged, nodes, trees):
    base = {b"both": b"1", b"us": b"1", b"them": b"1", b"t": b"1", b"d": {b"x": b"1"}, b"m": b"1"}
    ours = {b"both": b"2", b"them": b"2", b"added": b"1", b"t": {b"x": b""}, b"d": {b"x": b"2"},
            b"m": trees.File(b"1", 0o600)}  # fmt: skip
    theirs = {b"both": b"3", b"us": b"2", b"added": b"2", b"t": b"3", b"d": b"3",
              b"m": trees.File(b"1", 0o755)}  # fmt: skip

    assert merged(base, ours, theirs) == (
        nodes(ours),
        [
            "added: both added",
            "both: both modified",
            "d: a file here, a directory there",
            "m: both modified",
            "t: a file here, a directory there",
            "them: modified by us, deleted by them",
            "us: deleted by us, modified by them",
        ],
    )


def test_one_side_may_win(merged, nodes, trees):
    base = {
        b"a": b"1",
        b"b": b"1",
        b"c": b"1",
        b"d": trees.Directory({b"x": b"1"}, 0o700),
        b"e": LINES,
    }
    ours = {b"a": b"2", b"b": b"2", b"d": trees.Directory({b"x": b"2"}, 0o755), b"mine": b"",
            b"e": b"0\n" + LINES}  # fmt: skip
    theirs = {b"a": b"3", b"c": b"3", b"d": trees.Directory({b"x": b"3"}, 0o711), b"yours": b"",
              b"e": LINES + b"10\n"}  # fmt: skip
    both = {b"mine": b"", b"yours": b"", b"e": b"0\n" + LINES + b"10\n"}

    found, conflicts = merged(base, ours, theirs, favour="ours", texts=True)
    assert (found, conflicts) == (nodes({**ours, **both}), [])

    found, conflicts = merged(base, ours, theirs, favour="theirs", texts=True)
    assert (found, conflicts) == (nodes({**theirs, **both}), [])


def test_a_directory_is_gone_when_one_side_took_it_away_and_nothing_is_left(merged, nodes):
    base = {b"d": {b"x": b"1", b"y": b"1"}, b"k": b""}

    assert merged(base, {b"k": b""}, {b"d": {b"y": b"1"}, b"k": b""}) == (nodes({b"k": b""}), [])
    assert merged(base, {b"d": {b"y": b"1"}}, {b"k": b""}) == (nodes({}), [])
    assert merged(base, {b"k": b""}, {b"d": {b"x": b"1", b"z": b""}, b"k": b""}) == (
        nodes({b"d": {b"z": b""}, b"k": b""}),
        [],
    )
    assert merged(base, {b"d": {b"x": b"1"}}, {b"d": {b"y": b"1"}}) == (nodes({b"d": {}}), [])
    assert merged({}, {b"d": {}}, {b"e": {}}) == (nodes({b"d": {}, b"e": {}}), [])


def test_two_directories_of_one_name_become_one(merged, nodes, trees):
    mine, yours = trees.Directory({b"a": b""}, 0o700), trees.Directory({b"b": b""}, 0o755)

    found, conflicts = merged({}, {b"d": mine}, {b"d": yours})

    assert found == nodes({b"d": trees.Directory({b"a": b"", b"b": b""}, 0o700)})
    assert conflicts == ["d: both added"]
    assert merged({b"d": b"x"}, {b"d": mine}, {b"d": {b"b": b""}}, favour="theirs")[0] == nodes(
        {b"d": {b"a": b"", b"b": b""}}
    )
    kept = {b"d": trees.Directory({b"a": b""}, 0o755)}
    assert merged(kept, {b"d": trees.Directory({b"a": b"2"}, 0o700)}, {b"d": {b"a": b"", b"c": b""}}) == (
        nodes({b"d": trees.Directory({b"a": b"2", b"c": b""}, 0o700)}), [],
    )  # fmt: skip


def test_what_was_replaced_on_one_side_and_removed_on_the_other_is_the_replacement(merged, nodes):
    assert merged({b"a": b"1"}, {b"a": {b"x": b""}}, {}) == (nodes({b"a": {b"x": b""}}), [])
    assert merged({b"a": {b"x": b""}}, {}, {b"a": b"1"}) == (nodes({b"a": b"1"}), [])


def test_modes_and_contents_are_merged_apart(merged, nodes, trees):
    base, ours = {b"a": b"1"}, {b"a": trees.File(b"1", 0o755)}

    assert merged(base, ours, {b"a": b"2"}) == (nodes({b"a": trees.File(b"2", 0o755)}), [])
    assert merged(base, {b"a": b"2"}, ours) == (nodes({b"a": trees.File(b"2", 0o755)}), [])
    assert merged(base, {b"a": trees.File(b"2", 0o600)}, ours)[1] == ["a: both modified"]


def test_texts_are_merged_when_asked_for(merged, nodes, trees):
    mine, yours = LINES.replace(b"2", b"two"), trees.File(LINES.replace(b"8", b"eight"), 0o755)
    both = LINES.replace(b"2", b"two").replace(b"8", b"eight")
    three = {b"a": LINES}, {b"a": mine}, {b"a": yours}

    assert merged(*three) == (nodes({b"a": mine}), ["a: both modified"])
    assert merged(*three, texts=True) == (nodes({b"a": trees.File(both, 0o755)}), [])
    modes = {b"a": LINES}, {b"a": trees.File(mine, 0o600)}, {b"a": yours}
    assert merged(*modes, texts=True)[1] == ["a: both modified"]
    assert merged({}, {b"a": b"x\n"}, {b"a": b"y\n"}, texts=True) == (
        nodes({b"a": b"x\n"}),
        ["a: both added"],
    )


def test_a_text_with_conflicts_has_markers_when_asked_for(merged, nodes):
    three = {b"a": LINES}, {b"a": LINES.replace(b"2", b"two")}, {b"a": LINES.replace(b"2", b"deux")}

    assert merged(*three, texts=True) == (nodes(three[1]), ["a: both modified"])
    found, conflicts = merged(*three, texts=True, markers=True, labels=(b"main", b"work"))
    text = b"1\n<<<<<<< main\ntwo\n=======\ndeux\n>>>>>>> work\n" + LINES[4:]
    assert (found, conflicts) == (nodes({b"a": text}), ["a: both modified"])
    assert merged(*three, texts=True, markers=True, favour="ours") == (nodes(three[1]), [])


def test_binary_and_long_files_and_links_are_not_merged(merged, nodes, trees, monkeypatch):
    binary = {b"a": b"\0\n" + LINES}, {b"a": b"\0\n" + LINES + b"x"}, {b"a": b"\0\nx" + LINES}
    links = ({b"a": trees.Link(each)} for each in (b"1", b"2", b"3"))
    typed = {b"a": b"1\n"}, {b"a": b"2\n"}, {b"a": trees.Link(b"x")}

    for three in (binary, tuple(links), typed):
        assert merged(*three, texts=True, markers=True) == (nodes(three[1]), ["a: both modified"])

    long = {b"a": LINES}, {b"a": b"0\n" + LINES}, {b"a": LINES + b"x\n"}
    assert merged(*long, texts=True)[1] == []
    monkeypatch.setattr("runner.workspaces.merging.LARGEST", 10)
    assert merged(*long, texts=True)[1] == ["a: both modified"]
    monkeypatch.setattr(merging_texts, "LARGEST", 10)
    assert merge_texts(LINES, LINES, LINES) is None


def test_a_large_text_is_merged_into_chunks(merged, nodes):
    large = b"".join(b"line %d\n" % each for each in range(150_000))
    ours, theirs = b"first\n" + large, large + b"last\n"

    assert merged({b"a": large}, {b"a": ours}, {b"a": theirs}, texts=True) == (
        nodes({b"a": b"first\n" + large + b"last\n"}),
        [],
    )


def test_a_base_of_another_type_is_an_empty_text(merged, nodes, trees):
    base = {b"a": trees.Link(b"x")}

    found = merged(base, {b"a": b"1\n"}, {b"a": b"2\n"}, texts=True)

    assert found == (nodes({b"a": b"1\n"}), ["a: both modified"])


def test_equal_directories_are_never_entered(trees):
    same = {b"x": {b"y": b"1"}}
    roots = [trees.root({b"same": same, b"a": each, b"one": one}) for each, one in
             ((b"1", same), (b"2", same), (b"1", {b"z": b""}))]  # fmt: skip
    asked = []

    def listing(id_):
        asked.append(id_)
        return trees.listing(id_)

    assert merge(listing, *roots).conflicts == ()
    assert asked == roots


def test_whichever_tree_is_the_base_nothing_new_comes_of_two(trees, chance):
    for seed in range(60):
        made = chance(random.Random(seed))
        tree = made.tree()
        base, other = trees.root(tree), trees.root(made.changed(tree))

        assert merge(trees.listing, base, base, other).root == other
        assert merge(trees.listing, base, other, base).root == other
        assert merge(trees.listing, base, other, other).root == other


def test_whatever_is_merged_each_side_keeps_what_only_it_changed(trees, chance):
    for seed in range(60):
        made = chance(random.Random(seed))
        tree = made.tree()
        roots = [trees.root(each) for each in (tree, made.changed(tree), made.changed(tree))]
        merged = merge(trees.listing, *roots)
        turned = merge(trees.listing, roots[0], roots[2], roots[1])
        for each in (*merged.objects, *turned.objects):
            trees.put(each)
        places = {each.path for each in merged.conflicts}

        assert places == {each.path for each in turned.conflicts}
        if not places:
            assert compare(trees.listing, merged.root, turned.root) == []
        won = merge(trees.listing, *roots, favour="theirs")
        for each in won.objects:
            trees.put(each)
        assert won.conflicts == ()
        mine = {each.path for each in compare(trees.listing, *roots[:2])}
        differs = {each.path for each in compare(trees.listing, roots[2], won.root)}
        assert differs <= mine | {
            path for path in differs if any(path.startswith(f"{each}/") or each.startswith(f"{path}/") for each in mine)
        }  # fmt: skip


# ------------------------------------------------------------------------------------ git


def commits(trees, cases):
    """A stream of three commits for each case; the second and third come from the first."""
    for number, roots in enumerate(cases):
        for side, root in enumerate(roots):
            yield b"commit refs/heads/%d-%d\nmark :%d\n" % (number, side, number * 3 + side + 1)
            yield b"committer x <x> 0 +0000\ndata 0\n"
            if side:
                yield b"from :%d\ndeleteall\n" % (number * 3 + 1)
            for change in compare(trees.listing, EMPTY.id, root):
                entry = change.after
                data = trees.whole(entry.id)
                mode = b"120000" if entry.type is EntryType.LINK else b"100%03o" % entry.mode
                name = quoted(os.fsencode(change.path))
                yield b"M %s inline %s\ndata %d\n%s\n" % (mode, name, len(data), data)
    yield b"done\n"


def test_it_comes_to_what_git_merge_tree_comes_to(trees, chance, tmp_path):
    texts = [b"".join(b"%d\n" % (number * 100 + at) for at in range(12)) for number in range(3)]
    cases = []
    for seed in range(60):
        made = chance(random.Random(seed), contents=(*texts, b"\0x", b"\0y"), is_git=True)
        tree = made.tree(2) or {b"a": trees.File(texts[0])}
        sides = [edited(made, made.changed(tree, 2)) for _ in range(2)]
        cases.append([trees.root(of_its_place(each)) for each in (tree, *sides)])

    def run(argv, data=None, env=None):
        done = subprocess.run(
            argv, input=data, env=env, cwd=tmp_path, check=True, capture_output=True
        )
        return done.stdout

    run(["git", "init", "-q", "--bare", "."])
    run(["git", "fast-import", "--quiet", "--done"], b"".join(commits(trees, cases)))
    asked = "".join(f"{number}-1 {number}-2\n" for number in range(len(cases)))
    said = run(["git", "merge-tree", "--write-tree", "--stdin"], asked.encode())
    theirs = list(answers(said))
    made = {}
    for number, (is_clean, tree, _) in enumerate(theirs):
        if is_clean:
            place = tmp_path / f"tree-{number}"
            place.mkdir()
            env = {"GIT_INDEX_FILE": str(tmp_path / "index"), "PATH": os.environ["PATH"]}
            at = ["git", f"--work-tree={place}", "--git-dir=."]
            run([*at, "read-tree", "-u", "--reset", tree], env=env)
            made[number] = trees.take(str(place))
            os.unlink(tmp_path / "index")

    clean = 0
    for number, (is_clean, _, places) in enumerate(theirs):
        found = merge(trees.listing, *cases[number], read=trees.whole)
        for each in found.objects:
            trees.put(each)
        kinds = {each.kind for each in found.conflicts}
        if is_clean and not kinds:
            assert compare(trees.listing, found.root, made[number]) == []
            clean += 1
        elif "a file here, a directory there" not in kinds:
            assert {each.path.encode() for each in found.conflicts} == places
            assert not is_clean

    assert 5 < clean < 55


def edited(made, tree):
    """With some lines of some texts in another way."""
    found = {}
    for name, each in tree.items():
        if isinstance(each, dict):
            found[name] = edited(made, each)
        elif hasattr(each, "data") and b"\0" not in each.data and made.random.random() < 0.7:
            lines = each.data.splitlines(keepends=True)
            at = made.random.randrange(len(lines))
            lines[at : at + made.random.randrange(3)] = [b"new %d\n" % made.random.randrange(2)]
            found[name] = type(each)(b"".join(lines), each.mode)
        else:
            found[name] = each
    return found


def of_its_place(tree, path=b""):
    """With contents that no other path has: git merges renames, whatever is configured."""
    found = {}
    for name, each in tree.items():
        here = path + b"/" + name
        if isinstance(each, dict):
            found[name] = of_its_place(each, here)
        elif hasattr(each, "data"):
            lines = each.data.splitlines(keepends=True)
            found[name] = type(each)(b"".join(here + line for line in lines), each.mode)
        else:
            found[name] = type(each)(here + each.target)
    return found


def answers(said):
    """What `git merge-tree --stdin` says: for each, whether it is clean, the tree, conflicts."""
    parts = said.split(b"\0")[:-1]
    at = 0
    while at < len(parts):
        is_clean, tree = parts[at] == b"1", parts[at + 1].decode()
        at += 2
        places = set()
        while parts[at]:  # a file that is in the way of another type gets a name of its own
            places.add(re.sub(rb"~\d+-\d$", b"", parts[at].split(b"\t", 1)[1]))
            at += 1
        at += 1
        while not is_clean and parts[at]:  # messages: how many paths, them, kind, text
            at += int(parts[at]) + 3
        at += not is_clean
        yield is_clean, tree, places


# ------------------------------------------------------------------------------------ texts


def test_lines_of_both_sides():
    found = merge_texts(LINES, b"0\n" + LINES, LINES[:-2] + b"nine")

    assert found == MergedText(b"0\n" + LINES[:-2] + b"nine")


def test_lines_that_touch_are_a_conflict_and_equal_changes_are_none():
    ours, theirs = LINES.replace(b"4", b"four"), LINES.replace(b"5", b"five")
    assert merge_texts(LINES, ours, theirs).conflicts == 1
    assert merge_texts(LINES, ours, ours) == MergedText(ours)

    far = LINES.replace(b"6", b"six")
    assert merge_texts(LINES, ours, far).conflicts == 0


def test_a_text_without_a_newline_at_its_end_does_not_run_into_a_marker():
    found = merge_texts(b"1", b"2", b"3")

    assert found == MergedText(b"<<<<<<< ours\n2\n=======\n3\n>>>>>>> theirs\n", 1)


TEXTS = st.lists(st.sampled_from([b"a\n", b"b\n", b"c\n", b"d\n"]), max_size=12).map(b"".join)


@given(TEXTS, TEXTS)
def test_a_text_that_one_side_did_not_touch_is_the_others(base, other):
    assert merge_texts(base, base, other) == MergedText(other)
    assert merge_texts(base, other, base) == MergedText(other)
    assert merge_texts(base, other, other) == MergedText(other)


@given(TEXTS, TEXTS, TEXTS)
def test_it_is_the_same_from_both_sides(base, one, other):
    found, turned = merge_texts(base, one, other), merge_texts(base, other, one)

    assert found.conflicts == turned.conflicts
    if not found.conflicts:
        assert found == turned


@pytest.mark.parametrize("turned", [False, True])
def test_a_directory_whose_inodes_have_other_numbers_only_is_unchanged(turned):
    known = {}

    def directory(group, mode=0o755):
        made = encode([Entry(b"x", EntryType.FILE, 0o644, content(b"1").id, 1, group=group)])
        known[made.id] = made
        top = encode([Entry(b"d", EntryType.DIRECTORY, mode, made.id)])
        known[top.id] = top
        return top.id

    def listing(id_):
        return decode(known[id_].data)

    file = encode([Entry(b"d", EntryType.FILE, 0o644, content(b"2").id, 1)])
    known[file.id] = file
    sides = [file.id, directory(7)]
    found = merge(listing, directory(5), *(reversed(sides) if turned else sides))
    other = merge(listing, directory(5), file.id, directory(7, mode=0o700))

    assert (file.id, ()) == (found.root, found.conflicts)
    assert ["d"] == [each.path for each in other.conflicts]
