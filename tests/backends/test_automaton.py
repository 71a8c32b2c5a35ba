"""The linear automaton says what `re` says, and takes no time over it."""

from __future__ import annotations

import random
import re
import time

import pytest

from runner.backends import automaton
from runner.backends.automaton import HARMLESS, TooLarge, compile_linear, parse, risk_of

ATOMS = [
    "a", "b", ".", "[ab]", "[^a]", r"\w", r"\s", r"\d", r"\b", "^", "$", "a|b", "(a|ab)", "(?:b*)",
    "a+", "b?", "(a|b)*", "(?i:A)", "x{2,3}", "(a?){3}", "é", "_", "(?:a|b|)", "(?s:.)", "a*?",
]  # fmt: skip


@pytest.mark.parametrize("seed", range(6))
def test_it_says_what_re_says(seed):
    rng = random.Random(seed)
    for _ in range(400):
        pattern = "".join(rng.choices(ATOMS, k=rng.randrange(1, 6)))
        parsed = parse(pattern, rng.choice([0, re.IGNORECASE]))
        expected, matches = parsed.compiled().search, compile_linear(parsed)
        for _ in range(8):
            text = "".join(rng.choices("abAx _é1\r", k=rng.randrange(9)))
            assert matches(text) == (expected(text) is not None), (pattern, text)


def test_a_boundary_is_none_where_there_is_none():
    assert compile_linear(parse(r"a\Bb", 0))("ab")
    assert not compile_linear(parse(r"\Ba", 0))("a b")


@pytest.mark.parametrize(
    ("pattern", "harmless", "endless"),
    [
        ("plain", None, False),
        ("a*", HARMLESS[1], False),
        ("a*b+", HARMLESS[2], False),
        ("(?:foo|bar)+", HARMLESS[1], False),
        (".*.*.*.*=", 0, False),
        ("(a+)+", 0, True),
        ("(a|a)*", 0, True),
        ("(?:a|[bc]x)+", 0, True),
        ("(?:ax|Ay)+", 0, True),
        ("(a{1,3}){2}", 0, True),
        ("(a|)+", 0, True),
        ("a?" * 13, 0, True),
    ],
)
def test_what_a_pattern_may_cost(pattern, harmless, endless):
    risk = risk_of(parse(pattern, 0))

    assert (risk.harmless, risk.endless) == (harmless, endless)


@pytest.mark.parametrize("pattern", ["(a+)+$", "(a|a)*$", "(?:a*)*b", "a?" * 40 + "a" * 40])
def test_a_hostile_pattern_is_linear(pattern):
    matches = compile_linear(parse(pattern, 0))
    start = time.perf_counter()
    matches("a" * 100_000 + "!")

    assert time.perf_counter() - start < 5


def test_what_was_met_is_forgotten_when_it_is_too_much(monkeypatch):
    monkeypatch.setattr(automaton, "MOST_KNOWN", 3)
    matches = compile_linear(parse("(a|b)*a(a|b)(a|b)(a|b)c", 0))
    text = "".join(random.Random(1).choices("ab", k=500))

    assert not matches(text)
    assert matches(text + "abbac")


def test_what_is_too_large_is_refused():
    with pytest.raises(TooLarge):
        compile_linear(parse("((a{1,90}){1,90}){1,90}", 0))
