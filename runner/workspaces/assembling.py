"""From the files of a live tree as they were looked at to the id of its root.

What is known of each directory is kept from one capture to the next: the states of its files, and
the listing that was made of them. A directory in which all is as it was keeps its listing; in one
where something differs, only the files whose state differs are read, and the others' entries are
taken from the listing that was; a new listing makes one in each directory above it.

    dirty    a directory with other states than those that are known, with a doubt, that is new,
             or that has one below it that is dirty, new, gone, or has another mode
    doubt    a file whose state says too little, so it is read again: its last change was so short
             before it was looked at that the next one may look the same ("racily clean"); it was
             written to while it was read; it could not be read; a hint says it was written to

An overlay's upper directory has only what differs from what is below it: there each dirty
directory's listing begins with what is below (`Below`, uppers.py), else it begins empty.

What is not here: looking (capturing.py) and reading (reading.py).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

import attrs

from runner.watching.columns import State
from runner.watching.files import Folder, Tree, is_below, parent
from runner.workspaces.known import Known, Memory
from runner.workspaces.listing import MODES, Entry, EntryType, encode
from runner.workspaces.objects import ObjectId
from runner.workspaces.reading import Reader
from runner.workspaces.rounds import Looking, Round, by_directory, is_directory, open_directory


class Below(Protocol):
    """What is below a directory of files that only say what differs."""

    root: ObjectId

    def entries(self, prefix: str) -> dict[bytes, Entry]:
        """The entries that shine through, in a directory: of the caller's own."""
        ...

    def hides(self, directory: int, name: str, state: State) -> bool:
        """Whether a name only says that there is nothing."""
        ...

    def has_changed(self, before: Folder, after: Folder) -> bool:
        """Whether a directory is another one, though all its files are as they were."""
        ...


@attrs.define(eq=False)
class Assembly:
    """Makes the listings of one live tree.

    Attributes:
        directory: the tree, absolute.
        memory: of it; changed here.
        omits: whether a file does not count, by its path.
        below: what is below an upper directory; None = the tree is all there is.
    """

    directory: str
    memory: Memory
    omits: Callable[[str], bool]
    below: Below | None = None
    _totals: dict[ObjectId, tuple[int, int]] = attrs.field(factory=dict)

    def assemble(self, tree: Tree, written: Iterable[str], reader: Reader) -> Round:
        """Make all listings that are to be made; then that of "" is known.

        Args:
            tree: as it was looked at.
            written: files that are to be read whatever their state.
            reader: of what has to be read; its objects come in the order of what names them.
        """
        folders = tree.folders
        if tree.closed:
            shut = tree.closed
            folders = {path: each for path, each in folders.items() if not is_below(path, shut)}
        round_ = Round(folders, reader, by_directory(written), by_directory(tree.fresh))
        gone = self.memory.known.keys() - folders.keys()
        for prefix in gone:
            del self.memory.known[prefix]
        self.memory.changed |= gone
        for prefix in self._dirty(round_, {parent(each) for each in gone}):
            reader.check()
            self._list(round_, prefix)
            if prefix:
                round_.made.setdefault(parent(prefix), []).append(prefix)
        return round_

    def skipped(self) -> Iterator[tuple[str, str]]:
        """What is left out, each with the reason."""
        for prefix, known in self.memory.known.items():
            if known.skipped:
                yield from ((prefix + name, why) for name, why in known.skipped)

    # ------------------------------------------------------------ which

    def _dirty(self, round_: Round, found: set[str]) -> list[str]:
        """Directories that need a listing, each before the one that it is in."""
        folders, memory = round_.folders, self.memory.known
        found |= round_.again.keys()
        for prefix, folder in folders.items():  # flat, as it runs once per directory
            known = memory.get(prefix)
            if known is None:
                found.add(prefix)
                continue
            if known.doubts:
                found.add(prefix)
            if known.folder is not folder:
                if known.folder.mode != folder.mode:
                    found.add(parent(prefix))
                if known.folder.parts != folder.parts or self._is_another(known.folder, folder):
                    found.add(prefix)
                elif not known.doubts:
                    known.folder = folder
        found &= folders.keys()
        for prefix in list(found):
            above = prefix
            while above and (above := parent(above)) not in found:
                found.add(above)
        return sorted(found, key=_depth, reverse=True)

    def _is_another(self, before: Folder, after: Folder) -> bool:
        return self.below is not None and self.below.has_changed(before, after)

    # ------------------------------------------------------------ one directory

    def _list(self, round_: Round, prefix: str) -> None:
        """Make the listing of one directory; those of the directories in it are made."""
        folder, known = round_.folders[prefix], self.memory.known.get(prefix)
        listed = () if known is None else self.memory.store.listing(known.id)
        before = {each.name: each for each in listed}
        looking = Looking(prefix, folder, known, before, round_)
        if looking.is_as_it_was() and self.below is None:
            entries = {name: each for name, each in before.items() if not is_directory(each)}
            looking.skipped = dict(known.skipped) if known is not None else {}
        else:
            entries = self._files(looking)
        files, size = self._add_children(looking, entries)
        listing = encode(entries.values())
        round_.reader.keep(listing)
        doubts = frozenset(looking.doubts)
        skipped = tuple(looking.skipped.items())
        self.memory.known[prefix] = Known(folder, listing.id, files, size, doubts, skipped)
        self.memory.changed.add(prefix)

    def _files(self, looking: Looking) -> dict[bytes, Entry]:
        """The entries of a directory's files, and of what shines through."""
        with open_directory(f"{self.directory}/{looking.prefix}", looking.folder) as directory:
            if directory is None:  # another one is there by now, as the next look will say
                looking.round.unstable.append(looking.prefix)
                looking.doubts.update(looking.folder.files())
                return {}
            below = self.below
            entries = {} if below is None else below.entries(looking.prefix)
            for name, state in looking.folder.files().items():
                if self.omits(looking.prefix + name):
                    continue
                is_hidden = below is not None and below.hides(directory, name, state)
                found = None if is_hidden else looking.entry(directory, name, state)
                if found is None:
                    entries.pop(os.fsencode(name), None)
                else:
                    entries[found.name] = found
            return entries

    def _add_children(self, looking: Looking, entries: dict[bytes, Entry]) -> tuple[int, int]:
        """Add the directories in one, of which a listing is known.

        Returns:
            How many files there are in it, and below, and their bytes.
        """
        prefix, before = looking.prefix, looking.before
        made = (child[len(prefix) : -1] for child in looking.round.made.get(prefix, ()))
        listed = (name for name, each in before.items() if is_directory(each))
        children: dict[bytes, Entry] = {}
        files = size = 0
        for name in {*map(os.fsencode, made), *listed}:  # flat, as it runs once per directory
            there = self.memory.known.get(f"{prefix}{os.fsdecode(name)}/")
            if there is not None:
                entry, mode = before.get(name), there.folder.mode & MODES
                if entry is None or entry.id != there.id or entry.mode != mode:
                    entry = Entry(name, EntryType.DIRECTORY, mode, there.id)
                entries.pop(name, None)
                children[name] = entry
                files += there.files
                size += there.bytes
        for each in entries.values():
            more = self._below(each.id) if is_directory(each) else (1, each.size)
            files += more[0]
            size += more[1]
        entries |= children
        return files, size

    def _below(self, listing: ObjectId) -> tuple[int, int]:
        """The same of a directory that only shines through."""
        found = self._totals.get(listing)
        if found is None:
            files = size = 0
            for each in self.memory.store.listing(listing):
                more = self._below(each.id) if is_directory(each) else (1, each.size)
                files += more[0]
                size += more[1]
            found = self._totals[listing] = files, size
        return found


def _depth(prefix: str) -> int:
    return prefix.count("/")
