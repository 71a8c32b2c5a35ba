"""What a file, a link or a fifo is, as an entry of a listing and the objects that it needs.

A file is looked at, read, and looked at again, by one descriptor: as long as the two looks differ
somebody writes to it, and it is read again; after `TRIES` it is kept as it was read, and said to be
unstable. What is read is bounded by the size at the first look, so a file that grows faster than it
is read comes to an end. A large file is read by chunks; what the file system says to be a hole is
not read at all. Links are not followed, nothing is opened that may block.

What is not here: which files are to be read (assembling.py), and what a store does with objects.
What cannot be seen by looking is a write through a shared mapping whose page has been written to
before: the kernel stamps the first one only.

Source: mmap(2), "st_mtime"; lseek(2), SEEK_DATA.
"""

from __future__ import annotations

import errno
import os
import stat as modes
from collections.abc import Callable

import attrs

from runner.watching.columns import State, state_of
from runner.workspaces.listing import MODES, Entry, EntryType
from runner.workspaces.objects import CHUNK, NO_ID, Object, ObjectId, chunk, chunks, content

TRIES = 3
# A list of chunks has 32 bytes for each, holes too. ext4 lets a file have 16 TiB, of nothing.
LARGEST = 1 << 40
# How many chunks are read between two questions whether to go on.
_BREATH = 64

# What is put in the place of a file by another program meanwhile must neither block nor be ours.
_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_NO_KIND = {
    modes.S_IFSOCK: "a socket",
    modes.S_IFCHR: "a character device",
    modes.S_IFBLK: "a block device",
}


class Left(Exception):
    """It is left out; the reason is for people. Empty: it has gone, or is another thing by now."""


@attrs.frozen
class Found:
    """What a name is.

    Attributes:
        entry: its line of the listing.
        is_stable: whether nobody wrote to it while it was read.
    """

    entry: Entry
    is_stable: bool = True


@attrs.define(eq=False)
class Reader:
    """Reads what is in directories.

    Attributes:
        keep: is given each object, contents before what names them.
        check: is asked now and then whether to go on; it raises if not.
    """

    keep: Callable[[Object], object]
    check: Callable[[], object] = lambda: None

    def read(self, directory: int, name: str, state: State) -> Found:
        """What a name in an open directory is.

        Args:
            directory: its descriptor.
            name: in it.
            state: of the name, when it was last looked at: what kind of thing it is.

        Raises:
            Left: no entry can be made of it.
        """
        mode, group = state[4], state[0] if state[5] > 1 else 0
        kind = modes.S_IFMT(mode)
        try:
            if kind == modes.S_IFREG:
                return self._read_file(directory, name)
            if kind == modes.S_IFLNK:
                return self._read_link(directory, name, group)
        except OSError as exc:
            raise Left(_reason(exc)) from None
        if kind == modes.S_IFIFO:
            return Found(Entry(os.fsencode(name), EntryType.FIFO, mode & MODES, NO_ID, 0, group))
        raise Left(_NO_KIND.get(kind, "of an unknown kind"))

    def _read_link(self, directory: int, name: str, group: int) -> Found:
        target = content(os.fsencode(os.readlink(name, dir_fd=directory)))
        self.keep(target)
        return Found(Entry(os.fsencode(name), EntryType.LINK, 0, target.id, 0, group))

    def _read_file(self, directory: int, name: str) -> Found:
        descriptor = os.open(name, _FLAGS, dir_fd=directory)
        try:
            before = os.fstat(descriptor)
            if not modes.S_ISREG(before.st_mode):
                raise Left("")
            tries = 1
            while True:
                named, size = self._read_bytes(descriptor, before.st_size)
                after = os.fstat(descriptor)
                is_stable = state_of(before) == state_of(after)
                if is_stable or tries == TRIES:
                    return _found(name, after, named, size, is_stable=is_stable)
                before, tries = after, tries + 1
        finally:
            os.close(descriptor)

    def _read_bytes(self, descriptor: int, size: int) -> tuple[ObjectId, int]:
        """The id of a file's bytes, and how many they are: not more than it had when looked at."""
        if size > CHUNK:
            return self._read_chunks(descriptor, size)
        found = content(_read_up_to(descriptor, size, 0))
        self.keep(found)
        return found.id, len(found.data)

    def _read_chunks(self, descriptor: int, size: int) -> tuple[ObjectId, int]:
        if size > LARGEST:
            raise Left(f"a file of more than {LARGEST >> 40} TiB")
        ids: list[ObjectId | None] = []
        at = 0
        while at < size:
            data_at = _data(descriptor, at)
            if data_at is None:  # a hole up to the end, unless somebody has cut it off
                size = max(at, min(size, os.fstat(descriptor).st_size))
                data_at = size
            skipped = (min(data_at, size) - at) // CHUNK
            if skipped:
                ids += [None] * skipped
                at += skipped * CHUNK
                continue
            if not len(ids) % _BREATH:
                self.check()
            wanted = min(CHUNK, size - at)
            data = _read_up_to(descriptor, wanted, at)
            found = chunk(data)
            if data:
                ids.append(None if found is None else found.id)
                at += len(data)
            if found is not None:
                self.keep(found)
            if len(data) < wanted:
                size = at  # somebody has cut it off
        if size <= CHUNK:
            return self._read_bytes(descriptor, size)
        whole = chunks(size, ids)
        self.keep(whole)
        return whole.id, size


def _found(
    name: str, stat: os.stat_result, named: ObjectId, size: int, *, is_stable: bool
) -> Found:
    group = stat.st_ino if stat.st_nlink > 1 else 0
    mode = stat.st_mode & MODES
    entry = Entry(os.fsencode(name), EntryType.FILE, mode, named, size, group)
    return Found(entry, is_stable)


def _read_up_to(descriptor: int, size: int, at: int) -> bytes:
    data = os.pread(descriptor, size, at)
    if len(data) == size or not data:
        return data
    parts = [data]
    while data and size > (got := sum(map(len, parts))):
        data = os.pread(descriptor, size - got, at + got)
        parts.append(data)
    return b"".join(parts)


def _data(descriptor: int, at: int) -> int | None:
    """Where the next data is, from there on; None if there is none."""
    try:
        return os.lseek(descriptor, at, os.SEEK_DATA)
    except OSError as exc:
        return None if exc.errno == errno.ENXIO else at


def _reason(exc: OSError) -> str:
    if exc.errno in (errno.ENOENT, errno.ELOOP, errno.EINVAL, errno.ENXIO, errno.ENOTDIR):
        return ""  # gone, or a link or no link any more, or a socket: the next look says what it is
    return exc.strerror or str(exc)
