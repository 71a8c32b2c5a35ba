"""Effects on a memory tree."""

from __future__ import annotations

import errno

from runner import messages as m
from runner.backends.beneath import fail
from runner.backends.editing import edited
from runner.backends.memory.tree import (
    NAME,
    Directory,
    File,
    Tree,
    copied,
    now,
    require_replaceable,
)


def write(tree: Tree, message: m.Write) -> None:
    """Replace a file's content whole, or make the file and its parents."""
    with tree.answers("write", message.path):
        tree.put(tree.route("write", message.path), message.content)


def append(tree: Tree, message: m.Append) -> None:
    """Add to a file's end, or make the file and its parents."""
    with tree.answers("append", message.path):
        route = tree.route("append", message.path)
        old = tree.place(route)[2]
        tree.put(route, message.content if old is None else old.content + message.content)


def edit(tree: Tree, message: m.Edit) -> int:
    """Replace an exact piece of a file; how many times it was replaced."""
    with tree.answers("edit", message.path):
        file = tree.file(tree.route("edit", message.path))
        file.content, count = edited(file.content, message, scope=NAME)
        file.modified = now()
        return count


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
        require_replaceable(parent.entries.get(place.names[-1]), found, overwrite=overwrite)
        if op == "move":
            del old_parent.entries[old_name]
            old_parent.modified = now()
        parent.entries[place.names[-1]] = found if op == "move" else copied(found)
        parent.modified = now()
