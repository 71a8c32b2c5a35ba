"""Two trees that were made of one become one again, path by path.

For each path the three entries decide: what only one side changed is taken from there, and what
both changed alike is theirs too. Everything else is a conflict, unless it can be settled:

    both are files, and texts are to be merged     lines of both, if no lines were changed by both
    one side is to win (`favour`)                  its entry
    otherwise                                      a conflict; the tree has ours there

Directories are merged by what is in them; equal ones are never entered. A directory is gone when
one side took it away and nothing is left in it. Renames are a deletion and an addition here.

Pure: what must be written comes back as objects, for the caller to put into the store before
anything names the root. Not recursive: trees are as deep as paths are long, Python's stack is not.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator
from typing import Literal, TypeAlias, TypeVar

import attrs

from runner.workspaces.comparing import Listing, is_same, is_same_tree
from runner.workspaces.listing import EMPTY, Entry, EntryType, encode
from runner.workspaces.merging_texts import LARGEST, OURS, THEIRS, merge_texts
from runner.workspaces.objects import CHUNK, Object, ObjectId, chunk, chunks, content

T = TypeVar("T")
ConflictKind: TypeAlias = Literal[
    "both modified",
    "both added",
    "deleted by us, modified by them",
    "modified by us, deleted by them",
    "a file here, a directory there",
]
Favour: TypeAlias = Literal["ours", "theirs"]
Read: TypeAlias = Callable[[ObjectId], bytes]
_Steps: TypeAlias = "Generator[_Steps, ObjectId | None, ObjectId]"


@attrs.frozen(kw_only=True)
class Conflict:
    """A path that both sides changed, in different ways.

    Attributes:
        path: where; names that are not UTF-8 have surrogate escapes.
        kind: what each side did.
        base: the entry that both began with; None = there was none.
        ours: what we have; None = nothing.
        theirs: what they have; None = nothing.
    """

    path: str
    kind: ConflictKind
    base: Entry | None
    ours: Entry | None
    theirs: Entry | None

    def __str__(self) -> str:
        return f"{self.path}: {self.kind}"


@attrs.frozen(kw_only=True)
class Merged:
    """What came of a merge.

    Attributes:
        root: the tree; at conflicts it has ours, or text with markers where those were asked for.
        objects: of it, that may be new to the store.
        conflicts: sorted by path.
    """

    root: ObjectId
    objects: tuple[Object, ...]
    conflicts: tuple[Conflict, ...]


def merge(
    listing: Listing,
    base: ObjectId,
    ours: ObjectId,
    theirs: ObjectId,
    *,
    read: Read | None = None,
    markers: bool = False,
    favour: Favour | None = None,
    labels: tuple[bytes, bytes] = (OURS, THEIRS),
) -> Merged:
    """Merge two roots that were made of one.

    Args:
        listing: the entries of a directory.
        base: what both were made of.
        ours: the one.
        theirs: the other.
        read: the content of a file, by which texts are merged; None = whole files only.
        markers: whether a text with conflicts has both versions between markers.
        favour: which side wins where both changed the same; then there are no conflicts.
        labels: what stands at the markers.
    """
    merger = _Merger(listing, read, markers, favour, labels)
    root = merger.directory("", base, ours, theirs)
    found = sorted(merger.conflicts, key=lambda each: os.fsencode(each.path))
    return Merged(root=root, objects=tuple(merger.objects.values()), conflicts=tuple(found))


class _Merger:
    """Everything that a merge gathers is gathered here."""

    def __init__(
        self,
        listing: Listing,
        read: Read | None,
        markers: bool,
        favour: Favour | None,
        labels: tuple[bytes, bytes],
    ) -> None:
        self._listing = listing
        self._read = read
        self._markers = markers
        self._favour = favour
        self._labels = labels
        self.objects: dict[ObjectId, Object] = {}
        self.conflicts: list[Conflict] = []

    def directory(self, path: str, base: ObjectId, ours: ObjectId, theirs: ObjectId) -> ObjectId:
        """The listing that comes of three."""
        under_way = [self._directory(path, base, ours, theirs)]
        made: ObjectId | None = None  # as generators are begun
        while under_way:
            try:
                under_way.append(under_way[-1].send(made))
                made = None
            except StopIteration as end:
                made = end.value
                under_way.pop()
        assert made is not None
        return made

    def _directory(self, path: str, base: ObjectId, ours: ObjectId, theirs: ObjectId) -> _Steps:
        """The same; yields what is to be merged before it, directories inside; gets their ids."""
        if theirs in {ours, base}:
            return ours
        if base == ours:
            return theirs
        sides = [{each.name: each for each in self._listing(id_)} for id_ in (base, ours, theirs)]
        entries = []
        for name in sorted({name for side in sides for name in side}):
            below = f"{path}/{os.fsdecode(name)}" if path else os.fsdecode(name)
            three = (sides[0].get(name), sides[1].get(name), sides[2].get(name))
            if _are_directories(*three):
                known = three[0] if _is_directory(three[0]) else None
                id_ = yield self._directory(below, *map(_id, (known, *three[1:])))
                assert id_ is not None
                entry = self._joined(below, known, three[1], three[2], id_)
            else:
                entry = self._entry(below, *three)
            if entry is not None:
                entries.append(entry)
        return self._put(encode(entries))

    def _put(self, made: Object) -> ObjectId:
        self.objects[made.id] = made
        return made.id

    def _entry(
        self, path: str, base: Entry | None, ours: Entry | None, theirs: Entry | None
    ) -> Entry | None:
        if is_same(ours, theirs) or is_same(base, theirs):
            return ours
        if is_same(base, ours):
            return theirs
        return self._changed_by_both(path, base, ours, theirs)

    def _changed_by_both(
        self, path: str, base: Entry | None, ours: Entry | None, theirs: Entry | None
    ) -> Entry | None:
        there = [each for each in (ours, theirs) if each is not None]
        are_directories = [each.type is EntryType.DIRECTORY for each in there]
        if ours is not None and theirs is not None:
            if any(are_directories):
                return self._file_and_directory(path, base, ours, theirs)
            return self._both(path, base, ours, theirs)
        if base is not None and are_directories != [_is_directory(base)]:
            return (
                ours or theirs
            )  # what there was is gone on both sides, and one has put that there
        kind: ConflictKind = (
            "deleted by us, modified by them" if ours is None else "modified by us, deleted by them"
        )
        return self._conflict(path, kind, base, ours, theirs)

    def _file_and_directory(
        self, path: str, base: Entry | None, ours: Entry, theirs: Entry
    ) -> Entry | None:
        if self._is_unchanged(base, theirs):
            return ours
        if self._is_unchanged(base, ours):
            return theirs
        return self._conflict(path, "a file here, a directory there", base, ours, theirs)

    def _is_unchanged(self, base: Entry | None, side: Entry) -> bool:
        """Whether a directory is what it was, though inodes in it may have other numbers."""
        return (
            base is not None
            and base.type is side.type is EntryType.DIRECTORY
            and base.mode == side.mode
            and is_same_tree(self._listing, base.id, side.id)
        )

    def _joined(
        self,
        path: str,
        base: Entry | None,
        ours: Entry | None,
        theirs: Entry | None,
        id_: ObjectId,
    ) -> Entry | None:
        """One directory of what is in them; a side that has none here has an empty one."""
        there = ours or theirs
        assert there is not None  # who asks has seen it
        if id_ == EMPTY.id and (ours is None or theirs is None):
            return None  # one side took it away, and the other left nothing in it
        return attrs.evolve(there, id=id_, mode=self._mode(path, base, ours, theirs))

    def _mode(self, path: str, base: Entry | None, ours: Entry | None, theirs: Entry | None) -> int:
        if ours is None or theirs is None:
            there = ours or theirs
            return 0 if there is None else there.mode
        mode = _of_three(None if base is None else base.mode, ours.mode, theirs.mode)
        if mode is None:
            kept = self._conflict(path, _kind(base), base, ours, theirs)
            return theirs.mode if kept is theirs else ours.mode
        return mode

    def _both(self, path: str, base: Entry | None, ours: Entry, theirs: Entry) -> Entry | None:
        """Both have something that is no directory, and not what there was."""
        if ours.type is not EntryType.FILE or theirs.type is not EntryType.FILE:
            return self._conflict(path, _kind(base), base, ours, theirs)
        known = base if base is not None and base.type is EntryType.FILE else None
        mode = _of_three(None if known is None else known.mode, ours.mode, theirs.mode)
        id_ = _of_three(None if known is None else known.id, ours.id, theirs.id)
        if id_ is not None:
            made, is_clean = ours if id_ == ours.id else theirs, True
        else:
            made, is_clean = self._texts(known, ours, theirs)
        if is_clean and mode is not None:
            return attrs.evolve(made, mode=mode)
        kept = self._conflict(path, _kind(base), base, ours, theirs)
        return made if id_ is None and self._favour is None else kept

    def _texts(self, base: Entry | None, ours: Entry, theirs: Entry) -> tuple[Entry, bool]:
        """The file with lines of both, and whether that is without conflicts; else ours."""
        sizes = (0 if each is None else each.size for each in (base, ours, theirs))
        if self._read is None or max(sizes) > LARGEST:
            return ours, False
        before = b"" if base is None else self._read(base.id)
        texts = (before, self._read(ours.id), self._read(theirs.id))
        merged = merge_texts(*texts, labels=self._labels)
        if merged is None or (merged.conflicts and not self._markers):
            return ours, False
        made = attrs.evolve(ours, id=self._file(merged.data), size=len(merged.data), group=0)
        return made, not merged.conflicts

    def _file(self, data: bytes) -> ObjectId:
        if len(data) <= CHUNK:
            return self._put(content(data))
        parts = [chunk(data[at : at + CHUNK]) for at in range(0, len(data), CHUNK)]
        ids = [None if each is None else self._put(each) for each in parts]
        return self._put(chunks(len(data), ids))

    def _conflict(
        self,
        path: str,
        kind: ConflictKind,
        base: Entry | None,
        ours: Entry | None,
        theirs: Entry | None,
    ) -> Entry | None:
        """Say it, and who has the path until somebody decides; nothing to say if one side wins."""
        if self._favour == "theirs":
            return theirs
        if self._favour is None:
            found = Conflict(path=path, kind=kind, base=base, ours=ours, theirs=theirs)
            self.conflicts.append(found)
        return ours


def _are_directories(base: Entry | None, ours: Entry | None, theirs: Entry | None) -> bool:
    """Whether both sides have changed a directory, each in its own way."""
    there = [each for each in (ours, theirs) if each is not None]
    if not there or not all(map(_is_directory, there)):
        return False
    if is_same(ours, theirs) or is_same(base, theirs) or is_same(base, ours):
        return False
    return len(there) == 2 or _is_directory(base)


def _is_directory(entry: Entry | None) -> bool:
    return entry is not None and entry.type is EntryType.DIRECTORY


def _id(entry: Entry | None) -> ObjectId:
    return EMPTY.id if entry is None else entry.id


def _kind(base: Entry | None) -> ConflictKind:
    return "both added" if base is None else "both modified"


def _of_three(base: T | None, ours: T, theirs: T) -> T | None:
    """The one that was changed, or both alike; None if both were, in different ways."""
    if theirs in {ours, base}:
        return ours
    return theirs if base == ours else None
