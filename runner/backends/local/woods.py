"""A local tree that is walked: by descriptors, beneath an open directory, links never entered."""

from __future__ import annotations

import errno
import os
from types import TracebackType
from typing import Self

import attrs

from runner.backends import files
from runner.backends.beneath import READING, Names
from runner.backends.descent import Descent
from runner.backends.threads import breathe
from runner.backends.walking import Inside
from runner.messages import Entry

_GONE = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EACCES, errno.EPERM, errno.ENXIO}


class LocalWoods:
    """`Woods` below an open directory; for one thread at a time; a context manager."""

    def __init__(self, top: int) -> None:
        """`top` stays the caller's."""
        self._descent = Descent(top)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._descent.close()

    def inside(self, names: Names) -> Inside:
        """What is in a directory."""
        breathe()
        found = Inside([], [], [])
        add_file = found.files.append
        try:
            fd = self._descent.open(names, READING)
        except OSError as error:
            if error.errno in _GONE:
                return found
            raise
        try:
            with os.scandir(fd) as entries:
                for each in entries:
                    if each.is_file(follow_symlinks=False):  # most are
                        add_file(each.name)
                    elif each.is_dir(follow_symlinks=False):
                        found.directories.append(each.name)
                    else:
                        found.others.append(each.name)
        finally:
            os.close(fd)
        return found

    def content(self, names: Names, longest: int) -> bytes:
        """The content of a small regular file."""
        try:
            directory = self._descent.go(names[:-1])
            flags = READING | os.O_NOFOLLOW | os.O_CLOEXEC
            fd = os.open(names[-1], flags, dir_fd=directory)
        except OSError as error:
            if error.errno in _GONE:
                return b""
            raise
        try:
            status = os.fstat(fd)
            if not files.is_regular(status) or status.st_size > longest:
                return b""
            return files.read_window(fd, 0, status.st_size)
        finally:
            os.close(fd)

    def entry(self, path: str) -> Entry | None:
        """What stands at a path, by that path; None if it has vanished."""
        *above, name = path.split("/")
        try:
            found = files.entry(self._descent.go(tuple(above)), name)
        except OSError as error:
            if error.errno in _GONE:
                return None
            raise
        return None if found is None else attrs.evolve(found, name=path)
