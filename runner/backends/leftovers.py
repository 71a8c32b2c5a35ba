"""Temporary files that a process of ours left behind: noticed by a listing, removed by a write.

Model. A file is replaced by way of a temporary name (`files.temporary_name`); a process that is
killed in between leaves it there. Such names are never shown. A listing that meets one whose
process is certainly no more notes it; the next write in that directory removes it. So no
observation changes anything, and no write pays for looking.

What this does not do: names from another machine, container or boot are left where they are (and
are not shown either), since nobody here can know whether their process is at work.
"""

from __future__ import annotations

import contextlib
import os

from runner.backends.files import is_left_behind

MOST_DIRECTORIES = 256


class Leftovers:
    """What was noted, by directory; used by several threads."""

    def __init__(self) -> None:
        """Nothing was noted yet."""
        self._noted: dict[tuple[int, int], list[str]] = {}

    def __len__(self) -> int:
        return len(self._noted)

    def note(self, directory: int, names: list[str]) -> None:
        """Remember names in an open directory."""
        if names and len(self._noted) < MOST_DIRECTORIES:
            status = os.fstat(directory)
            self._noted[status.st_dev, status.st_ino] = list(names)

    def sweep(self, directory: int) -> None:
        """Remove what was noted in an open directory, if it is still what it was."""
        if not self._noted:
            return
        status = os.fstat(directory)
        for name in self._noted.pop((status.st_dev, status.st_ino), ()):
            if is_left_behind(name):
                with contextlib.suppress(OSError):  # gone, or a directory: a copy's
                    os.unlink(name, dir_fd=directory)
