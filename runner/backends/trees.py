"""Work on trees by descriptor: rename without replacing, copy, remove.

Model. Every function takes open directories and single names; links are never followed, and are
copied and removed as links. Trees of any depth are worked on with a bounded number of descriptors
(`descent`).

A copied tree is built under a temporary name and renamed when it is complete. A tree that is
removed goes piece by piece: a cancelled or failed removal leaves the rest where it was.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Callable

import attrs

from runner.backends.beneath import DIRECTORY, READING, Names, fail
from runner.backends.descent import Descent
from runner.backends.files import (
    SMALL,
    keep_ownership,
    require_regular,
    status_of,
    sync_directory,
    temporary_name,
    write_all,
)
from runner.backends.syscalls import RENAME_NOREPLACE, renameat2
from runner.backends.threads import CHUNK, breathe

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_NO_REFLINK = {errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM}


@attrs.frozen(kw_only=True)
class Ends:
    """Both ends of a copy or a move: open directories with single names, and what is moved."""

    old_directory: int
    old: str
    new_directory: int
    new: str
    status: os.stat_result


def renamed(ends: Ends, *, overwrite: bool) -> bool:
    """Rename; False if the ends are on two file systems. Without `overwrite`, EEXIST."""
    try:
        rename(ends.old_directory, ends.old, ends.new_directory, ends.new, overwrite=overwrite)
    except OSError as error:
        if error.errno == errno.EXDEV:
            return False
        raise
    return True


def rename(source: int, old: str, target: int, new: str, *, overwrite: bool) -> None:
    """Rename an entry; without `overwrite` an existing `new` is EEXIST."""
    if not overwrite:
        try:
            renameat2(source, old, target, new, RENAME_NOREPLACE)
        except OSError as error:
            # EINVAL: the file system has no such flag; or "into itself", as the next call says.
            if error.errno not in {errno.ENOSYS, errno.EINVAL, errno.EPERM}:
                raise
        else:
            return
        # No such call here: look first. Another process may come between the two lines.
        if status_of(target, new) is not None:
            raise fail(errno.EEXIST)
    os.rename(old, new, src_dir_fd=source, dst_dir_fd=target)


def require_replaceable(ends: Ends, *, overwrite: bool) -> None:
    """What rename(2) would say about replacing the target, before the work is done."""
    old = status_of(ends.new_directory, ends.new)
    if old is None:
        return
    if not overwrite:
        raise fail(errno.EEXIST)
    if stat.S_ISDIR(old.st_mode) and not stat.S_ISDIR(ends.status.st_mode):
        raise fail(errno.EISDIR)
    if stat.S_ISDIR(ends.status.st_mode) and not stat.S_ISDIR(old.st_mode):
        raise fail(errno.ENOTDIR)


def lies_in(directory: int, top: os.stat_result, root: int) -> bool:
    """Whether `directory` is `top` or lies beneath it, looking upwards as far as the root.

    Physical: `..` of an open directory is where it is now, whatever names led to it.
    """
    end = os.fstat(root)
    here = os.open(".", DIRECTORY | os.O_CLOEXEC, dir_fd=directory)
    try:
        while True:
            status = os.fstat(here)
            if os.path.samestat(status, top):
                return True
            if os.path.samestat(status, end):
                return False
            above = os.open("..", DIRECTORY | os.O_CLOEXEC, dir_fd=here)
            os.close(here)
            here = above
            if os.path.samestat(os.fstat(here), status):  # "/": it was moved out meanwhile
                return False
    finally:
        os.close(here)


# ---------------------------------------------------------------- copy


def is_short_copy(status: os.stat_result) -> bool:
    """Whether a copy may be done inline."""
    return stat.S_ISLNK(status.st_mode) or (
        stat.S_ISREG(status.st_mode) and status.st_size <= SMALL
    )


def copy(ends: Ends, *, overwrite: bool, exact: bool = False) -> None:
    """Copy a file, a link or a tree to a temporary name, then rename it.

    Args:
        ends: both ends.
        overwrite: whether what is there may be replaced.
        exact: see `copy_entry`.
    """
    temporary = temporary_name()
    target = ends.new_directory
    try:
        copy_entry(ends.old_directory, ends.old, target, temporary, exact=exact)
        rename(target, temporary, target, ends.new, overwrite=overwrite)
    except BaseException:
        remove_tree(target, temporary, may_breathe=False, missing_ok=True)
        raise


def move_across(ends: Ends, *, overwrite: bool) -> None:
    """Move to another file system within the scope: copied whole, made durable, then removed."""
    copy(ends, overwrite=overwrite, exact=True)
    sync_directory(ends.new_directory)
    remove_tree(ends.old_directory, ends.old, may_breathe=False)


def copy_entry(source: int, old: str, target: int, new: str, *, exact: bool = False) -> None:
    """Copy one entry, whatever it is; the mode is kept. What is no file, link, directory: ENXIO.

    If it is to be `exact`, as if it were the old one, FIFOs are made as well, and times are kept.
    """
    status = os.stat(old, dir_fd=source, follow_symlinks=False)
    if stat.S_ISLNK(status.st_mode):
        os.symlink(os.readlink(old, dir_fd=source), new, dir_fd=target)
    elif stat.S_ISDIR(status.st_mode):
        _copy_tree(source, old, target, new, exact=exact)
    elif exact and stat.S_ISFIFO(status.st_mode):
        os.mkfifo(new, 0o600, dir_fd=target)
        os.chmod(new, stat.S_IMODE(status.st_mode), dir_fd=target)
    else:
        _copy_file(source, old, target, new, exact=exact)


def _copy_file(source: int, old: str, target: int, new: str, *, exact: bool) -> None:
    reading = os.open(old, READING | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=source)
    try:
        status = os.fstat(reading)
        require_regular(status)
        writing = os.open(new, _NEW, 0o600, dir_fd=target)
        try:
            _copy_content(reading, writing)
            keep_ownership(writing, status)
            if exact:
                os.utime(writing, ns=(status.st_atime_ns, status.st_mtime_ns))
        finally:
            os.close(writing)
    finally:
        os.close(reading)


def _copy_content(reading: int, writing: int) -> None:
    """By the kernel (which may share the blocks) where it can, else through a buffer."""
    in_kernel = True
    while True:
        if in_kernel:
            try:
                if not os.copy_file_range(reading, writing, 16 * CHUNK):
                    in_kernel = False  # the end; but files of /proc say so at once: read them
            except OSError as error:
                if error.errno not in _NO_REFLINK:
                    raise
                in_kernel = False
        else:
            piece = os.read(reading, CHUNK)
            if not piece:
                return
            write_all(writing, piece)
        breathe()


def _copy_tree(source: int, old: str, target: int, new: str, *, exact: bool) -> None:
    """A directory and what is in it; the modes are set last, since 0o555 takes no entries."""
    with contextlib.ExitStack() as stack:
        top = _entered(source, old, stack)
        os.mkdir(new, 0o700, dir_fd=target)
        copied = _entered(target, new, stack)
        made: list[tuple[Names, os.stat_result]] = []
        pending: list[Names] = [()]
        while pending:
            names = pending.pop()
            from_fd = top.open(names, READING)
            try:
                made.append((names, os.fstat(from_fd)))
                into_fd = copied.go(names)
                for name in os.listdir(from_fd):
                    breathe()
                    if _is_directory(from_fd, name):
                        os.mkdir(name, 0o700, dir_fd=into_fd)
                        pending.append((*names, name))
                    else:
                        copy_entry(from_fd, name, into_fd, name, exact=exact)
            finally:
                os.close(from_fd)
        for names, status in reversed(made):
            fd = copied.open(names, READING)
            try:
                keep_ownership(fd, status)
                if exact:
                    os.utime(fd, ns=(status.st_atime_ns, status.st_mtime_ns))
            finally:
                os.close(fd)


def _entered(directory: int, name: str, stack: contextlib.ExitStack) -> Descent:
    """A walk that begins in a directory; a link at that name is ENOTDIR."""
    top = os.open(name, DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
    stack.callback(os.close, top)
    descent = Descent(top)
    stack.callback(descent.close)
    return descent


# ---------------------------------------------------------------- remove


def remove_tree(
    directory: int, name: str, *, may_breathe: bool = True, missing_ok: bool = False
) -> None:
    """Remove an entry and all that is in it, links not followed, with few descriptors."""
    pause: Callable[[], None] = breathe if may_breathe else _go_on
    with contextlib.ExitStack() as stack:
        try:
            if _unlinked(directory, name):
                return
            top = _entered(directory, name, stack)
        except FileNotFoundError:
            if missing_ok:
                return
            raise
        # Each directory is met twice: emptied of what is no directory, then (its own directories
        # being gone) removed from the one above.
        pending: list[tuple[Names, bool]] = [((), False)]
        while pending:
            names, emptied = pending.pop()
            if not emptied:
                pending.append((names, True))
                pending.extend(((*names, each), False) for each in _emptied(top, names, pause))
            elif names:
                os.rmdir(names[-1], dir_fd=top.go(names[:-1]))
            pause()
        os.rmdir(name, dir_fd=directory)


def _go_on() -> None:
    """No breath: a clean-up that a cancellation must not stop."""


def _emptied(top: Descent, names: Names, pause: Callable[[], None]) -> list[str]:
    """Remove all but the directories of a directory; the names of those."""
    fd = top.open(names, READING)
    try:
        directories = []
        for number, name in enumerate(os.listdir(fd)):
            if number % 256 == 255:
                pause()
            if not _unlinked(fd, name):
                directories.append(name)
        return directories
    finally:
        os.close(fd)


def _unlinked(directory: int, name: str) -> bool:
    """Remove what is no directory; False if it is one."""
    if _is_directory(directory, name):
        return False
    os.unlink(name, dir_fd=directory)
    return True


def _is_directory(directory: int, name: str) -> bool:
    return stat.S_ISDIR(os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode)
