"""What of two trees git would take into a patch: by the rules of the later one."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest

from runner.watching.patterns import make_rules
from runner.workspaces.capturing import Capture
from runner.workspaces.diff import Diff
from runner.workspaces.ignoring import Taken
from runner.workspaces.store import Store

RULES = {
    ".gitignore": "*.log\n/build/\n!keep.log\nsecret\n",
    "src/.gitignore": "!a.log\n/only-here\n",
    "src/deep/.gitignore": b"\xff not UTF-8\n",
    "linked/.gitignore": None,
}
NEW = [
    "a.log", "keep.log", "build/x", "build/keep.log", "src/a.log", "src/b.log", "src/build/x",
    "src/only-here", "only-here", "src/deep/only-here", "src/deep/c.log", "secret/x", "src/secret",
    "new.txt", "linked/a.log",
]  # fmt: skip


@pytest.fixture
def roots(tmp_path):
    """A store, and the roots of a tree before and after."""
    tree = tmp_path / "tree"
    for name, content in RULES.items():
        path = tree / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if content is None:
            os.symlink("/etc/passwd", path)
        else:
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
    for name in ("known.log", "build/known", "gone.log"):
        (tree / name).parent.mkdir(exist_ok=True)
        (tree / name).write_text("one\n")
    store = Store.open(str(tmp_path / "store.db"))
    capture = Capture(str(tree), store, "w", ignore=make_rules(()), watch=False)
    before = capture.take().root
    shutil.copytree(tree, tmp_path / "before", symlinks=True)
    for name in NEW:
        (tree / name).parent.mkdir(exist_ok=True)
        (tree / name).write_text("new\n")
    (tree / "known.log").write_text("two\n")
    (tree / "build/known").write_text("two\n")
    (tree / "gone.log").unlink()
    after = capture.take().root
    capture.close()
    yield store, before, after
    store.close()


def test_it_is_what_git_takes(roots, tmp_path):
    store, before, after = roots
    diff = Diff(store, before, after, renames=False, select=Taken(store, before, after))
    found = {each.path for each in diff if each.type != "deleted" and os.path.splitext(each.path)}

    git = ["git", "-C", str(tmp_path / "before")]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "add", "-fA"], check=True)
    work = ["git", f"--git-dir={tmp_path}/before/.git", f"--work-tree={tmp_path}/tree"]
    subprocess.run([*work, "add", "-A"], check=True)
    said = subprocess.run(
        [*work, "diff", "--cached", "--name-only", "--diff-filter=AM", "--no-renames",
         "4b825dc642cb6eb9a060e54bf8d69288fbee4904"], check=True, capture_output=True, text=True,
    ).stdout.splitlines()  # fmt: skip
    unchanged = {*RULES, "known.log", "build/known"}
    assert found - {"known.log", "build/known"} == set(said) - unchanged
    assert {"known.log", "build/known"} <= found
    assert "gone.log" in {each.path for each in diff}


def test_a_path_below_a_file_or_that_is_nowhere_is_judged_by_the_rules_above_it(roots):
    taken = Taken(*roots)

    assert taken("new.txt/below") is True
    assert taken("nowhere/at/all.log") is False
    assert taken("nowhere/at/all") is True
