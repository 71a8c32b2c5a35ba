"""The rules of routes and of what is left of a pattern: for any names and patterns."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.backends.composite.residuals import quoted, residual
from runner.backends.composite.routes import Routes, collapsed
from runner.backends.memory import MemoryBackend
from runner.backends.search import UnusablePattern, compile_glob

NAMES = st.lists(st.sampled_from(["a", "b", ".a", "ab", "1", "a,b", "a{b", "{a}", "*"]), min_size=1)
PIECES = st.sampled_from(
    [
        "a", "b", ".a", "*", "?", "**", "[ab]", "[!a]", "{a,b}", "{a,b/a}", "{,a}", "a*", ".*",
        "{a/,b}", "\\*", "{1..2}", "a{b", "{a}", "a,b", "[a,b]", "**a", "***",
    ]
)  # fmt: skip
RAW = st.text(alphabet="ab.*?[]!{},\\-1", min_size=1, max_size=6)
PATTERNS = st.builds(
    lambda names, end: "/".join(names) + end,
    st.lists(PIECES | RAW, min_size=1, max_size=4),
    st.sampled_from(["", "", "/"]),
)


@settings(max_examples=500)
@given(PATTERNS, NAMES, NAMES, st.booleans(), st.booleans())
def test_what_is_left_of_a_pattern_matches_below_what_the_whole_matches(
    pattern, above, below, hidden, is_directory
):
    try:
        whole = compile_glob(pattern, hidden=hidden)
    except UnusablePattern:
        return
    left = residual(pattern, tuple(above), hidden=hidden)
    matches = left is not None and compile_glob(left, hidden=hidden).matches(
        "/".join(below), is_directory=is_directory
    )

    assert matches == whole.matches("/".join(above + below), is_directory=is_directory)


@given(
    st.text(min_size=1, max_size=8).filter(lambda name: not {"/", "\0"} & set(name)),
    st.text(max_size=8),
)
def test_a_quoted_name_matches_itself_and_nothing_else(name, other):
    if name in {".", ".."}:
        return
    glob = compile_glob(quoted(name), hidden=True)

    assert glob.matches(name)
    assert glob.matches(other) == (other == name)


MEMBER = st.lists(st.sampled_from("abc"), min_size=1, max_size=3).map(tuple)
WRITTEN = st.lists(st.sampled_from(["a", "b", "c", "..", ".", ""]), min_size=1, max_size=6)


@settings(max_examples=500)
@given(st.sets(MEMBER, max_size=4), WRITTEN, st.booleans())
def test_the_longest_prefix_owns_a_path_and_its_name_comes_back(prefixes, written, strip):
    members = {"/".join(each): MemoryBackend() for each in prefixes}
    routes = Routes(MemoryBackend(), members, strip=strip)
    path = "./" + "/".join(written)
    try:
        names = collapsed(each for each in written if each not in {"", "."})
    except OSError:
        with pytest.raises(OSError):
            routes.spot(path)
        return
    spot = routes.spot(path)
    fitting = [each for each in prefixes if names[: len(each)] == each]

    assert spot.names == names
    assert spot.route.prefix == max(fitting, key=len, default=())
    inner = collapsed(each for each in spot.path.split("/") if each not in {"", "."})
    assert inner == (names[len(spot.route.prefix) :] if strip else names)
    assert routes.outside(spot.route, "/".join(inner) or ".") == ("/".join(names) or ".")
    if ".." in spot.path.split("/"):  # as written: it stays with one member all the way
        here = list(spot.route.prefix) if strip else []
        for name in spot.path.split("/"):
            if name == "..":
                assert routes.owner(tuple(here)) is spot.route
                here.pop()
                assert routes.owner(tuple(here)) is spot.route
            elif name not in {"", "."}:
                here.append(name)


@given(st.sets(MEMBER, min_size=1, max_size=4), MEMBER)
def test_standing_directories_are_the_routes_and_the_ways_to_them(prefixes, names):
    members = {"/".join(each): MemoryBackend() for each in prefixes}
    routes = Routes(MemoryBackend(), members, strip=True)
    expected = {each[:depth] for each in prefixes for depth in range(1, len(each) + 1)}

    assert routes.is_standing(names) == (names in expected)
    assert routes.is_top(names) == (names in prefixes)
    assert set(routes.standing(())) == expected
    assert {each.prefix for each in routes.below(())} == prefixes
    assert not routes.is_standing(())
