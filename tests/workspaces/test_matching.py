from __future__ import annotations

import random
import time
from difflib import SequenceMatcher

from hypothesis import given
from hypothesis import strategies as st

from runner.workspaces import matching
from runner.workspaces.matching import changes
from runner.workspaces.matching import matching as matched

LINES = st.lists(st.sampled_from("abcdef"), max_size=25)


def longest(one, other) -> int:
    """The length of a longest common subsequence, by the book."""
    row = [0] * (len(other) + 1)
    for x in one:
        before = 0
        for at, y in enumerate(other, 1):
            before, row[at] = row[at], before + 1 if x == y else max(row[at], row[at - 1])
    return row[-1]


def check(one, other) -> int:
    """That it is an answer at all; how many are common."""
    blocks = matched(one, other)
    x = y = total = 0
    for at_x, at_y, length in blocks:
        assert at_x >= x
        assert at_y >= y
        assert list(one[at_x : at_x + length]) == list(other[at_y : at_y + length])
        x, y, total = at_x + length, at_y + length, total + length
    assert blocks[-1] == (len(one), len(other), 0)
    assert all(length for _, _, length in blocks[:-1])
    return total


@given(LINES, LINES)
def test_it_is_a_longest_common_subsequence(one, other):
    assert check(one, other) == longest(one, other)


@given(LINES, LINES, st.integers(0, 4))
def test_where_too_much_is_different_it_is_one_all_the_same(one, other, most):
    before, matching.MOST = matching.MOST, most
    try:
        assert check(one, other) <= longest(one, other)
    finally:
        matching.MOST = before


def test_what_lies_between_makes_one_of_the_other():
    chance = random.Random(1)
    for _ in range(50):
        one = chance.choices("abcdefgh", k=30)
        other = chance.choices("abcdefgh", k=30)
        built, at = [], 0
        for from_, to, new_from, new_to in changes(one, other):
            built += one[at:from_] + other[new_from:new_to]
            at = to

        assert built + one[at:] == other


def test_large_texts_that_have_little_in_common_are_no_trouble():
    chance = random.Random(2)
    one = [chance.randrange(15_000) for _ in range(10_000)]
    other = [chance.randrange(15_000) for _ in range(10_000)]
    few = [chance.randrange(3) for _ in range(1_500)]
    also = [chance.randrange(3) for _ in range(1_500)]
    begun = time.process_time()

    check(one, other)
    check(few, also)

    assert time.process_time() - begun < 20


def test_when_it_took_too_many_steps_what_is_left_is_replaced(monkeypatch):
    one = [*"abc" * 40, "middle", *"abd" * 40]
    other = [*"bca" * 40, "middle", *"dba" * 40]
    whole = check(one, other)
    monkeypatch.setattr(matching, "EFFORT", 20)

    assert 1 <= check(one, other) < whole


def test_blocks_moved_in_a_large_text_are_found_by_lines_that_stand_once():
    one = list(range(20_000))
    other = [*range(2_000), *range(10_000, 20_000), *range(2_000, 10_000)]

    assert check(one, other) == 12_000


def test_no_block_touches_the_next():
    blocks = matched("abXcd", "abYcd")

    assert blocks == [(0, 0, 2), (3, 3, 2), (5, 5, 0)]
    assert SequenceMatcher(None, "abXcd", "abYcd").get_matching_blocks() == blocks
