"""Other entries at some paths of a tree: the listings that change by it. Pure."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TypeAlias

from runner.workspaces.comparing import Listing
from runner.workspaces.listing import EMPTY, Entry, EntryType, encode
from runner.workspaces.objects import Object, ObjectId

_Below: TypeAlias = "dict[bytes, Entry | _Below | None]"
_MODE = 0o755


def place(
    listing: Listing, root: ObjectId, entries: Mapping[str, Entry | None]
) -> tuple[ObjectId, tuple[Object, ...]]:
    """Put entries at paths of a tree; None takes away what is there.

    A directory that is left with nothing in it goes as well; one that is needed is made.

    Returns:
        The tree's new root, and the objects that may be new to the store.
    """
    below: _Below = {}
    for path, entry in entries.items():
        *directories, name = os.fsencode(path).split(b"/")
        where = below
        for each in directories:
            inner = where.setdefault(each, {})
            if not isinstance(inner, dict):
                raise ValueError(  # noqa: TRY004 - of the paths, not of a type
                    f"{path!r} lies below a path that has an entry of its own"
                )
            where = inner
        where[name] = entry
    objects: dict[ObjectId, Object] = {}
    return _directory(listing, root, below, objects), tuple(objects.values())


def _directory(
    listing: Listing, id_: ObjectId, below: _Below, objects: dict[ObjectId, Object]
) -> ObjectId:
    there = {each.name: each for each in listing(id_)}
    for name, wanted in below.items():
        entry: Entry | None
        if isinstance(wanted, dict):
            old = there.get(name)
            if old is None or old.type is not EntryType.DIRECTORY:
                if not _puts_any(wanted):
                    continue  # nothing is below it that could be taken away
                old = Entry(name, EntryType.DIRECTORY, _MODE, EMPTY.id)
            new = _directory(listing, old.id, wanted, objects)
            entry = None if new == EMPTY.id else Entry(name, EntryType.DIRECTORY, old.mode, new)
        else:
            entry = wanted
        if entry is None:
            there.pop(name, None)
        else:
            there[name] = entry
    made = encode(there.values())
    objects[made.id] = made
    return made.id


def _puts_any(below: _Below) -> bool:
    values = below.values()
    return any(_puts_any(each) if isinstance(each, dict) else bool(each) for each in values)
