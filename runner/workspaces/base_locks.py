"""Who may commit to a base, on the whole machine: whoever has locked its directory.

A workspace is made of it under the same lock, shared with others who do: what it gets is the base
before a commit, or after it.

The lock is of the directory itself (flock), so nothing is put there, and all stores and processes
mean the same one. Where directories cannot be locked (some network file systems), it is that of a
file of the project, which only holds among those who use the same one.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress

import trio

from runner.backends.failures import Answers
from runner.errors import WorkspaceError

PATIENCE = 30.0  # seconds; a commit of many files takes some
_PAUSE = 0.01
_NO_LOCKS = {errno.EBADF, errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL}


def lock_base(base: str, place: str, *, shared: bool = False) -> int | None:
    """A descriptor that has the lock as long as it is open; None if somebody else has it.

    Args:
        base: the directory.
        place: a directory of the project, which is made, for the file where there is need of one.
        shared: whether others may have it who share it as well.

    Raises:
        OSError: there is no such directory, or it cannot be opened.
    """
    how = (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB
    fd = os.open(base, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(fd, how)
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
            os.makedirs(place, mode=0o700, exist_ok=True)
            os.close(fd)
            fd = os.open(os.path.join(place, "lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(fd, how)
    except BlockingIOError:
        os.close(fd)
        return None
    except BaseException:
        os.close(fd)
        raise
    return fd


@asynccontextmanager
async def hold_base(
    base: str, place: str, *, patience: float = PATIENCE, shared: bool = False
) -> AsyncGenerator[None, None]:
    """Be the only one who commits to a base, for as long as the block lasts.

    Raises:
        WorkspaceError: somebody else has been at it all the time.
        OperationError: the base cannot be used.
    """
    fd, until, pause = None, trio.current_time() + patience, _PAUSE
    while fd is None:
        with Answers("create" if shared else "commit", ".", base):
            fd = lock_base(base, place, shared=shared)
        if fd is None:
            if trio.current_time() > until:
                what = f"others have been committing to {base!r} for {patience:g} seconds"
                raise WorkspaceError(f"{what}; nothing was done, try again")
            await trio.sleep(pause)
            pause = min(pause * 2, 0.2)
    try:
        yield
    finally:
        with suppress(OSError):
            os.close(fd)
