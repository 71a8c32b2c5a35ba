"""Observations of a memory tree."""

from __future__ import annotations

from runner import messages as m
from runner.backends.listing import smallest
from runner.backends.memory.tree import File, Tree, entry_of


def read(tree: Tree, message: m.Read) -> bytes:
    """The content of a file, or `limit` bytes of it from `offset`."""
    with tree.answers("read", message.path):
        content = tree.file(tree.route("read", message.path)).content
        end = None if message.limit is None else message.offset + message.limit
        return content[message.offset : end]


def stat(tree: Tree, message: m.Stat) -> m.FileStat:
    """What stands at a path."""
    with tree.answers("stat", message.path):
        found = tree.at(tree.route("stat", message.path))
        return m.FileStat(
            type="file" if isinstance(found, File) else "directory",
            size=len(found.content) if isinstance(found, File) else 0,
            mode=found.mode,
            modified=found.modified,
        )


def exists(tree: Tree, message: m.Exists) -> bool:
    """Whether something stands at a path; a path that leads out is an error."""
    with tree.answers("exists", message.path):
        try:
            tree.at(tree.route("exists", message.path))
        except (FileNotFoundError, NotADirectoryError):
            return False
        return True


def ls(tree: Tree, message: m.Ls) -> m.Listing:
    """The entries of a directory, sorted by name."""
    with tree.answers("ls", message.path):
        entries = tree.directory(tree.route("ls", message.path).names).entries
        names, omitted = smallest(entries, message.limit)
        return m.Listing(
            entries=tuple(entry_of(name, entries[name]) for name in names), omitted=omitted
        )
