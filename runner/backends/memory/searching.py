"""Searches of a memory tree: glob and grep, by Python alone."""

from __future__ import annotations

from collections.abc import Iterator

from runner import messages as m
from runner.backends import grepping, records, search
from runner.backends.memory.looking import MemoryWoods, rules_for
from runner.backends.memory.tree import NAME, File, Tree
from runner.backends.walking import Way, walk


def glob(tree: Tree, message: m.Glob) -> m.Found:
    """The paths below `path` that match a pattern; the rules are those of `search`."""
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
    """The lines of text files below `path` that match; the rules are those of `grepping`."""
    with search.patterns("grep", message.pattern, NAME):
        matching = grepping.compile_grep(message)
    with search.patterns("grep", message.glob or ",".join(message.types), NAME):
        sieve = grepping.compile_sieve(message)
    with tree.answers("grep", message.path):
        found = _Found(message)
        for path, file in _files(tree, message, sieve):
            if not grepping.is_binary(file.content):
                found.take(path, file.content, list(matching(file.content)))
        return found.answer()


def _files(tree: Tree, message: m.Grep, sieve: grepping.Sieve) -> Iterator[tuple[str, File]]:
    route = tree.route("grep", message.path)
    top = tree.at(route)
    if isinstance(top, File):  # named by the caller
        if sieve.named().takes(route.names[-1]):
            yield route.prefix[:-1], top
        return
    above = rules_for(tree, route) if message.gitignore else None
    way = Way(hidden=message.hidden, gitignore=message.gitignore, above=above)
    woods = MemoryWoods(top)
    for path, kind in walk(woods, way):
        if kind == "file" and sieve.takes(path):
            yield route.prefix + path, woods.file(path)


class _Found:
    """What a grep has found so far."""

    def __init__(self, message: m.Grep) -> None:
        self._message = message
        self._matches: list[m.Match] = []
        self._files: list[m.FileMatches] = []
        self._omitted = 0

    def take(self, path: str, content: bytes, numbers: list[int]) -> None:
        """Take the matching lines of a file, by their numbers from 0."""
        message = self._message
        if not numbers:
            return
        if message.output != "lines":
            if len(self._files) < message.limit:
                self._files.append(m.FileMatches(path=path, lines=len(numbers)))
            else:
                self._omitted += 1
            return
        room = message.limit - len(self._matches)
        kept = numbers[: room if message.per_file is None else min(room, message.per_file)]
        self._omitted += len(numbers) - len(kept)
        lines = grepping.raw_lines(content)
        if not message.before and not message.after:
            self._matches += [
                records.match(path, number + 1, grepping.text_of(lines[number])) for number in kept
            ]
            return

        def texts(start: int, end: int) -> tuple[str, ...]:
            return tuple([grepping.text_of(each) for each in lines[max(start, 0) : max(end, 0)]])

        self._matches += [
            m.Match(
                path=path,
                line=number + 1,
                text=grepping.text_of(lines[number]),
                before=texts(number - message.before, number),
                after=texts(number + 1, number + 1 + message.after),
            )
            for number in kept
        ]

    def answer(self) -> m.Matches:
        """The answer."""
        output = self._message.output
        return m.Matches(
            matches=tuple(self._matches),
            files=tuple([each.path for each in self._files]) if output == "files" else (),
            counts=tuple(self._files) if output == "counts" else (),
            omitted=self._omitted,
        )
