"""Glimpses in files: so that what a program had changed is known when we are killed beside it.

They stay on this machine and are ours, so marshal does. What is none of ours is as good as nothing.
"""

from __future__ import annotations

import marshal
import os
from contextlib import suppress

import attrs

from runner.watching.files import Folder, Tree
from runner.workspaces.glimpses import Glimpse

_VERSION = 1
_FORMAT = 2  # of marshal


def keep(path: str, glimpse: Glimpse) -> None:
    """Write one to a file; where that cannot be, only we know it."""
    tree = glimpse.tree
    if tree is None:
        return
    folders = [(prefix, tuple(_plain(folder))) for prefix, folder in tree.folders.items()]
    said = (_VERSION, folders, sorted(tree.closed), sorted(glimpse.opaque))
    with suppress(OSError), open(path, "wb", opener=_private) as file:
        file.write(marshal.dumps(said, _FORMAT))


def recall(path: str) -> Glimpse:
    """The one in a file."""
    try:
        with open(path, "rb") as file:
            version, folders, closed, hidden = marshal.loads(file.read())  # noqa: S302 - our own
        if version != _VERSION:
            raise ValueError(version)
        tree = Tree({prefix: Folder(*each) for prefix, each in folders}, set(closed))
    except (OSError, EOFError, TypeError, ValueError):
        return Glimpse(None, why="it was cut off")
    return Glimpse(tree, frozenset(hidden))


def _plain(folder: Folder) -> list[object]:
    return [getattr(folder, each.name) for each in attrs.fields(Folder)]


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CLOEXEC, 0o600)
