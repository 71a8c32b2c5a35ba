"""The directories that one message of many effects works in: opened once for many files.

Model. The directory of a path is opened as for any effect, and kept for the files beside it, by its
path as it was written; so it stays the same directory while others move it. That it was inside is
then a statement about a moment ago, as it is within a single effect: so it is used for `KEPT`
seconds at most.

What is not a plain name in a directory that is there (a link, a missing parent, a bad path) is not
found here: the effect itself goes its general way, and says what is wrong.

What this does not do: notice what the message itself changes. Whoever carries out an effect that
may move or remove a directory lets `forget` follow.
"""

from __future__ import annotations

import os
import stat
import time
from types import TracebackType
from typing import Self

import attrs

from runner.backends import files
from runner.backends.beneath import DIRECTORY
from runner.backends.files import Owner
from runner.backends.local.place import Place
from runner.errors import OperationError

KEPT = 0.05  # seconds
MOST = 16  # directories that are open at once

_NO_NAMES = {"", ".", ".."}


@attrs.define
class Beside:
    """A file to write, in an open directory that stays ours.

    Attributes:
        old: the status of what stands there; None if nothing does.
        owner: whose new files in this directory are, if that is known.
    """

    directory: int
    name: str
    old: os.stat_result | None
    owner: Owner | None


class Parents:
    """Open directories, for one message; closed when it is left."""

    def __init__(self, place: Place, *, hold: bool = False) -> None:
        """Nothing is open yet.

        Args:
            place: where the paths count from.
            hold: whether what was found stays open to the end of the message.
        """
        self._place = place
        self._hold = hold
        self._open: dict[str, tuple[int, Owner | None]] = {}
        self._held: list[int] = []
        self._until = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.forget()
        for fd in self._held:
            os.close(fd)

    def forget(self) -> None:
        """Open anew what is asked for next."""
        fds = [fd for fd, _ in self._open.values()]
        if self._hold:
            self._held += fds
        else:
            for fd in fds:
                os.close(fd)
        self._open.clear()

    def find(self, path: str) -> Beside | None:
        """Where a file is to be written, and what stands there.

        None if it has to go the general way.
        """
        cut = path.rfind("/") + 1
        name = path[cut:]
        if name in _NO_NAMES:
            return None
        try:
            directory, owner = self._directory(path[:cut])
            try:
                old = os.stat(name, dir_fd=directory, follow_symlinks=False)
            except FileNotFoundError:
                return Beside(directory, name, None, owner)
        except (OSError, ValueError, OperationError):
            return None
        return None if stat.S_ISLNK(old.st_mode) else Beside(directory, name, old, owner)

    def _directory(self, path: str) -> tuple[int, Owner | None]:
        now = time.monotonic()
        if now >= self._until or len(self._open) >= MOST:
            self.forget()
            self._until = now + KEPT
        found = self._open.get(path)
        if found is None:
            root = self._place.root
            fd = root.open(make=True).open(root.route("write", path or "."), DIRECTORY)
            found = self._open[path] = fd, files.owner_in(fd)
            self._place.leftovers.sweep(fd)
        return found
