"""Observations on the content of local files: windows of lines, digests, downloads, real paths."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
from collections.abc import Generator
from math import inf

import trio

from runner import messages as m
from runner.backends import files, lines, records
from runner.backends.base import LATER, Later
from runner.backends.beneath import READING, Beneath, Names, fail
from runner.backends.failures import failure, translate
from runner.backends.files import SMALL
from runner.backends.lines import Counting, LineIndex
from runner.backends.local.place import Place
from runner.backends.threads import CHUNK, breathe, here_first, in_thread, is_over
from runner.errors import OperationError

_LARGE = 4 * lines.PIECE  # bytes of a file whose lines are counted by two threads


@contextlib.contextmanager
def _opened(place: Place, op: str, path: str) -> Generator[tuple[int, os.stat_result], None, None]:
    """A regular file, open for reading; failures become answers."""
    with place.answers(op, path):
        fd = place.root.open(make=False).open(place.root.route(op, path), READING)
        try:
            status = os.fstat(fd)
            files.require_regular(status)
            yield fd, status
        finally:
            os.close(fd)


def read_lines_now(place: Place, message: m.ReadLines) -> m.Lines | Later:
    """A window of the lines of a small file."""
    with _opened(place, "read_lines", message.path) as (fd, status):
        return LATER if status.st_size > SMALL else _window(place, fd, status, message)


async def read_lines(place: Place, message: m.ReadLines) -> m.Lines:
    """A window of the lines of a file; the rules are those of `lines`."""
    with _opened(place, "read_lines", message.path) as (fd, status):
        if message.total and status.st_size > _LARGE and place.indexes.known(status) is None:
            index = await _counted(place, fd, status)
            return await in_thread(lambda: _window(place, fd, status, message, index))
        return await in_thread(lambda: _window(place, fd, status, message))


async def _counted(place: Place, fd: int, status: os.stat_result) -> LineIndex:
    """The index of a large file, counted by two threads."""
    settled = lines.is_settled(fd, status)
    counting = Counting(lambda count, offset: os.pread(fd, count, offset), status.st_size)
    async with trio.open_nursery() as nursery:
        for _ in range(2):
            nursery.start_soon(in_thread, counting.work)
    index = counting.index()
    if settled:
        place.indexes.keep(fd, status, index)
    return index


def _window(
    place: Place,
    fd: int,
    status: os.stat_result,
    message: m.ReadLines,
    index: LineIndex | None = None,
) -> m.Lines:
    def take(count: int, offset: int) -> bytes:
        return os.pread(fd, count, offset)

    if status.st_size <= SMALL:  # an index is not worth keeping
        content = take(status.st_size, 0)
        return lines.window_of(content, message)
    known = index is not None or place.indexes.known(status) is not None
    return lines.window(
        take, status.st_size, message, lambda: index or place.indexes.of(fd, status), known=known
    )


async def digest(place: Place, message: m.Digest) -> str:
    """The SHA-256 of a file's content."""
    with _opened(place, "digest", message.path) as (fd, status):
        return await in_thread(lambda: _digest(fd, status.st_size))


def _digest(fd: int, size: int) -> str:
    found = hashlib.sha256()
    buffer = memoryview(bytearray(min(CHUNK, max(size, 1))))
    place = 0
    while count := os.preadv(fd, [buffer], place):
        found.update(buffer[:count])
        place += count
        breathe()
    return found.hexdigest()


async def download(place: Place, message: m.Download) -> tuple[m.Downloaded, ...]:
    """The contents of many files."""
    found: list[m.Downloaded] = []

    def work(until: float) -> bool:
        most = SMALL if until < inf else None
        for path in message.paths[len(found) :]:
            if is_over(until):
                return False
            each = _downloaded(place, path, most)
            if each is None:
                return False
            found.append(each)
        return True

    await here_first(work)
    return tuple(found)


def _downloaded(place: Place, path: str, most: int | None) -> m.Downloaded | None:
    """A file's content, or why there is none; None if it has over `most` bytes."""
    root = place.root
    try:
        fd = root.look(root.route("download", path), READING)
        try:
            status = os.fstat(fd)
            files.require_regular(status)
            if most is not None and status.st_size > most:
                return None
            return records.downloaded(path, files.read_window(fd, 0, status.st_size))
        finally:
            os.close(fd)
    except OSError as error:
        return m.Downloaded(path=path, error=failure(translate(error, "download", path, root.path)))
    except OperationError as error:
        return m.Downloaded(path=path, error=failure(error))


def realpath_now(place: Place, message: m.Realpath) -> str:
    """Where a path leads when all links are followed, as an absolute path inside the scope."""
    path = message.path
    with place.answers("realpath", path):
        beneath = place.root.open(make=False)
        route = place.root.route("realpath", path)
        try:
            fd = beneath.open(route, os.O_PATH)
        except FileNotFoundError:
            return _path_of_missing(beneath, route.names)
        try:
            return _path_of(fd)
        finally:
            os.close(fd)


def _path_of_missing(beneath: Beneath, names: Names) -> str:
    """As of what is there, and the names that are missing behind it."""
    if not names or names[-1] == "..":
        raise fail(errno.ENOENT)
    try:
        directory, name = beneath.target(names)
        missing: Names = (name,)
    except FileNotFoundError:
        directory, depth = beneath.nearest(names)
        missing = names[depth:]
    try:
        # Nothing can be above what is not there, nor below a link that dangles.
        if ".." in missing or (len(missing) > 1 and files.status_of(directory, missing[0])):
            raise fail(errno.ENOENT)
        return "/".join((_path_of(directory).rstrip("/"), *missing))
    finally:
        os.close(directory)


def _path_of(fd: int) -> str:
    """The path of an open file. The kernel says it, so no link and no rename can mislead us."""
    path = os.readlink(f"/proc/self/fd/{fd}")
    if os.fstat(fd).st_nlink == 0:  # removed meanwhile; then it ends in " (deleted)"
        raise fail(errno.ENOENT)
    return path
