"""Copies of trees, by as many threads as pay: the way that works everywhere.

    waiting ──► a thread: one directory ──► its files, and its directories, which wait then
    at the end: further names of files, then the modes and times of all directories, deepest first

A copy has what the tree has: content, holes, modes, times, owners as far as we may give them, links
as they are, FIFOs, the names of one file as names of one file, names that are not UTF-8. It does
not have attributes (xattr) and access lists; sockets and devices are left out and told. No link is
followed: every directory is opened from the one above it. What goes away while it is copied is not
in the copy, and a file that grows is there as far as it was when it was opened.

Most of the work is the kernel's, which runs beside other threads: two of ours take two thirds of
the time of one.
"""

from __future__ import annotations

import contextlib
import os
import stat
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeAlias

from runner.backends.beneath import READING, Names
from runner.backends.descent import Descent
from runner.backends.threads import breathe
from runner.workspaces.blocks import clone, copy_content
from runner.workspaces.ways import Skipped

THREADS = min(4, os.cpu_count() or 1)
LOOK = 0.05  # seconds until one that waits for others asks whether it is cancelled
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_ODD = {stat.S_IFSOCK: "a socket", stat.S_IFCHR: "a device", stat.S_IFBLK: "a device"}

Ignore: TypeAlias = Callable[[Names, bool], bool]  # names from the top, whether it is a directory


def copy_tree(
    source: str, target: str, *, share: bool = False, ignore: Ignore | None = None
) -> tuple[Skipped, ...]:
    """Copy a directory and all in it to a new directory.

    Args:
        source: the directory.
        target: where the copy is made; its parent is there, it is not.
        share: have files share their blocks with the old ones, where the file system can.
        ignore: what is left out, without a word.

    Returns:
        What is left out, by path.

    Raises:
        OSError: it cannot be copied, and which path. What was copied by then is there.
    """
    with contextlib.ExitStack() as stack:
        old = os.open(source, READING | os.O_DIRECTORY | os.O_CLOEXEC)
        stack.callback(os.close, old)
        os.mkdir(target, 0o700)
        new = os.open(target, READING | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        stack.callback(os.close, new)
        copier = _Copier(old, new, share=share, ignore=ignore)
        copier.run()
        copier.finish()
        return tuple(sorted(copier.skipped, key=lambda each: each.path))


class _Copier:
    """One copy; `_turn` guards what the threads share."""

    def __init__(self, old: int, new: int, *, share: bool, ignore: Ignore | None) -> None:
        self.skipped: list[Skipped] = []
        self._old, self._new = old, new
        self._share = share
        self._ignore = ignore
        self._umask = _umask()
        self._ids = os.geteuid(), os.getegid()
        self._turn = threading.Condition()
        self._waiting: list[Names] = [()]
        self._busy = 0
        self._failed: BaseException | None = None
        self._first: dict[tuple[int, int], Names] = {}  # of files with several names
        self._further: list[tuple[Names, Names]] = []
        self._directories: list[tuple[Names, os.stat_result]] = []

    def run(self) -> None:
        """Copy everything but what `finish` does; in several threads once there is enough."""
        with ThreadPoolExecutor(THREADS, "runner copy") as pool:
            try:
                helpers = [pool.submit(self._work) for _ in range(THREADS - 1)]
                self._work()
            except BaseException as error:  # the caller was cancelled
                self._fail(error)
                raise
            for each in helpers:
                each.result()
        if self._failed is not None:
            raise self._failed
        breathe()

    def finish(self) -> None:
        """Give files their further names, and directories their modes and times."""
        with _descents(self._new, self._new) as (here, there):
            for first, name in self._further:
                near, far = here.go(first[:-1]), there.go(name[:-1])
                os.link(first[-1], name[-1], src_dir_fd=near, dst_dir_fd=far, follow_symlinks=False)
            for names, status in sorted(self._directories, key=lambda each: -len(each[0])):
                fd = here.open(names, READING)
                try:
                    self._dress(fd, status, created=-1)
                finally:
                    os.close(fd)

    def _fail(self, error: BaseException) -> None:
        with self._turn:
            self._failed = self._failed or error
            self._turn.notify_all()

    def _work(self) -> None:
        with _descents(self._old, self._new) as (old, new):
            while (names := self._next()) is not None:
                try:
                    found = self._copy_directory(old, new, names)
                except OSError as error:
                    if error.filename is None or isinstance(error.filename, int):
                        error.filename = "/".join(names) or "."
                    self._fail(error)
                    return
                except BaseException as error:
                    self._fail(error)
                    raise
                with self._turn:
                    self._waiting += found
                    self._busy -= 1
                    self._turn.notify_all()

    def _next(self) -> Names | None:
        """Take a directory; None when there will be none any more."""
        breathe()
        with self._turn:
            while not self._waiting and self._busy and self._failed is None:
                self._turn.wait(LOOK)
                breathe()
            if not self._waiting or self._failed is not None:
                return None
            self._busy += 1
            return self._waiting.pop()

    def _copy_directory(self, old: Descent, new: Descent, names: Names) -> list[Names]:
        """Copy what is in a directory; those in it, which are made, are to be copied next."""
        found: list[Names] = []
        try:
            reading = old.open(names, READING)
        except FileNotFoundError:  # gone meanwhile: what is left of it is empty
            if not names:
                raise
            return found
        try:
            self._directories.append((names, os.fstat(reading)))
            into = new.go(names)
            with os.scandir(reading) as entries:
                for entry in entries:
                    if self._failed is not None:
                        break
                    breathe()
                    inner = (*names, entry.name)
                    is_directory = entry.is_dir(follow_symlinks=False)
                    if self._ignore is not None and self._ignore(inner, is_directory):
                        continue
                    if is_directory:
                        os.mkdir(entry.name, 0o700, dir_fd=into)
                        found.append(inner)
                    else:
                        with contextlib.suppress(FileNotFoundError):  # gone meanwhile
                            self._copy_entry(reading, into, inner, entry)
            return found
        finally:
            os.close(reading)

    def _copy_entry(self, source: int, target: int, names: Names, entry: os.DirEntry[str]) -> None:
        """Copy what is no directory."""
        name = names[-1]
        if entry.is_file(follow_symlinks=False):
            try:
                return self._copy_file(source, target, names)
            except OSError as error:
                error.filename = "/".join(names)
                raise
        status = os.stat(name, dir_fd=source, follow_symlinks=False)
        if stat.S_ISLNK(status.st_mode):
            os.symlink(os.readlink(name, dir_fd=source), name, dir_fd=target)
        elif stat.S_ISFIFO(status.st_mode):
            os.mkfifo(name, stat.S_IMODE(status.st_mode), dir_fd=target)
            os.chmod(name, stat.S_IMODE(status.st_mode), dir_fd=target)
        else:
            why = _ODD.get(stat.S_IFMT(status.st_mode), "it changed while it was copied")
            self.skipped.append(Skipped(path="/".join(names), why=why))
            return None
        if (status.st_uid, status.st_gid) != self._ids:
            with contextlib.suppress(PermissionError):
                os.chown(name, status.st_uid, status.st_gid, dir_fd=target, follow_symlinks=False)
        times = status.st_atime_ns, status.st_mtime_ns
        os.utime(name, ns=times, dir_fd=target, follow_symlinks=False)
        return None

    def _copy_file(self, source: int, target: int, names: Names) -> None:
        name = names[-1]
        reading = os.open(name, READING | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=source)
        try:
            status = os.fstat(reading)
            if not stat.S_ISREG(status.st_mode):  # swapped since the directory was read
                self.skipped.append(Skipped(path="/".join(names), why="it changed meanwhile"))
                return
            mode = stat.S_IMODE(status.st_mode)
            if status.st_nlink > 1 and self._is_further(status, names):
                return
            writing = os.open(name, _NEW, mode & 0o777, dir_fd=target)
            try:
                if not (self._share and clone(reading, writing)):
                    copy_content(reading, writing, status)
                self._dress(writing, status, created=mode & 0o777 & ~self._umask)
            finally:
                os.close(writing)
        finally:
            os.close(reading)

    def _is_further(self, status: os.stat_result, names: Names) -> bool:
        """Whether a file has been copied by another of its names."""
        with self._turn:
            first = self._first.setdefault((status.st_dev, status.st_ino), names)
            if first is not names:
                self._further.append((first, names))
        return first is not names

    def _dress(self, fd: int, status: os.stat_result, *, created: int) -> None:
        """Give what was made the owner, mode and times of the old.

        Args:
            fd: of what was made.
            status: the old one's.
            created: the mode that it was made with.
        """
        mode = stat.S_IMODE(status.st_mode)
        if (status.st_uid, status.st_gid) != self._ids:
            with contextlib.suppress(PermissionError):  # what was somebody else's becomes ours
                os.fchown(fd, status.st_uid, status.st_gid)
                created = -1  # it clears the set-uid bits
        if mode != created:
            os.fchmod(fd, mode)
        os.utime(fd, ns=(status.st_atime_ns, status.st_mtime_ns))


@contextlib.contextmanager
def _descents(old: int, new: int) -> Iterator[tuple[Descent, Descent]]:
    first, second = Descent(old), Descent(new)
    try:
        yield first, second
    finally:
        first.close()
        second.close()


def _umask() -> int:
    """The process's umask; to ask for it by umask(2) would change it for a moment."""
    try:
        with open("/proc/self/status", "rb") as file:
            return next(int(line.split()[1], 8) for line in file if line.startswith(b"Umask"))
    except (OSError, StopIteration):
        return 0o777  # then every mode is set
