"""The files of a directory at one moment, kept compactly: about 50 bytes and its name per file.

A `Tree` has a `Folder` for each directory, by its path with a slash at the end ("" is the top). A
folder keeps its files' names and states as bytes; folders of which nothing has changed have equal
bytes, so that two trees are compared without a look at a single file. A folder of many files is
in parts, so that one changed file leaves the other parts equal: in the order in which the files
were listed, cut where the hash of a name says so, as that is made fastest; or by the hash of each
name, where single files will be looked for (watch.py).

A state is (inode, size, mtime, ctime, mode, links). Links are themselves, directories only lead to
files. What is not here: how states become bytes (columns.py), looking (walking.py), and what has
changed.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from itertools import zip_longest

import attrs

from runner.watching.columns import Columns, State, columns, decode
from runner.watching.stamps import FileSystem

# More files than this are kept in parts, of half as many on the average.
PART = 512


@attrs.frozen(slots=True)
class Folder:
    """A directory's own files.

    Attributes:
        identity: (device, inode) of the directory.
        changed: its ctime.
        count: of its files.
        parts: their names and states.
        by_hash: whether each is in the part that the hash of its name says: a power of two of them.
        mode: of the directory.
    """

    identity: tuple[int, int]
    changed: int
    count: int
    parts: tuple[bytes, ...]
    by_hash: bool = True
    mode: int = 0

    def files(self) -> dict[str, State]:
        """Its files by name."""
        return _load(self.parts)

    def with_files(self, found: dict[str, State | None], changed: int) -> Folder:
        """It after another look.

        Args:
            found: states by name, None for a file that is not there.
            changed: its ctime now.
        """
        parts = list(self.parts)
        count = self.count
        places = _by_hash(found, len(parts)) if self.by_hash else _by_search(found, parts)
        for at, names in places.items():
            files = _load(parts[at : at + 1])
            count -= len(files)
            for name in names:
                state = found[name]
                if state is None:
                    files.pop(name, None)
                else:
                    files[name] = state
            count += len(files)
            parts[at] = columns(files).encode()
        if self.by_hash and count > 2 * PART * len(parts):
            made = make_folder_of(self.identity, changed, _load(parts))
            return attrs.evolve(made, mode=self.mode)
        return attrs.evolve(self, changed=changed, count=count, parts=tuple(parts))


def make_folder(
    identity: tuple[int, int],
    changed: int,
    files: Columns,
    *,
    by_hash: bool = False,
    mode: int = 0,
) -> Folder:
    """Keep what was found in a directory."""
    count = len(files.names)
    if count <= PART:
        return Folder(identity, changed, count, (files.encode(),), mode=mode)
    parts = _parts_by_hash(files) if by_hash else _parts_as_listed(files)
    return Folder(identity, changed, count, tuple(parts), by_hash, mode)


def _parts_as_listed(files: Columns) -> Iterator[bytes]:
    names, last = files.names, 0
    for at in [at for at, name in enumerate(names, 1) if not hash(name) % PART] + [len(names)]:
        if at > last:
            yield files.encode(last, at)
        last = at


def _parts_by_hash(files: Columns) -> Iterator[bytes]:
    number = 1 << (2 * len(files.names) // PART - 1).bit_length()
    parts: list[dict[str, State]] = [{} for _ in range(number)]
    last = number - 1
    for name, state in zip(files.names, files.states(), strict=True):
        parts[hash(name) & last][name] = state
    return (columns(part).encode() for part in parts)


def make_folder_of(identity: tuple[int, int], changed: int, files: dict[str, State]) -> Folder:
    """The same of states by name."""
    return make_folder(identity, changed, columns(files), by_hash=True)


def differing(
    before: Folder | None, after: Folder | None
) -> tuple[dict[str, State], dict[str, State]]:
    """The files of those parts of a directory that are not equal, by name, before and after."""
    old = () if before is None else before.parts
    new = () if after is None else after.parts
    pairs = [(x, y) for x, y in zip_longest(old, new, fillvalue=b"") if x != y]
    gone, come = {x for x, _ in pairs if x}, {y for _, y in pairs if y}
    return _load(gone - come), _load(come - gone)


def _load(parts: Iterable[bytes]) -> dict[str, State]:
    files: dict[str, State] = {}
    for part in parts:
        files.update(decode(part))
    return files


def _by_hash(names: Iterable[str], number: int) -> dict[int, list[str]]:
    found: dict[int, list[str]] = {}
    for name in names:
        found.setdefault(hash(name) & (number - 1), []).append(name)
    return found


def _by_search(names: Iterable[str], parts: Sequence[bytes]) -> dict[int, list[str]]:
    """Likewise, where that has to be looked for; a new name goes into the last part."""
    found: dict[int, list[str]] = {}
    for name in names:
        word = os.fsencode(name)
        places = (at for at, part in enumerate(parts) if word in part and name in _load([part]))
        found.setdefault(next(places, len(parts) - 1), []).append(name)
    return found


@attrs.define(eq=False)
class Tree:
    """All files of a directory.

    Attributes:
        folders: by path, "" or with a slash at the end.
        closed: directories that could not be read: what is below them is not known.
        fresh: files that were changed so shortly before they were looked at that their next change
            may look the same; only where stamps are not fine.
        linked: files that have other names too, with their inodes; only of a watched tree.
        systems: what is known of the file systems in it, by device.
    """

    folders: dict[str, Folder] = attrs.field(factory=dict)
    closed: set[str] = attrs.field(factory=set)
    fresh: set[str] = attrs.field(factory=set)
    linked: dict[str, int] = attrs.field(factory=dict)
    systems: dict[int, FileSystem] = attrs.field(factory=dict)

    @property
    def count(self) -> int:
        """How many files there are."""
        return sum(folder.count for folder in self.folders.values())

    @property
    def size(self) -> int:
        """How many bytes it takes, about."""
        return sum(
            200 + len(path) + sum(map(len, folder.parts)) for path, folder in self.folders.items()
        )

    def files(self) -> dict[str, State]:
        """All files by their path."""
        return {
            prefix + name: state
            for prefix, folder in self.folders.items()
            for name, state in folder.files().items()
        }

    def copy(self) -> Tree:
        """It as it is now; the folders themselves never change."""
        return Tree(dict(self.folders), set(self.closed))


def parent(prefix: str) -> str:
    """The directory that a directory is in."""
    return prefix[: prefix.rfind("/", 0, -1) + 1]


def is_below(prefix: str, tops: Sequence[str] | set[str]) -> bool:
    """Whether a directory is one of these, or below one."""
    if not tops:
        return False
    while prefix not in tops:
        if not prefix:
            return False
        prefix = parent(prefix)
    return True
