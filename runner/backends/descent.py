"""Walking a tree by descriptors: each directory is opened from the one above it, by one name.

Model. A `Descent` holds the descriptors of the last directories on the way to where it is, at most
`KEPT`; to go elsewhere it goes on from the deepest that both ways share. So a walk costs one open
for each directory, in a tree of any depth, with a bounded number of descriptors. No link is ever
followed: a directory that became one is ENOTDIR.

It is used by one thread at a time, and closed by who made it.
"""

from __future__ import annotations

import os

from runner.backends.beneath import DIRECTORY, Names

KEPT = 64


class Descent:
    """A place in a tree, which moves; `top` stays the caller's."""

    __slots__ = ("_base", "_fds", "_names", "_top")

    def __init__(self, top: int) -> None:
        """Start at an open directory."""
        self._top = top
        self._names: Names = ()
        self._fds: list[int] = []  # of the last names; the first is of depth _base + 1
        self._base = 0

    def go(self, names: Names) -> int:
        """The directory at names, as an O_PATH descriptor that is valid until the next move."""
        if names == self._names and self._fds:
            return self._fds[-1]
        depth = 0
        for here, there in zip(self._names, names, strict=False):
            if here != there:
                break
            depth += 1
        if depth <= self._base:  # what both ways share is no longer held: begin at the top
            depth = self._base = 0
        self._cut(depth)
        for name in names[depth:]:
            above = self._fds[-1] if self._fds else self._top
            fd = os.open(name, DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=above)
            self._fds.append(fd)
            self._names = (*self._names, name)
            if len(self._fds) > KEPT:
                os.close(self._fds.pop(0))
                self._base += 1
        return self._fds[-1] if self._fds else self._top

    def open(self, names: Names, flags: int) -> int:
        """Open the directory at names; yours to close. We are then in the one above it."""
        flags |= os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
        return os.open(names[-1] if names else ".", flags, dir_fd=self.go(names[:-1]))

    def close(self) -> None:
        """Let go of all descriptors but the top."""
        self._base = 0
        self._cut(0)

    def _cut(self, depth: int) -> None:
        """Hold no more than the first `depth` names."""
        while self._fds and self._base + len(self._fds) > depth:
            os.close(self._fds.pop())
        self._names = self._names[:depth]
