"""Who may change a workspace, on the whole machine: whoever has locked its file.

    <project>/workspaces/<id>/lock    locked while somebody has the workspace; says `process 123`

The lock is of the open file (flock): the kernel takes it back when its last descriptor is closed,
however the process ends; and two that are opened in one process exclude each other as those of two
processes do. A forked child closes what it got of it at once.

The file is removed with its directory, and another may have been made there: what was locked is
only held if it still is the file that others find.
"""

from __future__ import annotations

import fcntl
import os
import weakref
from contextlib import suppress

import attrs

from runner.errors import WorkspaceBusy

_PREFIX = "process "


@attrs.define(eq=False)
class Lock:
    """The right to a workspace's live tree. Made by `take`.

    Attributes:
        path: of its file.
    """

    path: str
    _file: int | None

    @classmethod
    def take(cls, path: str, name: str) -> Lock:
        """Take it now.

        Args:
            path: of its file; its directory must be there.
            name: what the workspace is called, for the error.

        Raises:
            WorkspaceBusy: somebody else has it.
            FileNotFoundError: its directory is not there any more.
            OSError: the file cannot be made.
        """
        while True:
            file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                pid = _noted(file)
                os.close(file)
                raise WorkspaceBusy(name, pid) from None
            if _is_at(file, path):
                break
            os.close(file)
        lock = cls(path, file)
        _everywhere.add(lock)
        with suppress(OSError):  # on a full disk: it is only for people
            os.ftruncate(file, 0)
            os.pwrite(file, f"{_PREFIX}{os.getpid()}\n".encode(), 0)
        return lock

    @property
    def is_held(self) -> bool:
        """Whether it was not given back yet."""
        return self._file is not None

    def release(self) -> None:
        """Give it back. May be called again."""
        if self._file is not None:
            # A program that is just being started has the descriptor, too, until its exec.
            fcntl.flock(self._file, fcntl.LOCK_UN)
        self.forget()

    def forget(self) -> None:
        """Close what a forked child got of it: whoever has it keeps it."""
        file, self._file = self._file, None
        if file is not None:
            os.close(file)


def is_gone(pid: int | None) -> bool:
    """Whether a process is known not to be there any more: what it had locked is free at once."""
    return pid is not None and not os.path.exists(f"/proc/{pid}") and os.path.isdir("/proc/self")


def _noted(file: int) -> int | None:
    text = os.pread(file, 64, 0).decode("ascii", "replace").strip()
    number = text.removeprefix(_PREFIX)
    return int(number) if number.isdigit() else None


def _is_at(file: int, path: str) -> bool:
    try:
        return os.path.samestat(os.fstat(file), os.lstat(path))
    except FileNotFoundError:
        return False


_everywhere: weakref.WeakSet[Lock] = weakref.WeakSet()


def _forget_all() -> None:
    for each in list(_everywhere):
        each.forget()


os.register_at_fork(after_in_child=_forget_all)
