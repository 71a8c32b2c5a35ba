"""Effects on local trees, by descriptor: copy, move, remove. A rename is never torn."""

from __future__ import annotations

import contextlib
import errno
import os
import stat

from runner import messages as m
from runner.backends import files, trees
from runner.backends.base import LATER, Later
from runner.backends.beneath import fail
from runner.backends.local.place import Place


def copy(place: Place, message: m.Copy, *, short: bool = False) -> Later | None:
    """Copy a file or a tree to a new path; LATER if only `short` work is wanted and it is not."""
    with contextlib.ExitStack() as stack:
        ends = _ends(place, "copy", message.source, message.target, stack)
        if short and not trees.is_short_copy(ends.status):
            return LATER
        with place.answers("copy", message.target):
            trees.require_replaceable(ends, overwrite=message.overwrite)
        with place.answers("copy", message.source):
            trees.copy(ends, overwrite=message.overwrite)
    return None


def copy_now(place: Place, message: m.Copy) -> Later | None:
    """As `copy`, if that is short."""
    return copy(place, message, short=True)


def move(place: Place, message: m.Move, *, short: bool = False) -> Later | None:
    """Rename a file, a link or a tree; parents of the target are made."""
    with contextlib.ExitStack() as stack:
        ends = _ends(place, "move", message.source, message.target, stack)
        with place.answers("move", message.target):
            if trees.renamed(ends, overwrite=message.overwrite):
                return None
            if short:  # another file system is mounted within the scope
                return LATER
            trees.require_replaceable(ends, overwrite=message.overwrite)
        with place.answers("move", message.source):
            trees.move_across(ends, overwrite=message.overwrite)
    return None


def move_now(place: Place, message: m.Move) -> Later | None:
    """As `move`, if that is a rename."""
    return move(place, message, short=True)


def _ends(
    place: Place, op: str, source: str, target: str, stack: contextlib.ExitStack
) -> trees.Ends:
    """Both ends of a copy or a move, open; nothing is made if it would lead into itself."""
    with place.answers(op, source):
        route = place.root.route(op, source)
        beneath = place.root.open(make=True)
        old_directory, old = beneath.parent(route.names)
        stack.callback(os.close, old_directory)
        status = os.stat(old, dir_fd=old_directory, follow_symlinks=False)
        is_directory = stat.S_ISDIR(status.st_mode)
        if route.directory and not is_directory:
            raise fail(errno.ENOTDIR)
    with place.answers(op, target):
        route_to = place.root.route(op, target)
        above = beneath.entry(route_to.names)
        if route_to.directory and not is_directory:
            raise fail(errno.ENOTDIR)
        near, depth = beneath.nearest(above)
        stack.callback(os.close, near)
        if is_directory and trees.lies_in(near, status, beneath.fd):
            raise fail(errno.EINVAL)
        new_directory = near
        if depth < len(above):
            new_directory = beneath.make(above)
            stack.callback(os.close, new_directory)
    return trees.Ends(
        old_directory=old_directory,
        old=old,
        new_directory=new_directory,
        new=route_to.names[-1],
        status=status,
    )


def remove(place: Place, message: m.Remove, *, short: bool = False) -> Later | None:
    """Remove a file, a link, an empty directory, or a tree; never the root."""
    with place.answers("remove", message.path):
        route = place.root.route("remove", message.path)
        try:
            directory, name = place.root.open(make=False).parent(route.names)
        except FileNotFoundError:
            if message.missing_ok:
                return None
            raise
        try:
            status = files.status_of(directory, name)
            if status is None:
                if message.missing_ok:
                    return None
                raise fail(errno.ENOENT)
            if not stat.S_ISDIR(status.st_mode):
                if route.directory:
                    raise fail(errno.ENOTDIR)
                os.unlink(name, dir_fd=directory)
            elif not message.recursive:
                os.rmdir(name, dir_fd=directory)
            elif short:
                return LATER
            else:
                trees.remove_tree(directory, name, missing_ok=message.missing_ok)
        finally:
            os.close(directory)
    return None


def remove_now(place: Place, message: m.Remove) -> Later | None:
    """As `remove`, if it is no tree."""
    return remove(place, message, short=True)
