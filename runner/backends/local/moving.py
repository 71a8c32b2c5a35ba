"""Effects on local trees, by descriptor: copy, move, remove. A rename is never torn."""

from __future__ import annotations

import contextlib
import errno
import os
import stat

from runner import messages as m
from runner.backends import files, trees
from runner.backends.beneath import fail
from runner.backends.local.place import Place
from runner.backends.threads import in_thread


async def copy(place: Place, message: m.Copy) -> None:
    """Copy a file or a tree to a new path; links are copied as links; parents are made."""
    with contextlib.ExitStack() as stack:
        ends = _ends(place, "copy", message.source, message.target, stack)
        with place.answers("copy", message.target):
            trees.require_replaceable(ends, overwrite=message.overwrite)
        with place.answers("copy", message.source):
            if trees.is_short_copy(ends.status):
                trees.copy(ends, overwrite=message.overwrite)
            else:
                await in_thread(lambda: trees.copy(ends, overwrite=message.overwrite))


async def move(place: Place, message: m.Move) -> None:
    """Rename a file, a link or a tree; parents of the target are made."""
    with contextlib.ExitStack() as stack:
        ends = _ends(place, "move", message.source, message.target, stack)
        with place.answers("move", message.target):
            if trees.renamed(ends, overwrite=message.overwrite):
                return
            # Another file system is mounted within the scope.
            trees.require_replaceable(ends, overwrite=message.overwrite)
        with place.answers("move", message.source):
            await in_thread(lambda: trees.move_across(ends, overwrite=message.overwrite))


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


async def remove(place: Place, message: m.Remove) -> None:
    """Remove a file, a link, an empty directory, or a tree; never the root."""
    with place.answers("remove", message.path):
        route = place.root.route("remove", message.path)
        try:
            directory, name = place.root.open(make=False).parent(route.names)
        except FileNotFoundError:
            if message.missing_ok:
                return
            raise
        try:
            status = files.status_of(directory, name)
            if status is None:
                if message.missing_ok:
                    return
                raise fail(errno.ENOENT)
            if not stat.S_ISDIR(status.st_mode):
                if route.directory:
                    raise fail(errno.ENOTDIR)
                os.unlink(name, dir_fd=directory)
            elif message.recursive:
                await in_thread(
                    lambda: trees.remove_tree(directory, name, missing_ok=message.missing_ok)
                )
            else:
                os.rmdir(name, dir_fd=directory)
        finally:
            os.close(directory)
