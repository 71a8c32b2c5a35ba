"""Three texts become one: what only one side changed is taken, and both where they did the same.

Where both changed the same lines, or lines that touch each other, in different ways, it is a
conflict, as git has it. Then the text has both, between markers (`<<<<<<<`, `=======`, `>>>>>>>`),
which some want to see in the file and others only counted.

Pure, bounded by `LARGEST`: what is longer, or binary, is not merged.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeAlias

import attrs

from runner.workspaces.matching import changes
from runner.workspaces.texts import is_binary, lines_of

LARGEST = 1 << 22
OURS, THEIRS = b"ours", b"theirs"

_Region: TypeAlias = tuple[int, int, int, int]
_Side: TypeAlias = list[_Region]


@attrs.frozen
class MergedText:
    """What came of it.

    Attributes:
        data: the text; with markers, if there are conflicts.
        conflicts: how many stretches both changed.
    """

    data: bytes
    conflicts: int = 0


def merge_texts(
    base: bytes, ours: bytes, theirs: bytes, *, labels: tuple[bytes, bytes] = (OURS, THEIRS)
) -> MergedText | None:
    """Merge two texts that were made of one; None if one of them is binary or too long.

    Args:
        base: what they were made of; empty if there was nothing.
        ours: the one.
        theirs: the other.
        labels: what stands at the markers.
    """
    texts = (base, ours, theirs)
    if any(len(each) > LARGEST or is_binary(each) for each in texts):
        return None
    from_, mine, yours = (lines_of(each) for each in texts)
    parts: list[bytes] = []
    at = conflicts = 0
    for low, high, my, your in _groups(list(changes(from_, mine)), list(changes(from_, yours))):
        parts += from_[at:low]
        at = high
        one, other = _now(from_, mine, my, low, high), _now(from_, yours, your, low, high)
        if not your or one == other:
            parts += one
        elif not my:
            parts += other
        else:
            conflicts += 1
            parts += _marked(one, other, labels)
    return MergedText(b"".join([*parts, *from_[at:]]), conflicts)


def _groups(ours: _Side, theirs: _Side) -> Iterator[tuple[int, int, _Side, _Side]]:
    """Changes of both sides that touch each other: from and to in the base, and which they are."""
    mine, yours = 0, 0
    while mine < len(ours) or yours < len(theirs):
        starts = [side[at][0] for side, at in ((ours, mine), (theirs, yours)) if at < len(side)]
        low = high = min(starts)
        first, second = mine, yours
        grown = True
        while grown:
            grown = False
            while mine < len(ours) and ours[mine][0] <= high:
                high, mine, grown = max(high, ours[mine][1]), mine + 1, True
            while yours < len(theirs) and theirs[yours][0] <= high:
                high, yours, grown = max(high, theirs[yours][1]), yours + 1, True
        yield low, high, ours[first:mine], theirs[second:yours]


def _now(
    base: Sequence[bytes], text: Sequence[bytes], side: _Side, low: int, high: int
) -> list[bytes]:
    """What one side has for these lines of the base."""
    parts: list[bytes] = []
    at = low
    for from_, to, new_from, new_to in side:
        parts += (*base[at:from_], *text[new_from:new_to])
        at = to
    return [*parts, *base[at:high]]


def _marked(
    one: Sequence[bytes], other: Sequence[bytes], labels: tuple[bytes, bytes]
) -> Iterator[bytes]:
    yield b"<<<<<<< %s\n" % labels[0]
    yield from _ended(one)
    yield b"=======\n"
    yield from _ended(other)
    yield b">>>>>>> %s\n" % labels[1]


def _ended(lines: Sequence[bytes]) -> Iterator[bytes]:
    """A marker begins a line of its own, also after a text without a newline at its end."""
    for each in lines:
        yield each if each.endswith(b"\n") else each + b"\n"
