"""A tree, or what differs between two, as one file for elsewhere: patch and tar; what all share.

Rules of every export:

1. The file is written under a temporary name beside its target, made durable, and renamed: whoever
   sees it sees it whole. What is there already is refused, unless it may be replaced.
2. The same tree gives the same bytes: no times, owners or orders of the moment are in it.
3. What a format has no words for is left out, and said (`Exported.left_out`).

Synchronous, for a thread. Git bundles and AgentFS databases have modules of their own.
"""

from __future__ import annotations

import contextlib
import errno
import gzip
import io
import os
import tarfile
from collections.abc import Iterator
from typing import BinaryIO

import attrs

from runner.backends.failures import translate
from runner.backends.files import temporary_name
from runner.backends.trees import rename
from runner.workspaces.comparing import Source
from runner.workspaces.diff import Diff
from runner.workspaces.listing import Entry, EntryType
from runner.workspaces.objects import ObjectId
from runner.workspaces.patching import pieces, reason_left_out

_NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_TYPES = {
    EntryType.FILE: tarfile.REGTYPE,
    EntryType.DIRECTORY: tarfile.DIRTYPE,
    EntryType.LINK: tarfile.SYMTYPE,
    EntryType.FIFO: tarfile.FIFOTYPE,
}


@attrs.frozen(kw_only=True)
class Exported:
    """A file that was made.

    Attributes:
        path: where it is, absolute.
        size: of it, in bytes.
        left_out: paths that the format has no words for, each with the reason; sorted.
    """

    path: str
    size: int
    left_out: tuple[tuple[str, str], ...] = ()


@contextlib.contextmanager
def target(path: str | os.PathLike[str], op: str, *, overwrite: bool) -> Iterator[str]:
    """A new file under a temporary name; it gets its own when the block has ended well.

    Raises:
        AlreadyExists: there is something at the path, and it is not to be replaced.
        OperationError: it cannot be written there.
    """
    final = absolute(path)
    part = os.path.join(os.path.dirname(final), temporary_name())
    with failures(op, final):
        try:
            refuse_existing(final, overwrite=overwrite)
            os.close(os.open(part, _NEW, 0o666))
            yield part
            settle(part, final, overwrite=overwrite)
        finally:
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                os.unlink(part)


@contextlib.contextmanager
def failures(op: str, path: str) -> Iterator[None]:
    """The border where errno ends."""
    try:
        yield
    except OSError as error:
        raise translate(error, op, path, None) from error


def absolute(path: str | os.PathLike[str]) -> str:
    """A path that stays the same wherever the process goes."""
    return os.path.abspath(os.fspath(path))


def refuse_existing(final: str, *, overwrite: bool) -> None:
    """Say early what `settle` would say in the end."""
    if not overwrite and os.path.lexists(final):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), final)


def settle(part: str, final: str, *, overwrite: bool) -> None:
    """Make a whole file durable, and give it its name."""
    directory, name = os.path.split(final)
    with open(part, "rb") as file:
        os.fsync(file.fileno())
    with contextlib.ExitStack() as stack:
        ends = []
        for each in (os.path.dirname(part), directory):
            ends.append(os.open(each, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
            stack.callback(os.close, ends[-1])
        rename(ends[0], os.path.basename(part), ends[1], name, overwrite=overwrite)
        os.fsync(ends[1])


def export_patch(diff: Diff, path: str | os.PathLike[str], *, overwrite: bool = False) -> Exported:
    """Write a patch for `git apply`.

    Raises:
        OperationError: as `target` says.
    """
    with target(path, "export", overwrite=overwrite) as part, open(part, "r+b") as file:
        file.writelines(diff.patches())
    left_out = []
    for change in diff.changes:
        for there, at in (
            (change.before, change.old_path or change.path),
            (change.after, change.path),
        ):
            reason = "" if there is None else reason_left_out(at, there)
            if reason:
                left_out.append((at, reason))
    return exported(path, left_out)


def export_tar(
    source: Source,
    root: ObjectId,
    path: str | os.PathLike[str],
    *,
    overwrite: bool = False,
    mtime: int = 0,
) -> Exported:
    """Write a tree as a tar archive (POSIX.1-2001, so names may be any bytes).

    Args:
        source: where it is.
        root: which.
        path: of the archive; it is compressed if that ends in `.gz` or `.tgz`.
        overwrite: whether a file that is there may be replaced.
        mtime: the time of everything in it, in seconds since 1970.

    Raises:
        OperationError: as `target` says.
    """
    with target(path, "export", overwrite=overwrite) as part, contextlib.ExitStack() as stack:
        file: BinaryIO = stack.enter_context(open(part, "r+b"))
        if os.fspath(path).endswith((".gz", ".tgz")):
            packed = gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=mtime)
            file = stack.enter_context(contextlib.closing(packed))  # type: ignore[assignment]
        archive = stack.enter_context(
            tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT, encoding="utf-8")
        )
        made = _Archive(archive, source, mtime)
        for at, entry in walk(source, root):
            made.add(at, entry)
    return exported(path, ())


def exported(path: str | os.PathLike[str], left_out: list[tuple[str, str]] | tuple[()]) -> Exported:
    """What has been made at a path."""
    final = absolute(path)
    size = os.stat(final).st_size
    found = sorted(set(left_out), key=lambda each: os.fsencode(each[0]))
    return Exported(path=final, size=size, left_out=tuple(found))


def walk(source: Source, root: ObjectId) -> Iterator[tuple[str, Entry]]:
    """Everything in a tree: a directory before what is in it, names in the order of their bytes."""
    todo = [("", each) for each in reversed(source.listing(root))]
    while todo:
        prefix, entry = todo.pop()
        path = prefix + os.fsdecode(entry.name)
        yield path, entry
        if entry.type is EntryType.DIRECTORY:
            todo += ((f"{path}/", each) for each in reversed(source.listing(entry.id)))


def target_of(source: Source, entry: Entry) -> bytes:
    """Where a link leads."""
    return b"".join(pieces(source, entry))


@attrs.frozen
class _Archive:
    """An archive that is being written."""

    file: tarfile.TarFile
    source: Source
    mtime: int
    seen: dict[tuple[int, ObjectId], str] = attrs.Factory(dict)

    def add(self, path: str, entry: Entry) -> None:
        header = tarfile.TarInfo(path)
        header.type = _TYPES[entry.type]
        header.mode = 0o777 if entry.type is EntryType.LINK else entry.mode
        header.mtime = self.mtime
        if entry.type is EntryType.LINK:
            header.linkname = os.fsdecode(target_of(self.source, entry))
        if entry.group:
            first = self.seen.setdefault((entry.group, entry.id), path)
            if first != path:
                header.type, header.linkname = tarfile.LNKTYPE, first
        if header.type == tarfile.REGTYPE:
            header.size = entry.size
            with io.BufferedReader(_Content(self.source, entry), 1 << 20) as content:
                self.file.addfile(header, content)
        else:
            self.file.addfile(header)


class _Content(io.RawIOBase):
    """A file's content, to be read."""

    def __init__(self, source: Source, entry: Entry) -> None:
        self._pieces = pieces(source, entry)
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        while not self._rest:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._rest = memoryview(piece)
        taken = self._rest[: len(buffer)]
        buffer[: len(taken)] = taken
        self._rest = self._rest[len(taken) :]
        return len(taken)
