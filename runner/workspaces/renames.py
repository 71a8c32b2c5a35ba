"""Which of the deleted files are the added ones: by content, as git finds renames.

1. The same content under another name is a rename; of several that could be it, the one with the
   same last name comes first. Empty files are all the same: they are renamed only if the last name
   is the same too.
2. Of the files that are left, those that have at least half of their bytes in common, by lines (or
   64 bytes where lines are longer); the most similar first. The measure is git's
   (diffcore-delta.c), so the percentages are its own.

Bounded, as git's is by `diff.renameLimit`: beyond `MOST_PAIRS` or `MOST_BYTES` only the first rule
is followed, so large changes cost little. Pure: contents are read by the caller's function.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import TypeAlias

import attrs

from runner.workspaces.comparing import Change, path_order
from runner.workspaces.listing import Entry, EntryType
from runner.workspaces.objects import ObjectId

Read: TypeAlias = Callable[[ObjectId], bytes]

LEAST = 50  # percent, git's default
MOST_PAIRS = 500 * 500
MOST_BYTES = 1 << 26

_SPAN = re.compile(rb"[^\n]{0,63}\n|[^\n]{1,64}")
_WHOLE = 60_000  # git's MAX_SCORE: percentages are rounded as its are
_CRLF = b"\r\n"
_LOOK = 8000  # bytes that git looks at for a NUL


def find_renames(changes: Iterable[Change], read: Read, *, least: int = LEAST) -> list[Change]:
    """The changes, with those that are renames as one instead of two; sorted by path.

    Args:
        changes: as `compare` gives them.
        read: the whole content of a file.
        least: how similar two files must be, in percent.
    """
    rest = list(changes)
    deleted = [each for each in rest if each.type == "deleted" and _is_usable(each.before)]
    added = [each for each in rest if each.type == "added" and _is_usable(each.after)]
    pairs = _exact(deleted, added)
    taken = {id(each) for old, new, _ in pairs for each in (old, new)}
    deleted = [each for each in deleted if id(each) not in taken]
    added = [each for each in added if id(each) not in taken]
    pairs += _similar(deleted, added, read, least)
    if not pairs:
        return rest
    taken = {id(each) for old, new, _ in pairs for each in (old, new)}
    found = [each for each in rest if id(each) not in taken]
    found += [_renamed(old, new, score) for old, new, score in pairs]
    found.sort(key=path_order)
    return found


_Pair: TypeAlias = tuple[Change, Change, int]


def _renamed(old: Change, new: Change, score: int) -> Change:
    return attrs.evolve(
        new, type="renamed", old_path=old.path, before=old.before, similarity=score * 100 // _WHOLE
    )


def _is_usable(entry: Entry | None) -> bool:
    return entry is not None and entry.type in {EntryType.FILE, EntryType.LINK}


def _entry(change: Change) -> Entry:
    found = change.before or change.after
    assert found is not None  # `_is_usable` saw it
    return found


def _last(change: Change) -> str:
    return change.path.rpartition("/")[2]


def _exact(deleted: Sequence[Change], added: Sequence[Change]) -> list[_Pair]:
    """Pairs of one content: those of one last name, then the others."""
    pairs: list[_Pair] = []
    taken: set[int] = set()
    for key in (_content_and_name, _content):
        waiting: dict[object, list[Change]] = defaultdict(list)
        for old in reversed(deleted):
            if id(old) not in taken:
                waiting[key(old)].append(old)
        for new in added:
            same = waiting.get(key(new))
            if same and id(new) not in taken:
                pairs.append((same.pop(), new, _WHOLE))
                taken |= {id(each) for each in pairs[-1][:2]}
    return pairs


def _content_and_name(change: Change) -> object:
    entry = _entry(change)
    return entry.type, entry.id, _last(change)


def _content(change: Change) -> object:
    entry = _entry(change)
    # Empty files are all the same, and nobody's but their own.
    is_empty = entry.type is EntryType.FILE and not entry.size
    return entry.type, entry.id, id(change) if is_empty else 0


def _similar(
    deleted: Sequence[Change], added: Sequence[Change], read: Read, least: int
) -> list[_Pair]:
    """The best pairs of different contents."""
    deleted = [each for each in deleted if _entry(each).size]
    added = [each for each in added if _entry(each).size]
    size = sum(_entry(each).size for each in (*deleted, *added))
    if len(deleted) * len(added) > MOST_PAIRS or size > MOST_BYTES:
        return []
    found = _scores(deleted, added, read, least * _WHOLE // 100)
    found.sort(
        key=lambda each: (
            -each[2], _last(each[0]) != _last(each[1]), path_order(each[0]), path_order(each[1])
        )
    )  # fmt: skip
    pairs = []
    taken: set[int] = set()
    for old, new, score in found:
        if id(old) not in taken and id(new) not in taken:
            taken |= {id(old), id(new)}
            pairs.append((old, new, score))
    return pairs


def _scores(
    deleted: Sequence[Change], added: Sequence[Change], read: Read, least: int
) -> list[_Pair]:
    """All pairs that are similar enough.

    One pass over each content: which of the deleted files have a piece is looked up, so files that
    have nothing in common cost nothing.
    """
    where: dict[bytes, list[tuple[int, int]]] = defaultdict(list)
    for number, change in enumerate(deleted if added else ()):
        for piece, size in _pieces(read(_entry(change).id)).items():
            where[piece].append((number, size))
    found = []
    for new in added if deleted else ():
        common: dict[int, int] = defaultdict(int)
        for piece, size in _pieces(read(_entry(new).id)).items():
            for number, there in where.get(piece, ()):
                common[number] += min(size, there)
        for number, copied in common.items():
            old = deleted[number]
            score = copied * _WHOLE // max(_entry(old).size, _entry(new).size)
            if score >= least:
                found.append((old, new, score))
    return found


def _pieces(data: bytes) -> dict[bytes, int]:
    """How many bytes each piece of a content has in all; of a text, line ends count as one."""
    if b"\0" not in data[:_LOOK]:
        data = data.replace(_CRLF, b"\n")
    pieces: dict[bytes, int] = defaultdict(int)
    for piece in _SPAN.findall(data):
        pieces[piece] += len(piece)
    return pieces
