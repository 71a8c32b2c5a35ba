"""A directory as an object: its entries, sorted by name, each with the id of what it is.

    a line that says so, then of each: type, mode, size, group, id, length of the name, name

The id of a listing so stands for all that is below: equal directories have equal ids, however deep
they are, and a change is a new listing in each directory above it.

What a listing says has one way to be said: what is odd (names out of order, `..`, a link with a
mode) is refused in both directions, so nobody who reads one needs to look again, wherever it came
from.

Values only. No part of it: owners, times, extended attributes; the mode of the top directory;
sockets and devices.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from enum import IntEnum

import attrs

from runner.errors import StoreDamaged
from runner.workspaces.objects import NO_ID, Kind, Object, ObjectId, make

HEADER = b"runner listing 1\n"
# Nobody gets the rights of a file's owner or group by restoring it.
MODES = 0o1777

_FIXED = struct.Struct(">BHQQ32sH")
_MOST = (1 << 64) - 1
_LONGEST = (1 << 16) - 1


class EntryType(IntEnum):
    """What a directory has under a name."""

    FILE = 1
    DIRECTORY = 2
    LINK = 3
    FIFO = 4


@attrs.frozen
class Entry:
    """A line of a listing.

    Attributes:
        name: as the file system has it.
        mode: 0o1777 at most (no setuid, no setgid); 0 for links.
        id: of a file: a content, or a list of chunks if it has more than `CHUNK` bytes; of a link:
            the content that is its target; of a directory: a listing; of a fifo: `NO_ID`.
        size: bytes of a file, else 0.
        group: the inode's number if that has other names too, else 0; entries of one tree with the
            same are linked again when it is restored. A directory has none. It is no change if
            only this differs.
    """

    name: bytes
    type: EntryType
    mode: int
    id: ObjectId
    size: int = 0
    group: int = 0


def encode(entries: Iterable[Entry]) -> Object:
    """The listing of these entries, in whichever order they come.

    Raises:
        ValueError: two have one name, or one cannot be in a listing.
    """
    parts = [HEADER]
    before = b""
    for each in sorted(entries, key=_name):
        problem = _problem(each, before)
        if problem:
            raise ValueError(f"the entry {each.name!r} {problem}")
        before = each.name
        fixed = (each.type, each.mode, each.size, each.group, each.id, len(before))
        parts += (_FIXED.pack(*fixed), before)
    return make(Kind.LISTING, b"".join(parts))


def decode(data: bytes) -> tuple[Entry, ...]:
    """Read a listing: its entries, sorted by name.

    Raises:
        StoreDamaged: it is none that `encode` makes.
    """
    if not data.startswith(HEADER):
        raise StoreDamaged("a listing does not begin like one")
    found = []
    before, at, end = b"", len(HEADER), len(data)
    while at < end:
        start = at + _FIXED.size
        if start > end:
            raise StoreDamaged("a listing ends within an entry")
        kind, mode, size, group, id_, length = _FIXED.unpack_from(data, at)
        at = start + length
        name = data[start:at]
        if at > end:
            raise StoreDamaged(f"a listing ends within the name of an entry, {name!r}")
        type_ = _TYPES.get(kind)
        if type_ is None:
            raise StoreDamaged(f"the entry {name!r} of a listing is of an unknown type, {kind}")
        entry = Entry(name, type_, mode, ObjectId(id_), size, group)
        problem = _problem(entry, before)
        if problem:
            raise StoreDamaged(f"the entry {name!r} of a listing {problem}")
        found.append(entry)
        before = name
    return tuple(found)


def _problem(entry: Entry, before: bytes) -> str:
    """Why it cannot come after that name; empty if it can."""
    name = entry.name
    if name <= before:
        return "has no name" if not name else "comes twice, or out of order"
    if b"/" in name or b"\0" in name or name in {b".", b".."} or len(name) > _LONGEST:
        return "has a name that no file can have"
    type_ = entry.type
    modes, most_bytes, most_groups = _BOUNDS[type_]
    if entry.mode & ~modes:
        return f"has a mode that is not kept, {entry.mode:#o}"
    if len(entry.id) != len(NO_ID) or (entry.id == NO_ID) is not (type_ is EntryType.FIFO):
        return "has an id that is none of its type"
    if not (0 <= entry.size <= most_bytes and 0 <= entry.group <= most_groups):
        return f"has a size or a group that is none of its type, {entry.size} and {entry.group}"
    return ""


def _name(entry: Entry) -> bytes:
    return entry.name


_TYPES = {int(each): each for each in EntryType}
# Of each type: the modes that it can have, and the largest size and group.
_BOUNDS = {
    EntryType.FILE: (MODES, _MOST, _MOST),
    EntryType.DIRECTORY: (MODES, 0, 0),
    EntryType.LINK: (0, 0, _MOST),
    EntryType.FIFO: (MODES, 0, _MOST),
}

# The root of a tree in which nothing is.
EMPTY = encode(())
