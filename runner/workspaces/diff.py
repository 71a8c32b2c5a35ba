"""What differs between two trees, for people and for programs: changes, text, patch, figures.

A `Diff` is a sequence of its changes. Nothing else is made before it is asked for, and then file by
file: `texts()` and `patches()` may be left after the first. What a file came to is kept only as
figures.

    .text     for people: unified, with all changes; names quoted, what is no UTF-8 replaced
    .patch    for `git apply`: exact bytes, and only what git has words for (patching.py)
    .stat     the table of `git diff --stat`;   .summary   its last line

Not thread-safe, and synchronous: contents come out of the store.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import overload

from runner.workspaces.comparing import Change, Source, Status, compare
from runner.workspaces.diffstat import WIDTH, FileStat, name_of, summary, table
from runner.workspaces.listing import Entry, EntryType
from runner.workspaces.objects import ObjectId
from runner.workspaces.patching import Half, halves, patch_of
from runner.workspaces.quoting import shown
from runner.workspaces.renames import find_renames
from runner.workspaces.texts import count, hunks

_TYPES = {EntryType.FILE: "file", EntryType.LINK: "link", EntryType.FIFO: "fifo"}
_KINDS = {EntryType.FILE: 0o100000, EntryType.LINK: 0o120000, EntryType.FIFO: 0o010000}
_DIRECTORY = 0o040000


class Diff(Sequence[Change]):
    """The changes from one tree to another.

    Args:
        source: where the trees are; it must stay open as long as texts and patches are asked for.
        before: the root of the one tree.
        after: the root of the other.
        renames: whether to look for them; without, they are a deletion and an addition.
        select: of which paths; None = of all. What was moved out of them is a deletion, and what
            was moved in an addition: nothing else is drawn in.
    """

    def __init__(
        self,
        source: Source,
        before: ObjectId,
        after: ObjectId,
        *,
        renames: bool = True,
        select: Callable[[str], bool] | None = None,
    ) -> None:
        self._source = source
        self.before = before
        self.after = after
        found = compare(source.listing, before, after)
        if select is not None:
            found = [each for each in found if select(each.path)]
        if renames:
            found = find_renames(found, self._read)
        self.changes: tuple[Change, ...] = tuple(found)
        self._files: tuple[FileStat, ...] | None = None

    def __len__(self) -> int:
        return len(self.changes)

    @overload
    def __getitem__(self, index: int) -> Change: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Change, ...]: ...
    def __getitem__(self, index: int | slice) -> Change | tuple[Change, ...]:
        return self.changes[index]

    def __repr__(self) -> str:
        return f"<Diff: {len(self.changes)} changes>"

    @property
    def status(self) -> Status:
        """The changes, by what they are."""
        return Status.of(self.changes)

    @property
    def text(self) -> str:
        """A unified diff of all files, for people."""
        return "".join(self.texts())

    def texts(self) -> Iterator[str]:
        """The text, change by change.

        It has all changes, also those that git does not know. Of lines, bytes that are no UTF-8 are
        replaced by U+FFFD; control characters stay. Of names, both are escaped.
        """
        for change in self.changes:
            yield "".join(_text(self._source, change))

    @property
    def patch(self) -> bytes:
        """A patch for `git apply`, or `git apply --binary` as older versions want it.

        It has nothing of what git cannot know: empty directories, fifos, modes beyond "executable".
        """
        return b"".join(self.patches())

    def patches(self) -> Iterator[bytes]:
        """The patch, in pieces: large files are never as a whole in memory."""
        for change in self.changes:
            yield from patch_of(self._source, change)

    @property
    def files(self) -> tuple[FileStat, ...]:
        """How much each file changed, in lines or bytes; without directories and fifos."""
        if self._files is None:
            found = (_stat(self._source, each) for each in self.changes)
            self._files = tuple(each for each in found if each is not None)
        return self._files

    @property
    def stat(self) -> str:
        """A table of how much each file changed, at most 80 columns wide."""
        return self.stat_in(WIDTH)

    def stat_in(self, width: int) -> str:
        """The table in another width; names and bars get shorter as in `git diff --stat=WIDTH`."""
        return table(self.files, width)

    @property
    def summary(self) -> str:
        """How many files and lines changed, in one line; empty if nothing did."""
        return summary(self.files) if self.files else ""

    def _read(self, id_: ObjectId) -> bytes:
        parts = (
            each if isinstance(each, bytes) else bytes(each) for each in self._source.content(id_)
        )
        return b"".join(parts)


def _stat(source: Source, change: Change) -> FileStat | None:
    before, after = halves(source, change)
    if before is None and after is None:
        return None
    name = name_of(change)
    old = b"" if before is None else before.data
    new = b"" if after is None else after.data
    if old is None or new is None:
        same = before is not None and after is not None and before.entry.id == after.entry.id
        sizes = (0, 0) if same else (_size(after), _size(before))
        return FileStat(name=name, added=sizes[0], deleted=sizes[1], is_binary=True)
    counts = count(old, new)
    return FileStat(name=name, added=counts.added, deleted=counts.deleted)


def _size(half: Half | None) -> int:
    return 0 if half is None else half.entry.size


def _text(source: Source, change: Change) -> Iterator[str]:
    old_path = change.path if change.old_path is None else change.old_path
    old, new = _shown("a/", old_path), _shown("b/", change.path)
    yield f"diff --git {old} {new}\n"
    yield from _head(change)
    before, after = halves(source, change)
    if before is not None and after is not None and before.entry.id == after.entry.id:
        return
    old_data = b"" if before is None else before.data
    new_data = b"" if after is None else after.data
    old, new = "/dev/null" if before is None else old, "/dev/null" if after is None else new
    if old_data is None or new_data is None:
        yield f"Binary files {old} and {new} differ\n"
    elif old_data or new_data:
        yield f"--- {old}\n+++ {new}\n"
        for each in hunks(old_data, new_data):
            yield each.decode("utf-8", "replace")


def _head(change: Change) -> Iterator[str]:
    before, after = change.before, change.after
    if before is None and after is not None:
        yield f"new {_what(after)} mode {_mode(after):06o}\n"
    elif before is not None and after is None:
        yield f"deleted {_what(before)} mode {_mode(before):06o}\n"
    elif before is not None and after is not None and _mode(before) != _mode(after):
        yield f"old mode {_mode(before):06o}\nnew mode {_mode(after):06o}\n"
    if change.old_path is not None:
        yield f"similarity index {change.similarity}%\n"
        yield f"rename from {_shown('', change.old_path)}\nrename to {_shown('', change.path)}\n"


def _shown(prefix: str, path: str) -> str:
    return shown((prefix + path).encode("utf-8", "surrogateescape"))


def _what(entry: Entry) -> str:
    return _TYPES.get(entry.type, "directory")


def _mode(entry: Entry) -> int:
    return _KINDS.get(entry.type, _DIRECTORY) | entry.mode
