from __future__ import annotations

import random
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.workspaces import patching, texts
from runner.workspaces.diff import Diff
from runner.workspaces.diffstat import FileStat, summary, table
from runner.workspaces.quoting import quoted, shown
from runner.workspaces.texts import count, hunks, lines_of

ODD_NAMES = (
    b"plain", b"with space", b'"quoted"', b"back\\slash", b"new\nline", b"tab\t", b"\xff\xfe",
    "é".encode(), b"a => b", b"{x}", b"-n", b" lead", b"trail ", b"\x01", b"\x7f", b"a b/../c".replace(b"/", b""),
)  # fmt: skip
ODD_CONTENTS = (
    b"", b"\n", b"x", b"x\n", b"1\n2\n3\n4\n5\n6\n7\n8\n9\n", b"1\n2\n3\n4\nX\n6\n7\n8\n9", b"\0", b"a\0" * 100,
    b"\r\n\r\n", b"\xff\xfe\n", b"--- a/x\n+++ b/x\n@@ -1 +1 @@\n", b"\\ No newline at end of file\n", b"-- \n2.39\n",
    b"x" * 9000 + b"\0\n\0\r\0",
)  # fmt: skip
GIT = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1", "PATH": "/usr/bin:/bin"}


def git(directory, *argv, data=b""):
    env = {**GIT, "GIT_CEILING_DIRECTORIES": str(directory.parent)}
    done = subprocess.run(
        ["git", *argv], cwd=directory, input=data, capture_output=True, env=env, check=False
    )
    assert done.returncode == 0, (done.stderr.decode(errors="replace"), data)
    return done.stdout


def applied(trees, directory, before, patch, *options):
    directory.mkdir()
    trees.write(before, str(directory))
    if patch:
        git(directory, "apply", *options, "-", data=patch)
    return trees.take(str(directory))


@pytest.mark.parametrize("seed", range(4))
def test_git_makes_one_tree_of_the_other_with_a_patch(trees, chance, tmp_path, seed):
    made = chance(random.Random(seed), names=ODD_NAMES, contents=ODD_CONTENTS, is_git=True)
    before, after = {}, {}
    for number in range(8):  # many small trees, one run of git
        tree = made.tree(1)
        before[b"%d" % number] = tree
        after[b"%d" % number] = made.changed(tree, 1)
    roots = [trees.root({name: each for name, each in tree.items() if each})
             for tree in (before, after)]  # fmt: skip
    diff = Diff(trees, *roots)

    assert {each.type for each in diff} >= {"modified", "deleted", "renamed"}
    assert applied(trees, tmp_path / "a", roots[0], diff.patch, "--binary") == roots[1]

    back = Diff(trees, *reversed(roots), renames=False)

    assert applied(trees, tmp_path / "b", roots[1], back.patch, "-p1") == roots[0]


def test_git_takes_a_patch_back(trees, tmp_path):
    before = trees.root({b"bin": b"\0one", b"old": b"1\n2\n3\n", b"gone": b"\0"})
    after = trees.root({b"bin": b"\0two", b"new": trees.File(b"1\n2\n3\n", 0o755), b"made": b"x"})
    patch = Diff(trees, before, after).patch

    assert applied(trees, tmp_path / "a", after, patch, "-R") == before


def test_a_large_file_is_whole_in_a_patch_and_binary_in_a_text(trees, tmp_path, monkeypatch):
    monkeypatch.setattr(patching, "LARGEST", 1 << 20)
    old = b"line\n" * 300_000
    new = old + bytes(2 << 20) + b"end"
    before, after = trees.root({b"a": old}), trees.root({b"a": new})
    diff = Diff(trees, before, after)

    assert diff.text == "diff --git a/a b/a\nBinary files a/a and b/a differ\n"
    assert diff.stat == f" a | Bin {len(old)} -> {len(new)} bytes\n" + (
        " 1 file changed, 0 insertions(+), 0 deletions(-)\n"
    )
    assert len(diff.patch) < 40_000
    assert applied(trees, tmp_path / "a", before, diff.patch) == after


def test_what_git_has_no_words_for_is_in_the_text_and_not_in_the_patch(trees, tmp_path):
    before = trees.root({b"d": {}, b"f": trees.Fifo(), b"m": trees.File(b"x", 0o644), b"x": b"1\n"})
    after = trees.root(
        {b"e": {}, b"m": trees.File(b"x", 0o600), b"x": b"2\n", b"t": trees.Fifo(),
         b".git": {b"config": b"x"}, b"y": {b".GIT": {b"x": b""}, b"git~1": b""}}
    )  # fmt: skip
    diff = Diff(trees, before, after)

    assert diff.patch.count(b"diff --git") == 1
    found = trees.nodes(applied(trees, tmp_path / "a", before, diff.patch))
    assert found[b"x"] == trees.File(b"2\n")
    assert diff.text.replace("diff --git ", "* ").split("* ") == [
        "",
        "a/.git/config b/.git/config\nnew file mode 100644\n"
        "--- /dev/null\n+++ b/.git/config\n@@ -0,0 +1 @@\n+x\n\\ No newline at end of file\n",
        "a/d b/d\ndeleted directory mode 040755\n",
        "a/e b/e\nnew directory mode 040755\n",
        "a/f b/f\ndeleted fifo mode 010644\n",
        "a/m b/m\nold mode 100644\nnew mode 100600\n",
        "a/t b/t\nnew fifo mode 010644\n",
        "a/x b/x\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n-1\n+2\n",
        "a/y/.GIT/x b/y/.GIT/x\nnew file mode 100644\n",
        "a/y/git~1 b/y/git~1\nnew file mode 100644\n",
    ]


def test_a_rename_to_a_name_that_git_keeps_to_itself_is_a_deletion_in_a_patch(trees, tmp_path):
    before = trees.root({b"hook": b"x\n", b"z": b""})
    after = trees.root({b".git": {b"hook": b"x\n"}, b"z": b""})

    assert [str(each) for each in Diff(trees, before, after)] == ["R hook -> .git/hook"]
    found = applied(trees, tmp_path / "a", before, Diff(trees, before, after).patch)
    assert found == trees.root({b"z": b""})


def test_a_text_is_printable_whatever_the_files_have_in_them(trees):
    before = trees.root({b"a": b"x\n"})
    after = trees.root({b"a": b"\xff\n", b"\xff\x1b[31m\n": b"", "é".encode(): trees.Link(b"x")})

    text = Diff(trees, before, after).text

    assert text.encode()
    assert text.splitlines() == [
        "diff --git a/a b/a", "--- a/a", "+++ b/a", "@@ -1 +1 @@", "-x", "+�",
        "diff --git a/é b/é", "new link mode 120000", "--- /dev/null", "+++ b/é", "@@ -0,0 +1 @@",
        "+x", "\\ No newline at end of file",
        'diff --git "a/\\377\\033[31m\\n" "b/\\377\\033[31m\\n"', "new file mode 100644",
    ]  # fmt: skip


def test_a_renamed_and_a_replaced_file_in_text(trees):
    before = trees.root({b"old": b"1\n2\n3\n", b"same": b"x", b"t": b"x\n", b"d": b"y\n"})
    after = trees.root(
        {b"new": b"1\n2\n3\n4\n", b"equal": b"x", b"t": trees.Link(b"x"), b"d": {b"y": b"\0"}}
    )

    assert Diff(trees, before, after).text.splitlines() == [
        "diff --git a/d b/d", "old mode 100644", "new mode 040755", "--- a/d", "+++ /dev/null",
        "@@ -1 +0,0 @@", "-y",
        "diff --git a/d/y b/d/y", "new file mode 100644", "Binary files /dev/null and b/d/y differ",
        "diff --git a/same b/equal", "similarity index 100%", "rename from same", "rename to equal",
        "diff --git a/old b/new", "similarity index 75%", "rename from old", "rename to new",
        "--- a/old", "+++ b/new", "@@ -1,3 +1,4 @@", " 1", " 2", " 3", "+4",
        "diff --git a/t b/t", "old mode 100644", "new mode 120000", "--- a/t", "+++ b/t",
        "@@ -1 +1 @@", "-x", "+x", "\\ No newline at end of file",
    ]  # fmt: skip


def test_nothing_is_read_before_it_is_asked_for_and_then_file_by_file(trees):
    before = trees.root({b"%d" % each: b"1" for each in range(9)})
    after = trees.root({b"%d" % each: b"2" for each in range(9)})
    diff = Diff(trees, before, after)

    assert (len(diff), trees.read) == (9, 0)
    assert str(diff[0]) == "M 0"
    assert [str(each) for each in diff[7:]] == ["M 7", "M 8"]
    assert next(diff.texts()).startswith("diff --git a/0 b/0\n")
    assert trees.read == 2
    assert diff.summary == " 9 files changed, 9 insertions(+), 9 deletions(-)".strip()
    read = trees.read
    assert diff.stat.count("|") == 9
    assert trees.read == read  # figures are kept
    assert diff.status.modified == diff.changes
    assert repr(diff) == "<Diff: 9 changes>"


def test_a_diff_of_some_paths_draws_nothing_else_in(trees):
    before = trees.root({b"src": {b"a": b"1\n", b"b": b"2\n"}, b"docs": {b"x": b"3\n"}})
    after = trees.root({b"src": {b"c": b"1\n", b"x": b"3\n"}, b"docs": {b"b": b"2\n"}})

    diff = Diff(trees, before, after, select=lambda path: path.startswith("src/"))

    assert [str(each) for each in diff] == ["D src/b", "R src/a -> src/c", "A src/x"]
    assert len(Diff(trees, before, after)) == 3


def test_what_has_only_another_name_or_mode_is_not_read(trees):
    before = trees.root({b"a": b"x\n", b"b": b"y\n"})
    after = trees.root({b"c": b"x\n", b"b": trees.File(b"y\n", 0o755)})
    diff = Diff(trees, before, after)

    assert (len(diff.text.splitlines()), len(diff.patch.splitlines())) == (7, 7)
    assert trees.read == 0


def test_no_changes_are_no_text_at_all(trees):
    root = trees.root({b"a": b"x"})
    diff = Diff(trees, root, root)

    assert (diff.text, diff.patch, diff.stat, diff.summary, len(diff)) == ("", b"", "", "", 0)
    assert not Diff(trees, root, trees.root({b"a": b"x", b"d": {}})).summary


# ------------------------------------------------------------------------------------ lines


@given(st.lists(st.sampled_from([b"a\n", b"b\n", b"c", b"\n"]), max_size=20),
       st.lists(st.sampled_from([b"a\n", b"b\n", b"c", b"\n"]), max_size=20),
       st.integers(0, 4))  # fmt: skip
def test_hunks_make_one_text_of_the_other(one, other, context):
    before, after = b"".join(one), b"".join(other)
    old = lines_of(before)
    built, at = [], 0
    for hunk in hunks(before, after, context):
        head, _, body = hunk.partition(b"\n")
        start = int(head.split()[1][1:].split(b",")[0])
        start -= head.split()[1].endswith(b",0") is False
        built += old[at:start]
        at = start
        for sign, line in signed(body):
            if sign in b" -":
                assert old[at] == line
                at += 1
            if sign in b" +":
                built.append(line)

    assert b"".join([*built, *old[at:]]) == after


def signed(body):
    lines = body.split(b"\n")[:-1]
    for at, line in enumerate(lines):
        if not line.startswith(b"\\"):
            ends = at + 1 < len(lines) and lines[at + 1].startswith(b"\\")
            yield line[:1], line[1:] + (b"" if ends else b"\n")


def test_changes_far_from_each_other_are_hunks_of_their_own():
    old = b"".join(b"%d\n" % each for each in range(40))
    new = (
        old.replace(b"\n5\n", b"\nfive\n")
        .replace(b"\n12\n", b"\n")
        .replace(b"\n30\n", b"\n30\n31a\n")
    )

    heads = [each.partition(b"\n")[0] for each in hunks(old, new)]

    assert heads == [b"@@ -3,14 +3,13 @@", b"@@ -29,6 +28,7 @@"]
    assert count(old, new) == texts.Counts(2, 2)
    assert list(hunks(old, old)) == []


def test_what_has_too_many_lines_is_not_compared_by_lines():
    assert not texts.is_binary(b"\n" * texts.MOST_LINES)
    assert texts.is_binary(b"\n" * (texts.MOST_LINES + 1))
    assert texts.is_binary(b"x" * (texts.LARGEST + 1))


def test_lines_end_with_newlines_only():
    assert lines_of(b"a\r\nb\x0bc\x85\nd") == [b"a\r\n", b"b\x0bc\x85\n", b"d"]
    assert lines_of(b"") == []


# ------------------------------------------------------------------------------------ names


@given(st.binary(max_size=12))
def test_a_quoted_name_is_what_git_reads(name):
    found = quoted(name)

    assert found.isascii()
    assert unquoted(found) == name
    assert unquoted(shown(name).encode()) == name
    assert shown(name).isprintable()


def unquoted(name):
    if not name.startswith(b'"'):
        return name
    named = {
        ord(each): value for each, value in zip('abtnvfr"\\', b'\a\b\t\n\v\f\r"\\', strict=True)
    }
    found, at, text = bytearray(), 0, name[1:-1]
    while at < len(text):
        if text[at] != 0x5C:
            found.append(text[at])
            at += 1
        elif text[at + 1] in named:
            found.append(named[text[at + 1]])
            at += 2
        else:
            found.append(int(text[at + 1 : at + 4], 8))
            at += 4
    return bytes(found)


# ------------------------------------------------------------------------------------ figures


def stat_of_git(trees, tmp_path, before, after, *options):
    for name, root in (("a", before), ("b", after)):
        (tmp_path / name).mkdir()
        trees.write(root, str(tmp_path / name))
    git(tmp_path, "init", "-q", "--bare", "git")
    hashes = []
    for name in ("a", "b"):
        at = ("--git-dir=git", f"--work-tree={name}")
        git(tmp_path, *at, "add", "--all", ".")
        hashes.append(git(tmp_path, *at, "write-tree").decode().strip())
    return [
        git(tmp_path, "--git-dir=git", "diff", "-M", *each, *hashes).decode() for each in options
    ]


def test_figures_are_what_git_says(trees, tmp_path):
    chance = random.Random(5)
    before, after = {}, {}
    for number in range(40):
        name = b"%s%d.txt" % (b"long-name-" * chance.randrange(7), number)
        lines = [b"%d\n" % chance.randrange(99) for _ in range(chance.choice((0, 3, 30, 300)))]
        before[name] = b"".join(lines)
        kept = [each for each in lines if chance.random() < 0.9]
        after[name] = b"".join([*kept, *(b"new\n" for _ in range(chance.randrange(9)))])
    before |= {b"bin": b"\0" * 10, b"gone": b"\0", b"mode": b"x", b"src": {b"old.py": b"1\n2\n3\n"},
               b"deep": {b"a": {b"x": b"1\n2\n3\n4\n"}}, b"t": b"x\n"}  # fmt: skip
    after |= {b"bin": b"\0" * 99, b"made": b"\0" * 1000, b"mode": trees.File(b"x", 0o755),
              b"src": {b"new.py": b"1\n2\n3\n"}, b"deep": {b"b": {b"x": b"1\n2\n3\n4\n5\n"}},
              b"t": trees.Link(b"x"), b"empty": b""}  # fmt: skip
    roots = trees.root(before), trees.root(after)
    diff = Diff(trees, *roots)
    widths = (80, 1, 40, 60, 100, 200, 1000)
    options = [("--shortstat",), *((f"--stat={width}",) for width in widths)]

    short, *theirs = stat_of_git(trees, tmp_path, *roots, *options)

    assert diff.summary == short.strip()
    assert diff.stat == theirs[0]
    for width, said in zip(widths, theirs, strict=True):
        assert diff.stat_in(width) == said


@pytest.mark.parametrize(
    ("old", "new", "shown_as"),
    [
        (b"a", b"b", "a => b"),
        (b"lib/a.py", b"lib/b.py", "lib/{a.py => b.py}"),
        (b"lib/a", b"lib/ab", "lib/{a => ab}"),
        (b"a/x/c", b"a/y/c", "a/{x => y}/c"),
        (b"a/b/c", b"a/c", "a/{b => }/c"),
        (b"a/c", b"a/b/c", "a/{ => b}/c"),
        (b"c", b"b/c", "c => b/c"),
        (b"b/c", b"c", "b/c => c"),
        (b"a/a/b", b"a/b", "a/{a => }/b"),
        (b"x\n", b"y", '"x\\n" => y'),
    ],
)
def test_names_of_a_renamed_file_as_git_shows_them(trees, tmp_path, old, new, shown_as):
    def tree(path):
        node = b"1\n2\n3\n"
        for each in reversed(path.split(b"/")):
            node = {each: node}
        return trees.root(node)

    diff = Diff(trees, tree(old), tree(new))
    (said,) = stat_of_git(trees, tmp_path, tree(old), tree(new), ("--stat",))

    assert diff.stat.split(" |")[0].strip() == shown_as
    assert diff.stat == said


def test_short_names_leave_more_for_the_bars(trees, tmp_path):
    before = trees.root({b"a": b"x\n" * 500, b"b": b"x\n" * 9, b"c": b"1\n2\n"})
    after = trees.root({b"a": b"y\n" * 300, b"b": b"y\n" * 9, b"c": b"1\n"})
    few = trees.root({b"a": b"x\n" * 500, b"b": b"x\n" * 7, b"c": b"1\n2\n"})

    (said,) = stat_of_git(trees, tmp_path, before, after, ("--stat",))

    assert Diff(trees, before, after).stat == said
    assert Diff(trees, before, few).stat == (" b | 2 --\n 1 file changed, 2 deletions(-)\n")


def test_a_table_of_nothing_and_of_files_without_lines():
    assert table([]) == ""
    assert table([FileStat(name="a", added=0, deleted=0)]).splitlines()[0] == " a | 0"
    assert (
        table([FileStat(name="a", added=0, deleted=0, is_binary=True)]).splitlines()[0]
        == " a | Bin"
    )
    assert table(
        [
            FileStat(name="a", added=1, deleted=1),
            FileStat(name="b", added=1000, deleted=0, is_binary=True),
        ]
    ).startswith(" a |   2 +-\n b | Bin 0 -> 1000 bytes\n")
    assert summary([FileStat(name="a", added=1, deleted=0)]) == "1 file changed, 1 insertion(+)"
