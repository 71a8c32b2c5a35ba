"""Observations on local files, by descriptor.

What is short (a file of 64 KiB and less, a stat, a small listing) is done inline, in trio's thread,
in a few microseconds; what may take long goes to a thread of ours and is waited for.
"""

from __future__ import annotations

import errno
import os

from runner import messages as m
from runner.backends import files, listing
from runner.backends.base import LATER, Later
from runner.backends.beneath import READING
from runner.backends.failures import translate
from runner.backends.files import SMALL
from runner.backends.local.place import Place
from runner.backends.threads import in_thread

_NOTHING = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP}


def read_now(place: Place, message: m.Read) -> bytes | Later:
    """The content of a regular file, or a window of it, if that is small."""
    path, offset, limit = message.path, message.offset, message.limit
    root = place.root
    try:
        fd = root.look(root.route("read", path), READING)
        try:
            count = _window(fd, offset, limit)
            if count > SMALL:
                return LATER
            return os.pread(fd, count, offset) if count else b""
        finally:
            os.close(fd)
    except OSError as error:
        raise translate(error, "read", path, root.path) from error


async def read(place: Place, message: m.Read) -> bytes:
    """The content of a regular file, or a window of it."""
    with place.answers("read", message.path):
        fd = place.root.look(place.root.route("read", message.path), READING)
        try:
            count = _window(fd, message.offset, message.limit)
            return await in_thread(lambda: files.read_window(fd, message.offset, count))
        finally:
            os.close(fd)


def _window(fd: int, offset: int, limit: int | None) -> int:
    """How many bytes of a regular file are asked for."""
    status = os.fstat(fd)
    files.require_regular(status)
    count = max(status.st_size - offset, 0)
    return count if limit is None else min(count, limit)


def stat_now(place: Place, message: m.Stat) -> m.FileStat:
    """What stands at a path, links followed."""
    root, path = place.root, message.path
    try:
        return files.file_stat(root.status(root.route("stat", path)))
    except OSError as error:
        raise translate(error, "stat", path, root.path) from error


def exists_now(place: Place, message: m.Exists) -> bool:
    """Whether something stands at a path, links followed; a path that leads out is an error."""
    root, path = place.root, message.path
    try:
        os.close(root.look(root.route("exists", path), os.O_PATH))
    except OSError as error:
        if error.errno in _NOTHING:
            return False
        raise translate(error, "exists", path, root.path) from error
    return True


async def ls(place: Place, message: m.Ls) -> m.Listing:
    """The entries of a directory, sorted by name."""
    path, limit = message.path, message.limit
    with place.answers("ls", path):
        flags = READING | os.O_DIRECTORY
        fd = place.root.open(make=False).open(place.root.route("ls", path), flags)
        try:
            left: list[str] = []
            names = listing.few_names(fd, left)
            if names is None:
                left.clear()
                answer = await in_thread(lambda: listing.listing(fd, limit, left))
                place.leftovers.note(fd, left)
                return answer
            place.leftovers.note(fd, left)
            names.sort()
            entries = tuple(listing.entries_of(fd, names[:limit]))
            return m.Listing(entries=entries, omitted=max(len(names) - limit, 0))
        finally:
            os.close(fd)
