"""Taking workspaces away, and what a crash has left of one that was made or taken away.

    <id>/tree            it is whole, and nothing here touches it but `remove`
    <id>/making          without a tree: it was being made; `tidy` removes it unless it is locked
    .removing-<id>-…     it was being removed, or is a trial; `tidy` goes on with that, likewise

A workspace is removed under another name, so it is there or it is not. Links are not followed, and
nothing is removed through a mount: what is mounted is unmounted first, or it is an error. A
directory that its owner may not write, as the kernel's own in `work`, is made writable.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from collections.abc import Collection

from runner.backends.beneath import DIRECTORY, READING, Names
from runner.backends.descent import Descent
from runner.backends.trees import remove_tree
from runner.errors import WorkspaceBusy, WorkspaceError
from runner.workspaces import overlay
from runner.workspaces.locking import Lock
from runner.workspaces.ways import Place

REMOVING = ".removing-"


def remove(path: str, *, in_use: bool = False) -> None:
    """Remove a workspace's directory with all that is in it; it may be gone already.

    Its live tree is unmounted, if it is mounted in our namespace; a holder has to be closed before.

    Args:
        path: of the directory.
        in_use: also if a program uses its mounted tree.

    Raises:
        WorkspaceError: something is mounted in it, or a program uses its mounted tree; it is
            unharmed.
        OSError: it could not be removed; `tidy` will try that again.
    """
    place = Place.at(path)
    if not os.path.lexists(place.path):
        return
    if os.path.islink(place.path) or not os.path.isdir(place.path):
        raise WorkspaceError(f"{place.path!r} is no directory, so no workspace: it stays")
    overlay.unmount(place, in_use=in_use)
    parent, name = os.path.split(place.path)
    other = os.path.join(parent, f"{REMOVING}{name[:64]}-{secrets.token_hex(8)}")
    with contextlib.suppress(FileNotFoundError):  # somebody else was quicker
        os.rename(place.path, other)
        clear(other)


def tidy(directory: str, *, spare: Collection[str] = ()) -> tuple[str, ...]:
    """Remove what a crash has left half made or half removed, and nothing else.

    Args:
        directory: where the workspaces of a project stand; it need not be there.
        spare: names in it that are left alone, whatever they are.

    Returns:
        The names that were removed.

    Raises:
        OSError: something of that could not be removed.
    """
    removed = []
    directory = os.path.realpath(directory)
    with contextlib.suppress(FileNotFoundError):
        for name in sorted(os.listdir(directory)):
            path = os.path.join(directory, name)
            if name in spare or os.path.islink(path) or not os.path.isdir(path):
                continue
            if name.startswith(REMOVING):
                if _is_cleared(path, name):
                    removed.append(name)
            elif _is_half_made(Place(path=path)) and _is_removed(path, name):
                removed.append(name)
    return tuple(removed)


def _is_cleared(path: str, name: str) -> bool:
    """Go on with what was being removed; False if somebody does that right now, or needs it."""
    try:
        lock = Lock.take(os.path.join(path, "lock"), name)
    except (WorkspaceBusy, FileNotFoundError):
        return False
    try:
        overlay.unmount(Place(path=path), in_use=True)
        clear(path)
        return True
    finally:
        lock.release()


def _is_half_made(place: Place) -> bool:
    return os.path.lexists(place.making) and not os.path.lexists(place.tree)


def _is_removed(path: str, name: str) -> bool:
    """Remove what is half made; False if somebody makes it right now."""
    try:
        lock = Lock.take(os.path.join(path, "lock"), name)
    except (WorkspaceBusy, FileNotFoundError):
        return False
    try:
        if not _is_half_made(Place(path=path)):  # it was completed until we had the lock
            return False
        remove(path)
        return True
    finally:
        lock.release()


def clear(path: str, *, may_breathe: bool = True) -> None:
    """Remove a tree of ours, whatever modes its directories have; it may be gone already.

    Args:
        path: absolute, without links in it.
        may_breathe: whether a cancellation ends it, in a thread.

    Raises:
        OSError: it could not be removed.
    """
    parent, name = os.path.split(path)
    try:
        above = os.open(parent, DIRECTORY | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return
    try:
        try:
            remove_tree(above, name, may_breathe=may_breathe, missing_ok=True)
        except PermissionError:
            repair(above, name)
            remove_tree(above, name, may_breathe=may_breathe, missing_ok=True)
    finally:
        os.close(above)


def repair(above: int, name: str) -> None:
    """Give the owner all rights in a directory and in those in it; links are not followed."""
    try:
        top = os.open(name, DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=above)
    except (FileNotFoundError, NotADirectoryError):
        return
    descent = Descent(top)
    try:
        pending: list[Names] = [()]
        while pending:
            names = pending.pop()
            fd = descent.go(names)
            mode = os.fstat(fd).st_mode
            if mode & stat.S_IRWXU != stat.S_IRWXU:
                # By the descriptor: it is this directory, and no link that took its place.
                os.chmod(f"/proc/self/fd/{fd}", stat.S_IMODE(mode) | stat.S_IRWXU)
            reading = os.open(".", READING | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=fd)
            try:
                with os.scandir(reading) as entries:
                    inner = (each.name for each in entries if each.is_dir(follow_symlinks=False))
                    pending += ((*names, each) for each in inner)
            finally:
                os.close(reading)
    finally:
        descent.close()
        os.close(top)
