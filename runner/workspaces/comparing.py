"""What differs between two trees: a walk over both that never enters what is equal.

Rules:

1. A path has one change at most. What became of another type is modified: a file that is a
   directory now, and what is in that is added.
2. An empty directory is there or not like a file. One with something in it is a change only if its
   mode or its type is another: what is added and deleted is said by what is in it.
3. Which names are linked to one inode (`Entry.group`) is no change.

Pure, and without recursion: a tree may be deeper than Python's stack. Renames are found in what
comes out of here (renames.py), contents are compared elsewhere (texts.py).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Literal, Protocol, TypeAlias

import attrs

from runner.workspaces.listing import EMPTY, Entry, EntryType
from runner.workspaces.objects import ObjectId

Listing: TypeAlias = Callable[[ObjectId], Sequence[Entry]]
ChangeType: TypeAlias = Literal["added", "modified", "deleted", "renamed"]

_LETTERS = {"added": "A", "modified": "M", "deleted": "D", "renamed": "R"}


class Source(Protocol):
    """Where listings and contents come from: the store."""

    def listing(self, id_: ObjectId, /) -> Sequence[Entry]:
        """The entries of a directory."""
        ...

    def content(self, id_: ObjectId, /) -> Iterator[bytes | int]:
        """The content of a file or link, in pieces; a number is that many zeros."""
        ...


@attrs.frozen(kw_only=True)
class Change:
    """What became of one path.

    Attributes:
        type: "renamed" may come with another content and mode.
        path: where it is now; where it was, if it is gone. Names that are not UTF-8 have surrogate
            escapes (`os.fsencode` gives the bytes).
        old_path: where it was, if it was renamed; else None.
        before: the entry; None if it was added.
        after: the entry; None if it was deleted.
        similarity: of a renamed one, how much of the content is the same, in percent; else 0.
    """

    type: ChangeType
    path: str
    old_path: str | None = None
    before: Entry | None = None
    after: Entry | None = None
    similarity: int = 0

    def __str__(self) -> str:
        old = "" if self.old_path is None else f"{self.old_path} -> "
        return f"{_LETTERS[self.type]} {old}{self.path}"


@attrs.frozen(kw_only=True)
class Status:
    """What is not as it was in the tree that a workspace was made from; each sorted by path.

    Attributes:
        added: what was not there.
        modified: what has another content, mode or type.
        deleted: what is not there any more.
        renamed: what has another path.
        unsure: paths that were changed in the base itself, so shortly after the workspace was made
            that nobody knows what they were: the changes are counted from what came then. A
            directory, with a slash at the end: of what went from it, or came.
    """

    added: tuple[Change, ...] = ()
    modified: tuple[Change, ...] = ()
    deleted: tuple[Change, ...] = ()
    renamed: tuple[Change, ...] = ()
    unsure: tuple[str, ...] = ()

    @classmethod
    def of(cls, changes: Iterable[Change]) -> Status:
        """Sort changes by what they are."""
        kept: dict[str, list[Change]] = {each: [] for each in _LETTERS}
        for change in changes:
            kept[change.type].append(change)
        return cls(
            added=tuple(kept["added"]),
            modified=tuple(kept["modified"]),
            deleted=tuple(kept["deleted"]),
            renamed=tuple(kept["renamed"]),
        )

    @property
    def has_changes(self) -> bool:
        """Whether anything is different."""
        return bool(self.added or self.modified or self.deleted or self.renamed)

    @property
    def changes(self) -> tuple[Change, ...]:
        """All of them, sorted by path."""
        found = (*self.added, *self.modified, *self.deleted, *self.renamed)
        return tuple(sorted(found, key=path_order))

    def __str__(self) -> str:
        return "\n".join(str(each) for each in self.changes)


def compare(listing: Listing, before: ObjectId, after: ObjectId) -> list[Change]:
    """All changes between two roots, sorted by the bytes of their paths; none is "renamed"."""
    found = []
    todo: list[tuple[bytes, ObjectId, ObjectId]] = [(b"", before, after)]
    while todo:
        prefix, old, new = todo.pop()
        if old == new:
            continue
        olds = {each.name: each for each in listing(old)}
        news = {each.name: each for each in listing(new)}
        for name in olds.keys() | news.keys():
            was, now = olds.get(name), news.get(name)
            change = _change(prefix + name, was, now)
            if change is not None:
                found.append(change)
            todo.append((prefix + name + b"/", _below(was), _below(now)))
    found.sort(key=path_order)
    return found


def is_same_tree(listing: Listing, one: ObjectId, other: ObjectId) -> bool:
    """Whether two roots are the same tree: nothing would be a change; ends at the first that is.

    The ids of two such roots differ where there are hard links: these are told by the numbers of
    inodes, which a restore gives anew. Others would take a look at the whole tree, at each change:
    a name that comes or goes in one directory would be another number in every other one.
    """
    todo = [(one, other)]
    while todo:
        old, new = todo.pop()
        if old == new:
            continue
        olds, news = listing(old), listing(new)
        if len(olds) != len(news):
            return False
        for was, now in zip(olds, news, strict=True):  # both are sorted by name
            if (was.name, was.type, was.mode) != (now.name, now.type, now.mode):
                return False
            if was.type is EntryType.DIRECTORY:
                todo.append((was.id, now.id))
            elif was.id != now.id:
                return False
    return True


def path_order(change: Change) -> bytes:
    """What changes are sorted by."""
    return os.fsencode(change.path)


def is_same(one: Entry | None, other: Entry | None) -> bool:
    """Whether two entries of one name are equal, with all that is below them."""
    if one is None or other is None:
        return one is other
    return (one.type, one.mode, one.id) == (other.type, other.mode, other.id)


def _change(path: bytes, was: Entry | None, now: Entry | None) -> Change | None:
    if was is None or now is None:
        there = was or now
        if there is None or (there.type is EntryType.DIRECTORY and there.id != EMPTY.id):
            return None
        type_: ChangeType = "added" if was is None else "deleted"
        return Change(type=type_, path=os.fsdecode(path), before=was, after=now)
    is_directory = was.type is now.type is EntryType.DIRECTORY
    if is_same(was, now) or (is_directory and was.mode == now.mode):
        return None
    return Change(type="modified", path=os.fsdecode(path), before=was, after=now)


def _below(entry: Entry | None) -> ObjectId:
    return entry.id if entry is not None and entry.type is EntryType.DIRECTORY else EMPTY.id
