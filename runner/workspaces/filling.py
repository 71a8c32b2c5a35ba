"""A new directory filled from a root: a workspace from a snapshot, an export.

Model. The directory is nobody's yet: whoever calls this makes it, and takes it away if this was cut
off. Directories are filled one after the other, each by its descriptor; their modes are set last,
since one that may not be written to takes no entries.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from runner.backends.beneath import Names
from runner.backends.descent import Descent
from runner.backends.threads import breathe
from runner.workspaces.listing import EMPTY, Entry, EntryType
from runner.workspaces.rights import set_mode
from runner.workspaces.staging import Contents, make, opened

if TYPE_CHECKING:
    from runner.workspaces.objects import ObjectId


class Trees(Contents, Protocol):
    """Where listings come from too: the store."""

    def listing(self, id_: ObjectId, /) -> Sequence[Entry]:
        """The entries of a directory."""
        ...


def fill(store: Trees, root: ObjectId, target: str) -> None:
    """Fill an empty directory with a tree.

    Raises:
        FileExistsError: something is in the directory that is in the tree, too.
        OSError: it cannot be written to; what is there by then, stays.
        StoreError: the store lacks something of the tree.
    """
    with opened(target) as top:
        _Filling(store, top).fill(root)


class _Filling:
    def __init__(self, store: Trees, top: int) -> None:
        self.store = store
        self._at = Descent(top)
        self._first_at = Descent(top)  # of files that have other names
        self._first: dict[int, Names] = {}

    def fill(self, root: ObjectId) -> None:
        """All of it."""
        modes: list[tuple[Names, int]] = []
        pending: list[tuple[Names, ObjectId]] = [((), root)]
        try:
            while pending:
                names, id_ = pending.pop()
                for entry in self._listing(id_):
                    inner = (*names, os.fsdecode(entry.name))
                    if entry.type is EntryType.DIRECTORY:
                        os.mkdir(inner[-1], 0o700, dir_fd=self._at.go(names))
                        modes.append((inner, entry.mode))
                        pending.append((inner, entry.id))
                    else:
                        self._make(inner, entry)
                breathe()
            for names, mode in reversed(modes):
                set_mode(self._at.go(names[:-1]), names[-1], mode)
        finally:
            self._at.close()
            self._first_at.close()

    def _listing(self, id_: ObjectId) -> Sequence[Entry]:
        return () if id_ == EMPTY.id else self.store.listing(id_)

    def _make(self, names: Names, entry: Entry) -> None:
        directory = self._at.go(names[:-1])
        first = self._first.get(entry.group)
        if first is None:
            make(self.store, entry, directory, names[-1])
            if entry.group:
                self._first[entry.group] = names
            return
        os.link(
            first[-1],
            names[-1],
            src_dir_fd=self._first_at.go(first[:-1]),
            dst_dir_fd=directory,
            follow_symlinks=False,
        )
