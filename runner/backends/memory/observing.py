"""Observations and searches in a memory tree."""

from __future__ import annotations

import itertools

from runner import messages as m
from runner.backends import search
from runner.backends.failures import require_counts
from runner.backends.listing import smallest
from runner.backends.memory.looking import MemoryWoods, rules_for
from runner.backends.memory.tree import NAME, File, Tree, entry_of, walk


def read(tree: Tree, message: m.Read) -> bytes:
    """The content of a file, or `limit` bytes of it from `offset`."""
    require_counts("read", message.path, NAME, message.offset, message.limit)
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
    require_counts("ls", message.path, NAME, message.limit)
    with tree.answers("ls", message.path):
        entries = tree.directory(tree.route("ls", message.path).names).entries
        names, omitted = smallest(entries, message.limit)
        return m.Listing(
            entries=tuple(entry_of(name, entries[name]) for name in names), omitted=omitted
        )


def glob(tree: Tree, message: m.Glob) -> m.Found:
    """The paths below `path` that match a pattern; the rules are those of `search`."""
    require_counts("glob", message.path, NAME, message.limit)
    with search.patterns("glob", message.pattern, NAME):
        compiled = search.compile_glob(message.pattern, hidden=message.hidden)
    with tree.answers("glob", message.path):
        route = tree.route("glob", message.path)
        return search.matched(
            MemoryWoods(tree.directory(route.names)),
            compiled,
            route.prefix,
            gitignore=message.gitignore,
            above=rules_for(tree, route) if message.gitignore else None,
            limit=message.limit,
        )


def grep(tree: Tree, message: m.Grep) -> m.Matches:
    """The lines of text files below `path` that match; the rules are those of `search`."""
    require_counts("grep", message.path, NAME, message.limit)
    with search.patterns("grep", message.pattern, NAME):
        accepts = search.compile_grep(
            message.pattern, literal=message.literal, ignore_case=message.ignore_case
        )
    with search.patterns("grep", message.glob or "", NAME):
        sieve = search.compile_sieve(message.glob, hidden=message.hidden)
    with tree.answers("grep", message.path):
        route = tree.route("grep", message.path)
        top = tree.at(route)
        if isinstance(top, File):  # named by the caller
            name = route.names[-1]
            taken = [(route.prefix[:-1], top)] if sieve.named().takes(name) else []
        else:
            taken = [
                (route.prefix + each, node)
                for each, node in walk(top)
                if isinstance(node, File) and sieve.takes(each)
            ]
        every = (
            m.Match(path=each, line=number, text=text)
            for each, file in taken
            for number, text in search.lines_of(file.content)
            if accepts(text)
        )
        matches = tuple(itertools.islice(every, message.limit))
        return m.Matches(matches=matches, omitted=sum(1 for _ in every))
