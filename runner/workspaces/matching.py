"""Which lines two texts have in common: what diffs and merges are made of.

The answer is a longest common subsequence wherever the texts are not too different (Myers, "An
O(ND) difference algorithm", 1986), so a diff is as short as git's. Lines that only one of the two
has are put aside first: a rewritten text costs nothing. Where more than `MOST` lines differ in a
stretch, it is cut at lines that stand exactly once in both (Bram Cohen's patience diff), and where
there is none, it is taken as replaced. When the search has taken `EFFORT` steps in all, that is
done at once. So the time is bounded for any input: a longer diff, never a wrong one.

Pure. What is compared can be any hashable values.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Hashable, Iterator, Sequence
from typing import TypeAlias

Pair: TypeAlias = tuple[int, int]
Block: TypeAlias = tuple[int, int, int]  # start in one, start in the other, length

MOST = 512
EFFORT = 1 << 23  # some seconds

_Region: TypeAlias = tuple[int, int, int, int]


def matching(one: Sequence[Hashable], other: Sequence[Hashable]) -> list[Block]:
    """The stretches that both have, in their order; the last is empty, and ends both."""
    numbers: dict[Hashable, int] = {}
    a = [numbers.setdefault(each, len(numbers)) for each in one]
    b = [numbers.setdefault(each, len(numbers)) for each in other]
    start, end = _ends(a, b)
    blocks = [(0, 0, start)] if start else []
    in_a = set(a[start : len(a) - end])
    in_b = set(b[start : len(b) - end])
    # What only one side has takes no part: it is deleted, or added, in any case.
    at_a = [at for at in range(start, len(a) - end) if a[at] in in_b]
    at_b = [at for at in range(start, len(b) - end) if b[at] in in_a]
    for x, y in _common([a[at] for at in at_a], [b[at] for at in at_b]):
        _append(blocks, at_a[x], at_b[y], 1)
    if end:
        _append(blocks, len(a) - end, len(b) - end, end)
    return [*blocks, (len(a), len(b), 0)]


def changes(one: Sequence[Hashable], other: Sequence[Hashable]) -> Iterator[_Region]:
    """What lies between: from and to in the one, from and to in the other."""
    x = y = 0
    for start_x, start_y, length in matching(one, other):
        if x < start_x or y < start_y:
            yield x, start_x, y, start_y
        x, y = start_x + length, start_y + length


def _append(blocks: list[Block], x: int, y: int, length: int) -> None:
    if blocks:
        before_x, before_y, before = blocks[-1]
        if before_x + before == x and before_y + before == y:
            blocks[-1] = (before_x, before_y, before + length)
            return
    blocks.append((x, y, length))


def _ends(a: Sequence[int], b: Sequence[int]) -> Pair:
    """How many are equal at the beginning, and how many of the others at the end."""
    most = min(len(a), len(b))
    start = 0
    while start < most and a[start] == b[start]:
        start += 1
    end = 0
    while end < most - start and a[-1 - end] == b[-1 - end]:
        end += 1
    return start, end


def _common(a: Sequence[int], b: Sequence[int]) -> list[Pair]:
    pairs: list[Pair] = []
    effort = EFFORT
    todo: list[_Region] = [(0, len(a), 0, len(b))]
    while todo:
        low_a, high_a, low_b, high_b = todo.pop()
        part_a, part_b = a[low_a:high_a], b[low_b:high_b]
        start, end = _ends(part_a, part_b)
        pairs += ((low_a + at, low_b + at) for at in range(start))
        pairs += ((high_a - at, high_b - at) for at in range(1, end + 1))
        part_a, part_b = part_a[start : len(part_a) - end], part_b[start : len(part_b) - end]
        low_a, low_b = low_a + start, low_b + start
        if not part_a or not part_b:
            continue
        shortest, steps = _shortest(part_a, part_b, effort)
        effort -= steps
        if shortest is not None:
            pairs += ((low_a + x, low_b + y) for x, y in shortest)
            continue
        x = y = 0
        for at_x, at_y in (*_anchors(part_a, part_b), (len(part_a), len(part_b))):
            if at_x < len(part_a):
                pairs.append((low_a + at_x, low_b + at_y))
            if (x, y, at_x, at_y) != (0, 0, len(part_a), len(part_b)):
                todo.append((low_a + x, low_a + at_x, low_b + y, low_b + at_y))
            x, y = at_x + 1, at_y + 1
    pairs.sort()
    return pairs


def _shortest(a: Sequence[int], b: Sequence[int], effort: int) -> tuple[list[Pair] | None, int]:
    """A longest common subsequence, and the steps it took; None if that is too many of them."""
    furthest = {1: 0}  # diagonal -> how far in a
    seen = []
    taken = 0
    for differing in range(min(MOST, len(a) + len(b)) + 1):
        if taken > effort:
            break
        seen.append(furthest.copy())
        for k in range(-differing, differing + 1, 2):
            if k == -differing or (k != differing and furthest[k - 1] < furthest[k + 1]):
                x = furthest[k + 1]
            else:
                x = furthest[k - 1] + 1
            y = x - k
            taken += 1 - x
            while x < len(a) and y < len(b) and a[x] == b[y]:
                x, y = x + 1, y + 1
            taken += x
            furthest[k] = x
            if x >= len(a) and y >= len(b):
                return _way_back(seen, x, y), taken
    return None, taken


def _way_back(seen: Sequence[dict[int, int]], x: int, y: int) -> list[Pair]:
    pairs = []
    for steps in range(len(seen) - 1, -1, -1):
        furthest, k = seen[steps], x - y
        if k == -steps or (k != steps and furthest[k - 1] < furthest[k + 1]):
            k += 1
        else:
            k -= 1
        from_x = furthest[k]
        from_y = from_x - k
        while x > from_x and y > from_y:
            x, y = x - 1, y - 1
            pairs.append((x, y))
        x, y = from_x, from_y
    pairs.reverse()
    return pairs


def _anchors(a: Sequence[int], b: Sequence[int]) -> list[Pair]:
    """The most lines that stand once in both and have the same order there."""
    once_a = {each for each, count in Counter(a).items() if count == 1}
    once_b = {each for each, count in Counter(b).items() if count == 1}
    at_b = {each: at for at, each in enumerate(b) if each in once_b}
    piles: list[int] = []
    tops: list[int] = []  # of each pile: its top's place in `cards`
    cards: list[tuple[int, int, int]] = []  # x, y, the card before it in the pile at its left
    for x, each in enumerate(a):
        if each in once_a and each in at_b:
            y = at_b[each]
            pile = bisect_left(piles, y)
            cards.append((x, y, tops[pile - 1] if pile else -1))
            piles[pile : pile + 1] = [y]
            tops[pile : pile + 1] = [len(cards) - 1]
    found = []
    at = tops[-1] if tops else -1
    while at >= 0:
        x, y, at = cards[at]
        found.append((x, y))
    found.reverse()
    return found
