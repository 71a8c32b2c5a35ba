"""The directories that one message of many effects works in: opened once for many files.

Model. The directory of a path is opened as for any effect, and kept for the files beside it, by its
names; so it stays the same directory while others move it. That it was inside is then a statement
about a moment ago, as it is within a single effect: so it is used for `KEPT` seconds at most.

What is not a plain name in a directory that is there (a link, a missing parent, `..`, a bad path)
is not found here: the effect itself goes its general way, and says what is wrong.

What this does not do: notice what the message itself changes. Whoever carries out an effect that
may move or remove a directory lets `forget` follow.
"""

from __future__ import annotations

import os
import stat
import time
from types import TracebackType
from typing import Self

from runner.backends.beneath import DIRECTORY, Names
from runner.backends.local.place import Place
from runner.errors import OperationError

KEPT = 0.05  # seconds
MOST = 16  # directories that are open at once


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
        self._open: dict[Names, int] = {}
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
        fds = self._open.values()
        if self._hold:
            self._held += fds
        else:
            for fd in fds:
                os.close(fd)
        self._open.clear()

    def find(self, path: str) -> tuple[int, str, os.stat_result | None] | None:
        """The directory of a file to write (it stays ours), its name, and what stands there.

        None if it has to go the general way.
        """
        try:
            route = self._place.root.route("write", path)
            names = route.names
            if route.directory or not names or ".." in names:
                return None
            directory = self._directory(names[:-1])
            try:
                status = os.stat(names[-1], dir_fd=directory, follow_symlinks=False)
            except FileNotFoundError:
                return directory, names[-1], None
        except (OSError, OperationError):
            return None
        return None if stat.S_ISLNK(status.st_mode) else (directory, names[-1], status)

    def _directory(self, names: Names) -> int:
        now = time.monotonic()
        if now >= self._until or len(self._open) >= MOST:
            self.forget()
            self._until = now + KEPT
        found = self._open.get(names)
        if found is None:
            found = self._place.root.open(make=True).open_names(names, DIRECTORY)
            self._open[names] = found
            self._place.leftovers.sweep(found)
        return found
