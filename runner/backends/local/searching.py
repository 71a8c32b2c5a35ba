"""Searches of local trees: glob, tree and keys by a walk of our own, grep by ripgrep."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable

from runner import messages as m
from runner.backends import files, grepping, ripgrep, search
from runner.backends.beneath import DIRECTORY, Beneath, Route, parse
from runner.backends.gitignore import Ignored
from runner.backends.local.place import Place
from runner.backends.local.woods import LocalWoods
from runner.backends.threads import in_thread
from runner.backends.walking import Way, drawing, is_ignored, keys, rules_above, walk

TOP = parse(".")


async def glob(place: Place, message: m.Glob) -> m.Found:
    """The paths below `path` that match a pattern; the rules are those of `search`."""
    with search.patterns("glob", message.pattern, place.name):
        compiled = search.compile_glob(message.pattern, hidden=message.hidden)
    with place.answers("glob", message.path):
        route = place.root.route("glob", message.path)
        top = _directory(place, route)

        def work() -> m.Found:
            above = _rules_above(place, route) if message.gitignore else None
            with LocalWoods(top.fd) as woods:
                return search.matched(
                    woods,
                    compiled,
                    route.prefix,
                    gitignore=message.gitignore,
                    above=above,
                    limit=message.limit,
                )

        return await in_thread(work)


async def list_keys(place: Place, message: m.ListKeys) -> m.Found:
    """The paths of all files that begin with a text, sorted as texts."""
    with place.answers("list_keys", message.prefix):
        top = Beneath(place.root.open(make=False).open(TOP, DIRECTORY), opener=place.forced)

        def work() -> m.Found:
            with LocalWoods(top.fd) as woods:
                return keys(woods, message.prefix, limit=message.limit)

        return await in_thread(work)


async def tree(place: Place, message: m.Tree) -> m.Drawing:
    """What stands below a directory, to a depth."""
    with place.answers("tree", message.path):
        route = place.root.route("tree", message.path)
        top = _directory(place, route)

        def work() -> m.Drawing:
            above = _rules_above(place, route) if message.gitignore else None
            with LocalWoods(top.fd) as woods:
                return drawing(woods, message, above, woods.entry)

        return await in_thread(work)


def _directory(place: Place, route: Route) -> Beneath:
    return Beneath(place.root.open(make=False).open(route, DIRECTORY), opener=place.forced)


def _rules_above(place: Place, route: Route) -> Ignored | None:
    """The `.gitignore` rules of the scope's directories above one, by their names as written."""
    if ".." in route.names:
        return None
    with LocalWoods(place.root.open(make=False).fd) as woods:
        return rules_above(woods, route.names)


async def grep(place: Place, message: m.Grep) -> m.Matches:
    """The lines of text files below `path` that match; the rules are those of `grepping`."""
    path, pattern = message.path, message.pattern
    with search.patterns("grep", pattern, place.name):
        grepping.require_grep_pattern(message)
    with search.patterns("grep", message.glob or ",".join(message.types), place.name):
        sieve = grepping.compile_sieve(message)
    with (
        place.answers("grep", path),
        search.patterns("grep", pattern, place.name),
        ripgrep.failures(path, place.name),
        contextlib.ExitStack() as stack,
    ):
        route = place.root.route("grep", path)
        beneath = place.root.open(make=False)
        prefix, only = route.prefix, None
        takes: Callable[[str], bool] = sieve.takes
        ignored: list[str] = []
        try:
            top = Beneath(beneath.open(route, DIRECTORY), opener=place.forced)
        except NotADirectoryError:
            if route.directory:
                raise
            directory, only = beneath.target(route.names)
            top = Beneath(directory, opener=place.forced)
            files.require_regular(os.stat(only, dir_fd=directory, follow_symlinks=False))
            prefix, takes = prefix.removesuffix("/"), sieve.named().takes
        else:
            if message.gitignore:
                above = _rules_above(place, route)
                ignored = await in_thread(lambda: _ignored_directories(top, message, above))
                takes = _not_ignored(stack.enter_context(LocalWoods(top.fd)), above, sieve)
        return await ripgrep.grep(
            place.programs(),
            top,
            message,
            takes,
            ignored=ignored,
            only=only,
            prefix=prefix,
        )


def _ignored_directories(top: Beneath, message: m.Grep, above: Ignored | None) -> list[str]:
    """What ripgrep need not enter. It reads no `.gitignore` itself: see its `arguments`."""
    found = [".git"] if message.hidden else []
    way = Way(
        hidden=message.hidden,
        gitignore=True,
        above=above,
        wants=lambda _prefix, _names: (),
        left_out=found.append,
    )
    with LocalWoods(top.fd) as woods:
        for _ in walk(woods, way):
            pass
    return found


def _not_ignored(
    woods: LocalWoods, above: Ignored | None, sieve: grepping.Sieve
) -> Callable[[str], bool]:
    """The sieve, and the rules of `.gitignore` files."""
    known: dict[str, Ignored | None] = {"": above}

    def takes(path: str) -> bool:
        if not sieve.takes(path) or ".git" in path.split("/")[:-1]:
            return False
        return not is_ignored(woods, path, known)

    return takes
