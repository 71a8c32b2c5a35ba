"""`.gitignore` rules: what our reading of them leaves is what `rg --files` names."""

from __future__ import annotations

import os
import random
import subprocess
import time

import pytest

from runner.backends.gitignore import LONGEST_RULE, Ignored, Rules
from runner.backends.local import LocalBackend
from runner.backends.ripgrep.command import program

NAMES = [
    "a",
    "b",
    "ab",
    "a.log",
    "b.log",
    "foo",
    ".h",
    "build",
    "x-y",
    "é",
    "a b",
    "[x]",
    "!n",
    "#c",
]
PIECES = [
    "a", "b", "*", "?", "**", "/", ".log", "foo", "[ab]", "[!a]", "[^b]", "[a-c]", "{a,b}",
    "{a,b/c}", "build", "\\", "!", "#", " ", "x-y", "é", "[]x]", ".*", "-", "**/", "/**", "{", "}",
    ",", "h", "[a-]", "{*,a}", "[c-a]", "[", "{}",
]  # fmt: skip


def _rule(rng):
    rule = "".join(rng.choices(PIECES, k=rng.randrange(1, 5)))
    return rng.choice(["", "", "!"]) + rng.choice(["", "", "/"]) + rule + rng.choice(["", "", "/"])


def _grow(root, rng):
    directories = [root]
    for _ in range(6):
        directories.append(rng.choice(directories) / rng.choice(NAMES))
        directories[-1].mkdir(exist_ok=True)
    for _ in range(40):
        path = rng.choice(directories) / rng.choice(NAMES)
        if not path.exists():
            path.touch()
    for directory in rng.sample(directories, 3):
        text = "\n".join(_rule(rng) for _ in range(3))
        (directory / ".gitignore").write_text(text + rng.choice(["", "\n", "\r\n"]))


@pytest.mark.parametrize("seed", range(40))
async def test_it_leaves_what_ripgrep_names(root, seed):
    _grow(root, random.Random(seed))
    command = [program(), "--files", "--hidden", "--null", "--no-config", "--no-messages"]
    command += ["--no-require-git", "--no-ignore-parent", "--no-ignore-dot", "--no-ignore-global"]
    said = subprocess.run([*command, "./"], cwd=root, capture_output=True, check=False).stdout
    theirs = sorted(os.fsdecode(each)[2:] for each in said.split(b"\0") if each)
    backend = LocalBackend(root)
    found = await backend.glob("**/*", hidden=True, gitignore=True)
    ours = [each for each in found.paths if (root / each).is_file()]

    assert sorted(ours) == theirs
    await backend.aclose()


def _says(rules, path, *, is_directory=False):
    return Rules(rules).says(path, is_directory=is_directory)


def test_rules_that_cannot_be_understood_are_none():
    for rule in ["{", "}", "[", "[z-a]", "\\", "{a", "x" * (LONGEST_RULE + 1)]:
        assert not Rules(rule.encode())
    assert not Rules(b"# nothing\n\n   \n")
    assert Rules(b"\xef\xbb\xbfa\n")
    assert not Rules(b"\xff\na\n")  # as ripgrep: what is not text ends the file


def test_the_last_rule_that_says_anything_decides():
    assert _says(b"*.log\n!a.log", b"a.log") is False
    assert _says(b"!a.log\n*.log", b"a.log") is True
    assert _says(b"*.log", b"a.txt") is None
    assert _says(b"d/", b"d") is None
    assert _says(b"d/", b"d", is_directory=True) is True
    assert _says(b"a\\ \n", b"a ") is True
    assert _says(b"\\#a", b"#a") is True


def test_rules_above_where_a_walk_begins():
    above = Ignored(Rules(b"/src/gen\n*.log\n"), 0, "src/")
    inner = Ignored(Rules(b"!x.log\n"), 2, "", above)

    assert above.takes("gen", is_directory=True)
    assert not inner.takes("d/gen", is_directory=True)
    assert inner.takes("d/y.log", is_directory=False)
    assert not inner.takes("d/x.log", is_directory=False)


@pytest.mark.parametrize(
    "rule",
    [
        "*a" * 400 + "b",
        "a/" + "**/a/" * 100,
        "{a,a}" * 60 + "b",
        "{*a,*a}" * 20,
        "[a-z]*" * 100 + "0",
    ],
)
def test_a_hostile_rule_takes_no_time(rule):
    start = time.perf_counter()
    for _ in range(20):
        _says(rule.encode(), b"a" * 255)
        _says(rule.encode(), b"a/" * 100 + b"a")

    assert time.perf_counter() - start < 5
