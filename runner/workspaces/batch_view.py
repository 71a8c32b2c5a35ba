"""A tree as it will be when a batch has been committed: what is on the disk, and what is to change.

Model. What the batch decided about a path stands in a table; everything else is looked up on the
disk, by descriptors. A directory that the batch removed or made hides what the disk has beneath it.
Links that stay inside are followed as everywhere in a scope, also those that the batch itself made.

Nothing here changes the tree. The table becomes steps (planning.py) when all has been said.
"""

from __future__ import annotations

import errno
import os
import stat
from collections import defaultdict
from typing import TypeAlias

import attrs

from runner.backends.beneath import MAX_LINKS, READING, Names, Route, fail, split_link
from runner.backends.descent import Descent
from runner.backends.files import is_temporary
from runner.workspaces.examining import entry_at
from runner.workspaces.planning import MakeDirectory, Put, Remove, SetMode, Step


@attrs.frozen
class Gone:
    """Nothing is to be there."""


@attrs.frozen
class Ready:
    """A content that is ready under a number: a new one (`ours`), or a file that is to move."""

    number: int
    ours: bool


@attrs.frozen
class New:
    """A directory that the batch makes."""

    mode: int


Decided: TypeAlias = Gone | Ready | New


@attrs.frozen
class Seen:
    """What is at a path.

    Attributes:
        directory: an open one that has it, or the staging; only until the next look.
        name: what it has there.
        status: of it.
        ready: what the batch has put there; None = it is on the disk.
        mode: of it, as it will be.
    """

    directory: int
    name: str
    status: os.stat_result
    ready: Ready | New | None
    mode: int

    @property
    def is_directory(self) -> bool:
        """Whether it is one."""
        return isinstance(self.ready, New) or stat.S_ISDIR(self.status.st_mode)

    @property
    def is_link(self) -> bool:
        """Whether it is one."""
        return stat.S_ISLNK(self.status.st_mode)


class View:
    """The tree as it will be; both descriptors stay the caller's."""

    def __init__(self, tree: int, staging: int, *, follows_links: bool = True) -> None:
        """Nothing was decided yet."""
        self._tree, self._staging = tree, staging
        self._follows_links = follows_links
        self._at = Descent(tree)
        self._decided: dict[Names, Decided] = {}
        self._inside: defaultdict[Names, set[str]] = defaultdict(set)
        self._modes: dict[Names, int] = {}

    def close(self) -> None:
        """Let go of descriptors."""
        self._at.close()

    def decide(self, names: Names, what: Decided) -> None:
        """What is to be at a path."""
        self._decided[names] = what
        self._inside[names[:-1]].add(names[-1])
        self._modes.pop(names, None)

    def set_mode(self, names: Names, mode: int) -> None:
        """Which mode a path is to have."""
        found = self._decided.get(names)
        if isinstance(found, New):
            self._decided[names] = New(mode)
        else:
            self._modes[names] = mode

    def see(self, names: Names) -> Seen | None:
        """What is at names, links not followed; None if nothing is."""
        if not names:
            status = os.fstat(self._tree)
            return Seen(self._tree, ".", status, None, stat.S_IMODE(status.st_mode))
        found = self._decided.get(names)
        if isinstance(found, Gone):
            return None
        if isinstance(found, New):
            return Seen(self._staging, ".", os.fstat(self._staging), found, found.mode)
        there, name = self._found(names, found)
        if there is None:
            return None
        mode = self._modes.get(names, stat.S_IMODE(there[1].st_mode))
        return Seen(there[0], name, there[1], found, mode)

    def _found(
        self, names: Names, ready: Ready | None
    ) -> tuple[tuple[int, os.stat_result] | None, str]:
        """Where it is, and its name there."""
        if ready is not None:
            name = str(ready.number)
            status = os.stat(name, dir_fd=self._staging, follow_symlinks=False)
            return (self._staging, status), name
        return (None if self._is_hidden(names) else entry_at(self._at, names)), names[-1]

    def names_in(self, names: Names) -> list[str]:
        """The names of what will be in a directory."""
        there = set(self._on_disk(names))
        for name in self._inside.get(names, ()):
            if isinstance(self._decided[*names, name], Gone):
                there.discard(name)
            else:
                there.add(name)
        return sorted(there)

    def below(self, names: Names) -> list[Names]:
        """What is at names and below, a directory before what is in it."""
        found: list[Names] = []
        pending = [names]
        while pending:
            here = pending.pop()
            seen = self.see(here)
            if seen is not None:
                found.append(here)
                if seen.is_directory:
                    pending += [(*here, each) for each in self.names_in(here)]
        return found

    def resolve(self, route: Route, *, entry: bool) -> Names:
        """Where a path leads; with `entry`, the last name is that of a link itself."""
        done: list[str] = []
        pending = list(reversed(route.names))
        links = 0
        while pending:
            name = pending.pop()
            if name == "..":
                if not done:
                    raise fail(errno.EXDEV)
                if self.see(tuple(done)) is None:
                    raise fail(errno.ENOENT)
                done.pop()
                continue
            seen = self.see((*done, name))
            if seen is None or not seen.is_link or (entry and not pending):
                if seen is not None and not seen.is_directory and (pending or route.directory):
                    raise fail(errno.ENOTDIR)
                done.append(name)
                continue
            text = os.readlink(seen.name, dir_fd=seen.directory)
            links += 1
            if links > MAX_LINKS or not self._follows_links:
                raise fail(errno.ELOOP)
            if text.startswith("/"):
                raise fail(errno.EXDEV)
            pending.extend(reversed(split_link(text)[0]))
        return tuple(done)

    def steps(self) -> list[Step]:
        """What makes the tree on the disk this one."""
        removed: list[Step] = []
        made: list[Step] = []
        put: list[Step] = []
        modes: list[Step] = []
        for names in sorted(self._decided):
            what = self._decided[names]
            there = entry_at(self._at, names)
            was = None if there is None else stat.S_ISDIR(there[1].st_mode)
            stays = isinstance(what, New) if was else isinstance(what, Ready)  # or is replaced
            if was is not None and not stays:
                removed.append(Remove(names, directory=was))
            if isinstance(what, Ready):
                put.append(Put(names, what.number))
            elif isinstance(what, New):
                made.append(MakeDirectory(names))
                modes.append(SetMode(names, what.mode, directory=True))
        for names, mode in sorted(self._modes.items()):
            seen = self.see(names)
            if seen is not None:
                modes.append(SetMode(names, mode, directory=seen.is_directory))
        modes.sort(key=_last_directories)
        return [*reversed(removed), *made, *put, *modes]

    def _is_hidden(self, names: Names) -> bool:
        """Whether what the disk has there is not to be seen, because of what is above it."""
        return any(names[:depth] in self._decided for depth in range(len(names) - 1, 0, -1))

    def _on_disk(self, names: Names) -> list[str]:
        if names in self._decided or self._is_hidden(names):
            return []
        fd = self._at.open(names, READING)
        try:
            return [each for each in os.listdir(fd) if not is_temporary(each)]
        finally:
            os.close(fd)


def _last_directories(step: Step) -> tuple[bool, int]:
    return isinstance(step, SetMode) and step.directory, -len(step.names)
