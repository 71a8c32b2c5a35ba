"""Effects on a memory tree."""

from __future__ import annotations

import errno

from runner import messages as m
from runner.backends.beneath import fail
from runner.backends.editing import edited, edited_lines, require_mode, require_unchanged
from runner.backends.failures import failure
from runner.backends.memory.tree import (
    NAME,
    Directory,
    File,
    Tree,
    copied,
    now,
    require_replaceable,
)
from runner.errors import OperationError


def write(tree: Tree, message: m.Write) -> None:
    """Replace a file's content whole, or make the file and its parents."""
    with tree.answers("write", message.path):
        route = tree.route("write", message.path)
        if message.expected is not None:
            old = tree.place(route)[2]
            require_unchanged("write", None if old is None else old.content, message)
        tree.put(route, message.content)


def append(tree: Tree, message: m.Append) -> None:
    """Add to a file's end, or make the file and its parents."""
    with tree.answers("append", message.path):
        route = tree.route("append", message.path)
        old = tree.place(route)[2]
        tree.put(route, message.content if old is None else old.content + message.content)


def edit(tree: Tree, message: m.Edit) -> int:
    """Replace exact pieces of a file; how many were replaced."""
    with tree.answers("edit", message.path):
        file = tree.file(tree.route("edit", message.path))
        content, count = edited(file.content, message)
        tree.refill(file, content)
        return count


def edit_lines(tree: Tree, message: m.EditLines) -> int:
    """Replace lines that are named by number and hash; by how many lines the file has grown."""
    with tree.answers("edit_lines", message.path):
        file = tree.file(tree.route("edit_lines", message.path))
        content, grown = edited_lines(file.content, message)
        tree.refill(file, content)
        return grown


def touch(tree: Tree, message: m.Touch) -> None:
    """Make an empty file, or say that it was modified now."""
    with tree.answers("touch", message.path):
        route = tree.route("touch", message.path)
        old = tree.place(route)[2]
        if old is None:
            tree.put(route, b"")
        elif message.exist_ok:
            old.modified = now()
        else:
            raise fail(errno.EEXIST)


def chmod(tree: Tree, message: m.Chmod) -> None:
    """Set the permission bits of a file or a directory."""
    require_mode(message.path, message.mode, NAME)
    with tree.answers("chmod", message.path):
        tree.at(tree.route("chmod", message.path)).mode = message.mode


def upload(tree: Tree, message: m.Upload) -> tuple[m.Stored, ...]:
    """Write many files, each for itself."""
    stored = []
    for path, content in message.files:
        try:
            write(tree, m.Write(path=path, content=content))
        except OperationError as error:
            stored.append(m.Stored(path=path, error=failure(error)))
        else:
            stored.append(m.Stored(path=path))
    return tuple(stored)


def mkdir(tree: Tree, message: m.Mkdir) -> None:
    """Make a directory and its parents."""
    with tree.answers("mkdir", message.path):
        names = tree.route("mkdir", message.path).names
        try:
            tree.directory(names)
        except FileNotFoundError:
            tree.make(names)
        else:
            if not message.exist_ok:
                raise fail(errno.EEXIST)


def copy(tree: Tree, message: m.Copy) -> None:
    """Copy a file or a tree to a new path; parents are made."""
    _transfer(tree, "copy", message.source, message.target, overwrite=message.overwrite)


def move(tree: Tree, message: m.Move) -> None:
    """Rename a file or a tree; parents are made."""
    _transfer(tree, "move", message.source, message.target, overwrite=message.overwrite)


def remove(tree: Tree, message: m.Remove) -> None:
    """Remove a file, an empty directory, or a tree; never the root."""
    with tree.answers("remove", message.path):
        route = tree.route("remove", message.path)
        try:
            parent, name = tree.parent(route.names)
            found = tree.at(route)
        except FileNotFoundError:
            if message.missing_ok:
                return
            raise
        if isinstance(found, Directory) and found.entries and not message.recursive:
            raise fail(errno.ENOTEMPTY)
        tree.used = tree.room(found, None)
        del parent.entries[name]
        parent.modified = now()


def _transfer(tree: Tree, op: str, source: str, target: str, *, overwrite: bool) -> None:
    with tree.answers(op, source):
        route = tree.route(op, source)
        found = tree.at(route)
        old_parent, old_name = tree.parent(route.names)
    with tree.answers(op, target):
        place = tree.route(op, target)
        above = tree.above(place.names)
        if place.directory and isinstance(found, File):
            raise fail(errno.ENOTDIR)
        if any(each is found for each in tree.nearest(above)):
            raise fail(errno.EINVAL)
        parent = tree.make(above)
        old = parent.entries.get(place.names[-1])
        require_replaceable(old, found, overwrite=overwrite)
        if old is not found:
            tree.used = tree.room(old, found if op == "copy" else None)
        if op == "move":
            del old_parent.entries[old_name]
            old_parent.modified = now()
        parent.entries[place.names[-1]] = found if op == "move" else copied(found)
        parent.modified = now()
