"""One round of assembling, and one directory in it: which files are read, and what comes of it.

What is not here: listings, and which directories are looked at (assembling.py).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

import attrs

from runner.watching import stamps
from runner.watching.columns import CTIME, State
from runner.watching.files import Folder, Tree
from runner.workspaces.known import Known
from runner.workspaces.listing import Entry, EntryType
from runner.workspaces.reading import Left, Reader

# Of a clock that is not ours, stamps may be as coarse as this.
FOREIGN_TICK = 2_000_000_000

_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


@attrs.define(eq=False)
class Round:
    """One round of assembling.

    Attributes:
        folders: the directories, as they were looked at.
        again: names that are read again whatever their state, by directory.
        fresh: names that will be doubtful from now on, by directory.
        made: directories whose listings were made, by the one that they are in.
        hashed: how many files were read.
        unstable: paths of those that were written to meanwhile.
    """

    folders: Mapping[str, Folder]
    reader: Reader
    again: dict[str, set[str]]
    fresh: dict[str, set[str]]
    made: dict[str, list[str]] = attrs.field(factory=dict)
    hashed: int = 0
    unstable: list[str] = attrs.field(factory=list)


@attrs.define(eq=False)
class Looking:
    """One directory in one round.

    Attributes:
        before: its entries as they are known.
        again: names that are read again.
        doubts: those that will be, next time.
        skipped: what is left out, with the reason.
    """

    prefix: str
    folder: Folder
    known: Known | None
    before: dict[bytes, Entry]
    round: Round
    again: set[str] = attrs.field(init=False)
    doubts: set[str] = attrs.field(init=False)
    skipped: dict[str, str] = attrs.field(factory=dict)
    _states: dict[str, State] = attrs.field(init=False)
    _left: dict[str, str] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        known, path = self.known, self.prefix
        self.again = self.round.again.get(path, set()) | (known.doubts if known else set())
        self.doubts = set(self.round.fresh.get(path, ()))
        self._states = known.folder.files() if known and not self.is_as_it_was() else {}
        self._left = dict(known.skipped) if known else {}

    def is_as_it_was(self) -> bool:
        """Whether each of its files is known to be."""
        known = self.known
        return bool(
            known and self.before and not self.again and known.folder.parts == self.folder.parts
        )

    def entry(self, directory: int, name: str, state: State) -> Entry | None:
        """The entry of a file in this directory, which is open; None = none is made of it."""
        if name not in self.again and self._states.get(name) == state:
            known = self.before.get(os.fsencode(name))
            if known is not None and not is_directory(known):
                return known
            if name in self._left:
                self.skipped[name] = self._left[name]
                return None
        try:
            found = self.round.reader.read(directory, name, state)
        except Left as why:
            if str(why):
                self.skipped[name] = str(why)
            if not str(why).startswith("a "):  # what it is, it stays
                self.doubts.add(name)
            return None
        self.round.hashed += 1
        if not found.is_stable:
            self.round.unstable.append(self.prefix + name)
            self.doubts.add(name)
        return found.entry


@contextmanager
def open_directory(path: str, folder: Folder) -> Iterator[int | None]:
    """The very directory that was looked at; None if it is not there."""
    try:
        descriptor = os.open(path, _OPEN)
    except OSError:
        yield None
        return
    try:
        found = os.fstat(descriptor)
        yield descriptor if (found.st_dev, found.st_ino) == folder.identity else None
    finally:
        os.close(descriptor)


def by_directory(paths: Iterable[str]) -> dict[str, set[str]]:
    """Names of files by their directory."""
    found: dict[str, set[str]] = {}
    for path in paths:
        at = path.rfind("/") + 1
        found.setdefault(path[:at], set()).add(path[at:])
    return found


def is_directory(entry: Entry) -> bool:
    """Whether it is one."""
    return entry.type is EntryType.DIRECTORY


def fresh_of_others(tree: Tree) -> set[str]:
    """Files whose next change may look like the last, where it is not this machine's stamp."""
    foreign = {device for device, system in tree.systems.items() if not system.local}
    if not foreign:
        return set()
    folders = {
        prefix: folder for prefix, folder in tree.folders.items() if folder.identity[0] in foreign
    }
    changed = {
        prefix + name: state[CTIME]
        for prefix, folder in folders.items()
        for name, state in folder.files().items()
    }
    if not changed:
        return set()
    since = min(max(changed.values()), stamps.coarse()) - FOREIGN_TICK
    return {path for path, stamp in changed.items() if stamp >= since}
