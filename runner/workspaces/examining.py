"""What really stands somewhere, compared with what an entry says: type, mode and content.

Model. Looking is by descriptors, links not followed. A file's content is read (holes are not) and
hashed as a capture does, so that what is equal here has the id that the store has.

What this does not do: make objects of what is there (capturing does).
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias

from runner.backends.beneath import READING, Names
from runner.backends.descent import Descent
from runner.backends.files import is_temporary, read_window, status_of
from runner.workspaces.carrying import NOT_THERE
from runner.workspaces.listing import EMPTY, MODES, Entry, EntryType
from runner.workspaces.objects import CHUNK, ObjectId, chunk, chunks, content

Listing: TypeAlias = Callable[[ObjectId], Sequence[Entry]]

_TYPES = {
    stat.S_IFREG: EntryType.FILE,
    stat.S_IFDIR: EntryType.DIRECTORY,
    stat.S_IFLNK: EntryType.LINK,
    stat.S_IFIFO: EntryType.FIFO,
}


def is_as(directory: int, name: str, entry: Entry) -> bool:
    """Whether an open directory has an entry there; what is in a directory is not looked at."""
    status = status_of(directory, name)
    if status is None or _TYPES.get(stat.S_IFMT(status.st_mode)) is not entry.type:
        return False
    if entry.type is EntryType.LINK:
        return content(os.fsencode(os.readlink(name, dir_fd=directory))).id == entry.id
    if status.st_mode & MODES != entry.mode:
        return False
    if entry.type is not EntryType.FILE:
        return True
    return status.st_size == entry.size and content_id(directory, name) == entry.id


def content_id(directory: int, name: str) -> ObjectId:
    """The id of a regular file's content."""
    fd = os.open(name, READING | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
    try:
        size = os.fstat(fd).st_size
        if size <= CHUNK:
            return content(read_window(fd, 0, size)).id
        return chunks(size, [_chunk_id(fd, at, size) for at in range(0, size, CHUNK)]).id
    finally:
        os.close(fd)


def _chunk_id(fd: int, start: int, size: int) -> ObjectId | None:
    try:
        data = os.lseek(fd, start, os.SEEK_DATA)
    except OSError as error:
        if error.errno != errno.ENXIO:  # a hole up to the end
            raise
        return None
    length = min(CHUNK, size - start)
    if data >= start + length:
        return None
    found = chunk(read_window(fd, start, length))
    return None if found is None else found.id


def unlike(listing: Listing, root: ObjectId, tree: int) -> Iterator[Names]:
    """What of an open tree is not as in a root: the names of all that differ, or are too many.

    All files are read. Sockets and devices, which are in no root, and our own temporary names are
    not looked at; hard links are not compared.
    """
    at = Descent(tree)
    pending: list[tuple[Names, ObjectId]] = [((), root)]
    try:
        while pending:
            names, id_ = pending.pop()
            entries = () if id_ == EMPTY.id else listing(id_)
            expected = {os.fsdecode(each.name): each for each in entries}
            for name in sorted(set(_names_in(at, names)) - expected.keys()):
                yield (*names, name)
            for name, entry in expected.items():
                inner = (*names, name)
                if not is_as(at.go(names), name, entry):
                    yield inner
                elif entry.type is EntryType.DIRECTORY:
                    pending.append((inner, entry.id))
    finally:
        at.close()


def _names_in(at: Descent, names: Names) -> Iterator[str]:
    """The names of what could be in a root."""
    fd = at.open(names, READING)
    try:
        for name in os.listdir(fd):
            status = status_of(fd, name)
            if status is None or stat.S_IFMT(status.st_mode) not in _TYPES:
                continue
            if not is_temporary(name):
                yield name
    finally:
        os.close(fd)


def entry_at(at: Descent, names: Names) -> tuple[int, os.stat_result] | None:
    """The directory that has a name, and the status of what it names; None if nothing is there."""
    try:
        directory = at.go(names[:-1])
    except OSError as error:
        if error.errno not in NOT_THERE:
            raise
        return None
    status = status_of(directory, names[-1])
    return None if status is None else (directory, status)
