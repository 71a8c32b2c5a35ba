from __future__ import annotations

import random
import subprocess

import pytest

from runner.workspaces import renames
from runner.workspaces.comparing import compare
from runner.workspaces.listing import EMPTY
from runner.workspaces.renames import find_renames

TEXT = b"".join(b"line %02d of a text\n" % each for each in range(20))


@pytest.fixture
def found(trees):
    def found(before, after, **more):
        roots = trees.root(before), trees.root(after)
        changes = find_renames(compare(trees.listing, *roots), trees.whole, **more)
        return [str(each) + f" {each.similarity}" * (each.type == "renamed") for each in changes]

    return found


def test_the_same_content_under_another_name_is_a_rename(found, trees):
    before = {b"a": b"x\n", b"d": {b"b": b"y\n"}, b"l": trees.Link(b"x")}
    after = {b"z": b"x\n", b"e": {b"b": b"y\n"}, b"m": trees.Link(b"x")}

    assert found(before, after) == ["R d/b -> e/b 100", "R l -> m 100", "R a -> z 100"]
    assert trees.read == 0


def test_of_several_with_the_same_content_the_same_last_name_comes_first(found):
    before = {b"a.txt": b"x\n", b"z.txt": b"x\n"}
    after = {b"new": {b"other": b"x\n", b"z.txt": b"x\n"}}

    assert found(before, after) == ["R a.txt -> new/other 100", "R z.txt -> new/z.txt 100"]


def test_empty_files_are_renamed_only_with_the_same_last_name(found):
    before = {b"old": {b"__init__.py": b""}, b"empty": b""}
    after = {b"new": {b"__init__.py": b""}, b"nothing": b""}

    assert found(before, after) == [
        "D empty", "R old/__init__.py -> new/__init__.py 100", "A nothing",
    ]  # fmt: skip


def test_a_file_of_another_type_is_no_rename(found, trees):
    before = {b"a": trees.Fifo(), b"b": {}, b"c": trees.Link(b"x")}

    assert found(before, {b"x": trees.Fifo(), b"y": {}, b"z": b"x"}) == [
        "D a", "D b", "D c", "A x", "A y", "A z",
    ]  # fmt: skip


def test_half_of_the_content_is_enough_and_less_is_not(found):
    half = b"".join(TEXT.splitlines(keepends=True)[:10])
    less = b"".join(TEXT.splitlines(keepends=True)[:9])

    assert found({b"a": TEXT}, {b"b": half + b"other words, here\n" * 10}) == ["R a -> b 50"]
    assert found({b"a": TEXT}, {b"b": less + b"other words, here\n" * 11}) == ["D a", "A b"]
    assert found({b"a": TEXT}, {b"b": less + b"other words, here\n" * 11}, least=40) == [
        "R a -> b 45"
    ]


def test_the_most_similar_one_comes_first_then_the_same_last_name(found):
    near = TEXT.replace(b"line 03", b"line X")
    nearest = TEXT + b"!\n"

    assert found({b"a": TEXT}, {b"b": near, b"c": nearest}) == ["A b", "R a -> c 99"]
    assert found({b"a": TEXT}, {b"b": near, b"x": {b"a": near}}) == ["A b", "R a -> x/a 95"]


def test_the_other_mode_of_a_renamed_file_is_kept(trees):
    before = trees.root({b"a": trees.File(TEXT, 0o644)})
    after = trees.root({b"b": trees.File(TEXT, 0o755)})

    (change,) = find_renames(compare(trees.listing, before, after), trees.whole)

    assert (change.old_path, change.path) == ("a", "b")
    assert (change.before.mode, change.after.mode) == (0o644, 0o755)


def test_very_many_files_of_one_content_are_no_trouble(found):
    before = {b"old-%d" % each: b"same\n" for each in range(4000)}
    after = {b"new-%d" % each: b"same\n" for each in range(4000)}

    assert len(found(before, after)) == 4000


@pytest.mark.parametrize("bound", ["MOST_PAIRS", "MOST_BYTES"])
def test_of_very_many_only_equal_ones_are_found(found, trees, monkeypatch, bound):
    before = {b"a": TEXT, b"b": b"x\n"}
    after = {b"c": TEXT + b"!\n", b"d": b"x\n"}
    assert found(before, after) == ["R a -> c 99", "R b -> d 100"]

    monkeypatch.setattr(renames, bound, 0)

    assert found(before, after) == ["D a", "A c", "R b -> d 100"]


def test_without_additions_nothing_is_read(found, trees):
    assert found({b"a": TEXT}, {}) == ["D a"]
    assert find_renames(compare(trees.listing, EMPTY.id, trees.root({b"a": TEXT})), trees.whole)
    assert trees.read == 0


def test_similarity_is_what_git_says_it_is(trees, tmp_path):
    chance = random.Random(3)  # all end with a newline: before 2.44, git left the rest out
    words = [b"%d\n" % each * chance.randrange(1, 9) for each in range(30)]
    odd = [b"", b"z\0" * 35, b"a" * 200, b"x\r\n" * 9, b"\r\n", b"end"]
    before, after = {}, {}
    for number in range(40):
        parts = [*chance.choices(words, k=20), *chance.choices(odd, k=2)]
        name = b"%d" % number
        before[name] = {b"old" + name: b"".join([*parts, b"end\n"])}
        for _ in range(chance.randrange(1, 12)):
            parts[chance.randrange(len(parts))] = chance.choice([*words, *odd])
        after[name] = {b"new" + name: b"".join([*parts, b"end\n"])}
    ours = {}
    for number in range(40):
        name = b"%d" % number
        roots = trees.root({name: before[name]}), trees.root({name: after[name]})
        (tmp_path / "a").mkdir(exist_ok=True)
        (tmp_path / "b").mkdir(exist_ok=True)
        changes = find_renames(compare(trees.listing, *roots), trees.whole)
        ours[number] = changes[0].similarity if changes[0].type == "renamed" else None
    trees.write(trees.root(before), str(tmp_path / "a"))
    trees.write(trees.root(after), str(tmp_path / "b"))

    theirs = {}
    for number in range(40):
        argv = ["git", "diff", "--no-index", "--raw", "-M50%", f"a/{number}", f"b/{number}"]
        said = subprocess.run(
            argv, cwd=tmp_path, capture_output=True, text=True, check=False
        ).stdout
        status = said.split()[4]
        theirs[number] = int(status[1:]) if status[0] == "R" else None

    assert ours == theirs
    assert 3 < sum(each is not None for each in ours.values()) < 40
