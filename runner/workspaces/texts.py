"""Two texts as a unified diff: hunks, and how many lines were added and deleted.

Bytes in, bytes out: lines end with a newline only, as git has it, and nothing is decoded. What has
a NUL in its first 8,000 bytes is binary, as git has it; what is longer than `LARGEST`, or has more
than `MOST_LINES`, is treated as if it were.

Pure. Which lines are common is found elsewhere (matching.py); file headers too (patching.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeAlias

import attrs

from runner.workspaces.matching import changes

LARGEST = 1 << 24
MOST_LINES = 500_000
CONTEXT = 3

_LOOK = 8000
_NO_NEWLINE = b"\n\\ No newline at end of file\n"

_Region: TypeAlias = tuple[int, int, int, int]


@attrs.frozen
class Counts:
    """How much of a text is different, in lines."""

    added: int = 0
    deleted: int = 0


def is_binary(data: bytes) -> bool:
    """Whether git would take it for binary, or it is too long to be compared by lines."""
    return len(data) > LARGEST or b"\0" in data[:_LOOK] or data.count(b"\n") > MOST_LINES


def lines_of(data: bytes) -> list[bytes]:
    """The lines, with their newlines; the last one may have none."""
    lines = data.split(b"\n")
    last = lines.pop()
    lines = [each + b"\n" for each in lines]
    return [*lines, last] if last else lines


def count(before: bytes, after: bytes) -> Counts:
    """How many lines were added and deleted."""
    regions = list(changes(lines_of(before), lines_of(after)))
    return Counts(
        added=sum(to - from_ for _, _, from_, to in regions),
        deleted=sum(to - from_ for from_, to, _, _ in regions),
    )


def hunks(before: bytes, after: bytes, context: int = CONTEXT) -> Iterator[bytes]:
    """The hunks of a unified diff; none if the texts are equal."""
    old, new = lines_of(before), lines_of(after)
    group: list[_Region] = []
    for region in changes(old, new):
        if group and region[0] - group[-1][1] > 2 * context:
            yield _hunk(old, new, group, context)
            group = []
        group.append(region)
    if group:
        yield _hunk(old, new, group, context)


def _hunk(
    old: Sequence[bytes], new: Sequence[bytes], group: Sequence[_Region], context: int
) -> bytes:
    lead = min(context, group[0][0])
    tail = min(context, len(old) - group[-1][1])
    from_, to = group[0][0] - lead, group[-1][1] + tail
    new_from, new_to = group[0][2] - lead, group[-1][3] + tail
    parts = [b"@@ -%s +%s @@\n" % (_range(from_, to), _range(new_from, new_to))]
    at = from_
    for old_from, old_to, added_from, added_to in group:
        parts += (_line(b" ", each) for each in old[at:old_from])
        parts += (_line(b"-", each) for each in old[old_from:old_to])
        parts += (_line(b"+", each) for each in new[added_from:added_to])
        at = old_to
    parts += (_line(b" ", each) for each in old[at:to])
    return b"".join(parts)


def _line(sign: bytes, line: bytes) -> bytes:
    return sign + line if line.endswith(b"\n") else sign + line + _NO_NEWLINE


def _range(from_: int, to: int) -> bytes:
    """As git writes it: an empty range is said by the line before it."""
    length = to - from_
    start = from_ + 1 if length else from_
    return b"%d" % start if length == 1 else b"%d,%d" % (start, length)
