"""What modes and owners allow in a tree, and modes changed, by descriptors; links have none.

What is not known beforehand (an immutable file, a sticky directory) is found out by trying.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterable

from runner.backends.beneath import Names, fail
from runner.backends.descent import Descent
from runner.backends.files import status_of
from runner.workspaces.planning import ENTERED, Loosen, SetMode, Step


def require_rights(tree: int, steps: Iterable[Step]) -> None:
    """Raise OSError if steps could not be carried out in an open tree, as far as one can tell."""
    at = Descent(tree)
    loosened: set[Names] = set()
    entered: set[Names] = set()
    try:
        for step in steps:
            above = step.names[:-1]
            if any(above[:depth] in loosened for depth in range(1, len(above) + 1)):
                continue  # what is in a directory that is shut is known later
            if isinstance(step, Loosen):
                loosened.add(step.names)
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):  # it is made
                if isinstance(step, Loosen | SetMode):
                    _require_ours(at, step.names)
                elif above not in entered:
                    entered.add(above)
                    _require_entries(at.go(above))
    finally:
        at.close()


def _require_ours(at: Descent, names: Names) -> None:
    status = status_of(at.go(names[:-1]), names[-1])
    if status is not None and os.geteuid() not in {0, status.st_uid}:
        raise fail(errno.EPERM)


def _require_entries(directory: int) -> None:
    # access(2) says only yes or no, and of a file system for reading only the same as of a mode.
    if not os.access(".", os.W_OK | os.X_OK, dir_fd=directory, effective_ids=True):
        read_only = os.fstatvfs(directory).f_flag & os.ST_RDONLY
        raise fail(errno.EROFS if read_only else errno.EACCES)


def loosen(directory: int, name: str, status: os.stat_result) -> None:
    """Let a directory take entries, if it is ours."""
    mode = stat.S_IMODE(status.st_mode)
    if mode & ENTERED != ENTERED and os.geteuid() in {0, status.st_uid}:
        set_mode(directory, name, mode | ENTERED)


def set_mode(directory: int, name: str, mode: int) -> None:
    """Give an entry its mode, whatever rights it gives to us; a link has none."""
    # By a descriptor of the entry itself: fchmodat(2) would follow a link, and fchmod(2) wants one
    # that is open for reading, which the mode may forbid.
    fd = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
    try:
        status = os.fstat(fd)
        if stat.S_ISDIR(status.st_mode):
            mode |= status.st_mode & stat.S_ISGID  # whose group new files get: no part of a tree
        if not stat.S_ISLNK(status.st_mode) and stat.S_IMODE(status.st_mode) != mode:
            os.chmod(f"/proc/self/fd/{fd}", mode)
    finally:
        os.close(fd)
