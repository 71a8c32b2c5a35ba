"""Observations on the content of files in memory, and walks through their tree."""

from __future__ import annotations

import hashlib

import attrs

from runner import messages as m
from runner.backends import lines
from runner.backends.beneath import Names, Route
from runner.backends.failures import failure
from runner.backends.gitignore import Ignored
from runner.backends.memory.tree import Directory, File, Tree, entry_of
from runner.backends.walking import Inside, drawing, keys, rules_above
from runner.errors import OperationError


class MemoryWoods:
    """`Woods` below a directory in memory."""

    def __init__(self, top: Directory) -> None:
        """Nothing changes while it is walked: an operation is one synchronous block."""
        self._top = top

    def _at(self, names: Names) -> Directory | File | None:
        found: Directory | File | None = self._top
        for name in names:
            found = found.entries.get(name) if isinstance(found, Directory) else None
        return found

    def inside(self, names: Names) -> Inside:
        """What is in a directory."""
        found, inside = self._at(names), Inside([], [], [])
        if isinstance(found, Directory):
            for name, node in found.entries.items():
                (inside.files if isinstance(node, File) else inside.directories).append(name)
        return inside

    def content(self, names: Names, longest: int) -> bytes:
        """The content of a small file."""
        found = self._at(names)
        if isinstance(found, File) and len(found.content) <= longest:
            return found.content
        return b""

    def file(self, path: str) -> File:
        """The file at a path, where one was just met."""
        found = self._at(tuple(path.split("/")))
        assert isinstance(found, File)
        return found

    def entry(self, path: str) -> m.Entry:
        """What stands at a path, by that path."""
        found = self._at(tuple(path.split("/")))
        assert found is not None  # it was just met
        return attrs.evolve(entry_of(path, found), name=path)


def rules_for(tree: Tree, route: Route) -> Ignored | None:
    """The `.gitignore` rules of the directories above one."""
    return None if ".." in route.names else rules_above(MemoryWoods(tree.top), route.names)


def read_lines(tree: Tree, message: m.ReadLines) -> m.Lines:
    """A window of the lines of a file; the rules are those of `lines`."""
    with tree.answers("read_lines", message.path):
        return lines.window_of(tree.file(tree.route("read_lines", message.path)).content, message)


def digest(tree: Tree, message: m.Digest) -> str:
    """The SHA-256 of a file's content."""
    with tree.answers("digest", message.path):
        content = tree.file(tree.route("digest", message.path)).content
        return hashlib.sha256(content).hexdigest()


def realpath(tree: Tree, message: m.Realpath) -> str:
    """A path without detours, from the top: there are no links here."""
    with tree.answers("realpath", message.path):
        return tree.real(tree.route("realpath", message.path))


def download(tree: Tree, message: m.Download) -> tuple[m.Downloaded, ...]:
    """The contents of many files."""
    return tuple([_downloaded(tree, each) for each in message.paths])


def _downloaded(tree: Tree, path: str) -> m.Downloaded:
    try:
        with tree.answers("download", path):
            content = tree.file(tree.route("download", path)).content
    except OperationError as error:
        return m.Downloaded(path=path, error=failure(error))
    return m.Downloaded(path=path, content=content)


def draw(tree: Tree, message: m.Tree) -> m.Drawing:
    """What stands below a directory, to a depth."""
    with tree.answers("tree", message.path):
        route = tree.route("tree", message.path)
        woods = MemoryWoods(tree.directory(route.names))
        above = rules_for(tree, route) if message.gitignore else None
        return drawing(woods, message, above, woods.entry)


def list_keys(tree: Tree, message: m.ListKeys) -> m.Found:
    """The paths of all files that begin with a text, sorted as texts."""
    return keys(MemoryWoods(tree.top), message.prefix, limit=message.limit)
