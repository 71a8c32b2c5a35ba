"""Which files do not count."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner.errors import ConfigError
from runner.watching.patterns import make_rules
from runner.watching.walking import Walk


@pytest.mark.parametrize(
    ("ignore", "left"),
    [
        (
            (),
            {
                "a.pyc",
                "a.py",
                "sub/b.pyc",
                "sub/c/d.py",
                "node_modules/x/y.js",
                "sub/node_modules/z",
            },
        ),
        (("*.pyc",), {"a.py", "sub/c/d.py", "node_modules/x/y.js", "sub/node_modules/z"}),
        (
            ("sub/*.pyc",),
            {"a.pyc", "a.py", "sub/c/d.py", "node_modules/x/y.js", "sub/node_modules/z"},
        ),
        (("sub/**",), {"a.pyc", "a.py", "node_modules/x/y.js"}),
        (("**/node_modules/**",), {"a.pyc", "a.py", "sub/b.pyc", "sub/c/d.py"}),
        (("node_modules",), {"a.pyc", "a.py", "sub/b.pyc", "sub/c/d.py"}),
        (("node_modules/", "a.py/"), {"a.pyc", "a.py", "sub/b.pyc", "sub/c/d.py"}),
        (
            ("sub/c/",),
            {"a.pyc", "a.py", "sub/b.pyc", "node_modules/x/y.js", "sub/node_modules/z"},
        ),
        (("**/*.py", "*.{pyc,js}"), {"sub/node_modules/z"}),
    ],
)
def test_what_the_caller_does_not_care_for_is_left_out(
    tmp_path: Path, ignore: tuple[str, ...], left: set[str]
) -> None:
    for name in (
        "a.pyc",
        "a.py",
        "sub/b.pyc",
        "sub/c/d.py",
        "node_modules/x/y.js",
        "sub/node_modules/z",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()

    rules = make_rules(ignore)
    walk = Walk(str(tmp_path), rules)
    walk.advance(1000, float("inf"))

    assert left == {path for path in walk.tree.files() if not rules.omits_file(path)}


@pytest.mark.parametrize(
    ("ignore", "message"),
    [
        ("*.pyc", r"did you mean \['\*.pyc'\]"),
        (None, "None is no list of patterns"),
        (5, "5 is no list of patterns"),
        ((b"x",), "b'x' is no pattern of paths"),
        (("",), "'' is no pattern of paths"),
        (("a\0",), "is no pattern of paths"),
        (("/a/**",), "relative to the session's directory; did you mean 'a/\\*\\*'"),
        (("./a",), "did you mean 'a'"),
        (("a//b",), "did you mean 'a/b'"),
        (("../a",), "relative to the session's directory$"),
        (("/",), "relative to the session's directory$"),
        (("{1..5000}",), "cannot be used: Pattern limit"),
    ],
)
def test_patterns_that_cannot_be_meant_are_refused(ignore: object, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make_rules(ignore)  # type: ignore[arg-type]


def test_patterns_are_of_whole_names_whatever_is_in_them() -> None:
    rules = make_rules(("a\nb*", "\udcff?"))

    assert rules.omits_file("sub/a\nb\nc")
    assert rules.omits_file("\udcff\n")
    assert not rules.omits_file("a")
