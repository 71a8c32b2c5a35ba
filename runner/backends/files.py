"""Work on single files by descriptor: read, replace, append, and what stands somewhere.

Model. Every function takes an open directory and a single name, or an open file; nothing here
resolves a path. Failures are OSErrors, made into answers by `failures.translate`.

Replacing is atomic: the new content is written to a temporary name (`.runner-tmp-…`, O_EXCL) in the
same directory and renamed over the old, so a reader sees the old content or the new, and a crash
leaves one of the two. Mode and owner are kept; hard links to the old content, its extended
attributes and its ACL are not. On ext4 it costs no more than O_TRUNC (which flushes on close).
"""

from __future__ import annotations

import contextlib
import errno
import functools
import hashlib
import os
import random
import re
import secrets
import stat
from datetime import UTC, datetime
from typing import TypeAlias

from runner.backends import records
from runner.backends.beneath import READING, fail
from runner.backends.threads import CHUNK, breathe
from runner.messages import Entry, FileStat, FileType

SMALL = 64 * 1024  # bytes that are read or written inline, without a thread
TEMPORARY = ".runner-tmp-"
_TEMPORARY_NAME = re.compile(r"\.runner-tmp-([0-9a-f]{1,7})-([0-9a-f]{8})-[0-9a-f]{12}")

Owner: TypeAlias = tuple[int, int]  # user, group

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def temporary_name() -> str:
    """A hidden name that nobody else uses and that says whose it is."""
    return f"{_temporary()}{random.getrandbits(48):012x}"


@functools.cache
def _temporary() -> str:
    return f"{TEMPORARY}{os.getpid():x}-{_incarnation()}-"


os.register_at_fork(after_in_child=_temporary.cache_clear)


def is_temporary(name: str) -> bool:
    """Whether a name is one of `temporary_name`: such are no part of what a scope shows."""
    return name.startswith(TEMPORARY) and _TEMPORARY_NAME.fullmatch(name) is not None


def is_left_behind(name: str) -> bool:
    """Whether a temporary name is certainly of a process that is no more.

    Certain it is if the name says this boot and this PID namespace, and no such process is there:
    a name from elsewhere (another machine on a shared file system, a container) is left alone.
    """
    found = _TEMPORARY_NAME.fullmatch(name)
    if found is None or found[2] != _incarnation():
        return False
    try:
        os.kill(int(found[1], 16), 0)
    except ProcessLookupError:
        return True
    except OSError:  # it is there, and somebody else's
        return False
    return False


@functools.cache
def _incarnation() -> str:
    """What tells process ids of here and now from those of elsewhere or before."""
    try:
        with open("/proc/sys/kernel/random/boot_id", "rb") as file:
            boot = file.read()
        return hashlib.sha256(boot + os.readlink("/proc/self/ns/pid").encode()).hexdigest()[:8]
    except OSError:  # no /proc: then nothing is ever certain
        return secrets.token_hex(4)


def is_regular(status: os.stat_result) -> bool:
    """Whether it is a regular file."""
    return stat.S_ISREG(status.st_mode)


def require_regular(status: os.stat_result) -> None:
    """Raise EISDIR or ENXIO unless it is a regular file."""
    if not stat.S_ISREG(status.st_mode):
        raise fail(errno.EISDIR if stat.S_ISDIR(status.st_mode) else errno.ENXIO)


def read_window(fd: int, offset: int, count: int) -> bytes:
    """Up to `count` bytes from `offset`; fewer at the end of the file."""
    if 0 < count <= CHUNK and len(piece := os.pread(fd, count, offset)) == count:
        return piece  # as a rule that is all
    pieces: list[bytes] = []
    while count > 0:
        piece = os.pread(fd, min(count, CHUNK), offset)
        if not piece:
            break
        pieces.append(piece)
        offset += len(piece)
        count -= len(piece)
        if count:
            breathe()
    return b"".join(pieces)


def read_entry(directory: int, name: str) -> bytes:
    """The whole content of a regular file, by its single name."""
    fd = os.open(name, READING | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
    try:
        status = os.fstat(fd)
        require_regular(status)
        return read_window(fd, 0, status.st_size)
    finally:
        os.close(fd)


def content_of(directory: int, name: str) -> bytes | None:
    """The whole content of a regular file; None if nothing stands there."""
    try:
        return read_entry(directory, name)
    except FileNotFoundError:
        return None


def touch(directory: int, name: str, *, exist_ok: bool) -> None:
    """Make an empty file, or set its times to now; EEXIST if it is there and may not be."""
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        os.close(os.open(name, flags, 0o666, dir_fd=directory))
    except FileExistsError:
        if not exist_ok:
            raise
        require_regular(os.stat(name, dir_fd=directory, follow_symlinks=False))
        os.utime(name, dir_fd=directory, follow_symlinks=False)


def write_all(fd: int, content: bytes | memoryview) -> None:
    """Write everything; write(2) may take less, on a full disk first less and then ENOSPC."""
    written = os.write(fd, content) if 0 < len(content) <= CHUNK else 0
    if written == len(content):  # as a rule that is all
        return
    left = memoryview(content)[written:]
    while left:
        left = left[os.write(fd, left[:CHUNK]) :]
        if left:
            breathe()


def replace(directory: int, name: str, content: bytes, *, durable: bool = False) -> None:
    """Put `content` where `name` is, whole or not at all."""
    put(directory, name, content, status_of(directory, name), durable=durable)


def put(
    directory: int,
    name: str,
    content: bytes,
    old: os.stat_result | None,
    *,
    durable: bool = False,
    owner: Owner | None = None,
) -> None:
    """As `replace`, if the status of what stands there is known."""
    temporary = drafted(directory, name, content, old, durable=durable, owner=owner)
    try:
        os.rename(temporary, name, src_dir_fd=directory, dst_dir_fd=directory)
    except BaseException:
        os.unlink(temporary, dir_fd=directory)
        raise
    if durable:
        sync_directory(directory)


def drafted(
    directory: int,
    name: str,
    content: bytes,
    old: os.stat_result | None,
    *,
    durable: bool = False,
    owner: Owner | None = None,
) -> str:
    """The temporary name of a new file that may be put where `name` is.

    Args:
        directory: open, with the name in it.
        name: of what is to be replaced.
        content: of the new file.
        old: the status of what stands there; None if nothing does.
        durable: whether the content is to be on the disk.
        owner: whose new files in this directory are, if that is known.
    """
    if old is not None:
        require_replaceable(directory, name, old, None if owner is None else owner[0])
    temporary = temporary_name()
    fd = os.open(temporary, _NEW, 0o666 if old is None else 0o600, dir_fd=directory)
    try:
        try:
            write_all(fd, content)
            if old is not None:
                keep_ownership(fd, old, owner)
            if durable:
                os.fsync(fd)
        finally:
            os.close(fd)
    except BaseException:
        os.unlink(temporary, dir_fd=directory)
        raise
    return temporary


def replaceable(directory: int, name: str) -> os.stat_result | None:
    """The status of a file that may be replaced; None if nothing stands there."""
    old = status_of(directory, name)
    if old is not None:
        require_replaceable(directory, name, old)
    return old


def require_replaceable(
    directory: int, name: str, old: os.stat_result, user: int | None = None
) -> None:
    """Raise OSError if what stands there is no file, or may not be written by us (the user)."""
    require_regular(old)
    # The rename needs no right on the file itself, so a protected file is protected here.
    if user is None:
        user = os.geteuid()
    if user == 0 or (old.st_uid == user and old.st_mode & stat.S_IWUSR):
        return
    if not os.access(name, os.W_OK, dir_fd=directory, effective_ids=True):
        raise fail(errno.EACCES)


class Draft:
    """As `replace`, but piece by piece: a temporary file that is put in place, or discarded.

    Attributes:
        fd: of the temporary file, to be written.
    """

    def __init__(self, directory: int, name: str) -> None:
        """Begin beside what stands at `name`; the directory stays the caller's."""
        self._directory, self._name = directory, name
        self._old = replaceable(directory, name)
        self._temporary: str | None = temporary_name()
        mode = 0o666 if self._old is None else 0o600
        self.fd = os.open(self._temporary, _NEW, mode, dir_fd=directory)

    def put_in_place(self, *, durable: bool) -> None:
        """Rename it over what stands there now, whose owner and mode it gets."""
        assert self._temporary is not None, "it is put in place once"
        old = replaceable(self._directory, self._name) or self._old
        if old is not None:
            keep_ownership(self.fd, old)
        if durable:
            os.fsync(self.fd)
        os.rename(
            self._temporary, self._name, src_dir_fd=self._directory, dst_dir_fd=self._directory
        )
        self._temporary = None
        if durable:
            sync_directory(self._directory)

    def discard(self) -> None:
        """Let go of it; what has not been put in place is removed."""
        os.close(self.fd)
        if self._temporary is not None:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._temporary, dir_fd=self._directory)


def owner_in(directory: int) -> Owner | None:
    """Whose new files in an open directory are; None if only such a file could tell."""
    group = os.getegid()
    # In a set-group-id directory they get its group, on some file systems in any.
    return (os.geteuid(), group) if os.fstat(directory).st_gid == group else None


def keep_ownership(fd: int, old: os.stat_result, owner: Owner | None = None) -> None:
    """Give a new file the owner, group and mode of the old, as far as we are allowed to.

    Args:
        fd: of the new file.
        old: the status of the old one.
        owner: whose the new one is, if that is known.
    """
    if owner is None:
        new = os.fstat(fd)
        owner = new.st_uid, new.st_gid
    if (old.st_uid, old.st_gid) != owner:
        # A file of somebody else's in a directory of ours becomes ours.
        with contextlib.suppress(PermissionError):
            os.fchown(fd, old.st_uid, old.st_gid)
    os.fchmod(fd, stat.S_IMODE(old.st_mode))  # after the owner: chown clears the set-uid bits


def sync_directory(directory: int) -> None:
    """Make a rename last: fsync of the directory (an O_PATH descriptor cannot)."""
    fd = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=directory)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def append(directory: int, name: str, content: bytes) -> None:
    """Add to the end with one write(2), so that appenders never mix; half of it is taken back."""
    flags = os.O_WRONLY | os.O_APPEND | os.O_NONBLOCK | os.O_NOCTTY | os.O_NOFOLLOW | os.O_CLOEXEC
    fd = os.open(name, flags | os.O_CREAT, 0o666, dir_fd=directory)
    try:
        require_regular(os.fstat(fd))
        written = os.write(fd, content)
        if written < len(content):
            # A disk that fills up takes a part of it. Ours is the end of the file, if nobody else
            # appended meanwhile; then nothing is left of it, else we leave what is there.
            end = os.lseek(fd, 0, os.SEEK_CUR)
            if os.fstat(fd).st_size == end:
                os.ftruncate(fd, end - written)
            raise fail(errno.ENOSPC)
    finally:
        os.close(fd)


def status_of(directory: int, name: str) -> os.stat_result | None:
    """The status of an entry, links not followed; None if there is none."""
    try:
        return os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return None


_TYPES: dict[int, FileType] = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "directory",
    stat.S_IFLNK: "link",
}


def type_of(mode: int) -> FileType:
    """The word for a file's type."""
    return _TYPES.get(mode & 0o170000, "other")


def file_stat(status: os.stat_result) -> FileStat:
    """The answer to `Stat`."""
    mode = status.st_mode
    kind = _TYPES.get(mode & 0o170000, "other")
    try:
        changed = datetime.fromtimestamp(status.st_mtime, UTC)
    except (OverflowError, ValueError):
        changed = modified(status)
    size = 0 if kind == "directory" else status.st_size
    return records.file_stat(kind, size, mode & 0o7777, changed)


def modified(status: os.stat_result) -> datetime:
    """When the content last changed; a time that no calendar has becomes the epoch."""
    try:
        return datetime.fromtimestamp(status.st_mtime, UTC)
    except (OverflowError, ValueError):  # year 292277026596 is a legal mtime
        return datetime.fromtimestamp(0, UTC)


def entry(directory: int, name: str) -> Entry | None:
    """One entry of a listing; None if it has vanished meanwhile."""
    try:
        status = os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return None
    kind = type_of(status.st_mode)
    target = None
    if kind == "link":
        try:
            target = os.readlink(name, dir_fd=directory)
        except OSError:  # replaced meanwhile
            return None
    try:
        changed = datetime.fromtimestamp(status.st_mtime, UTC)
    except (OverflowError, ValueError):
        changed = modified(status)
    size = 0 if kind == "directory" else status.st_size
    return records.entry(name, kind, size, status.st_mode & 0o7777, changed, target)
