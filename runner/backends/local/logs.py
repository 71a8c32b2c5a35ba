"""A file in the scope that gets all of a program's output while that is written.

It is written in trio's own thread, as it comes and in pieces of some hundred KiB: into the page
cache, which is no slower than to hand it to a thread. What cannot be written, because the disk is
full, say, is counted, and the program goes on.
"""

from __future__ import annotations

import errno
import os

from runner.backends import files
from runner.backends.beneath import fail
from runner.backends.local.place import Place

_FLAGS = (
    os.O_WRONLY
    | os.O_APPEND
    | os.O_CREAT
    | os.O_NONBLOCK
    | os.O_NOCTTY
    | os.O_NOFOLLOW
    | os.O_CLOEXEC
)


class Log:
    """An open log.

    Attributes:
        unlogged: bytes that could not be written.
    """

    def __init__(self, fd: int) -> None:
        """Take the descriptor over."""
        self._fd = fd
        self.unlogged = 0

    def feed(self, _number: int, data: memoryview) -> None:
        """Write what comes; nothing is raised."""
        while data:
            try:
                data = data[os.write(self._fd, data) :]
            except OSError:
                self.unlogged += len(data)
                return

    def close(self) -> None:
        """No more comes."""
        os.close(self._fd)


def open_log(place: Place, op: str, path: str) -> Log | None:
    """Open the log at a path, emptied; missing parents are made. None if there is no path."""
    if not path:
        return None
    with place.answers(op, path):
        route = place.root.route(op, path)
        if route.directory:
            raise fail(errno.EISDIR)
        directory, name = place.root.open(make=True).target(route.names, make=True)
        try:
            fd = os.open(name, _FLAGS, 0o666, dir_fd=directory)
        finally:
            os.close(directory)
        try:
            files.require_regular(os.fstat(fd))
            os.ftruncate(fd, 0)
        except BaseException:
            os.close(fd)
            raise
        return Log(fd)
