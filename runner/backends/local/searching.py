"""Searches of local trees: glob by a walk of our own, grep by ripgrep."""

from __future__ import annotations

import os

from runner import messages as m
from runner.backends import files, ripgrep, search
from runner.backends.beneath import DIRECTORY, Beneath
from runner.backends.failures import require_counts
from runner.backends.local.place import Place
from runner.backends.threads import in_thread


async def glob(place: Place, message: m.Glob) -> m.Found:
    """The paths below `path` that match a pattern; the rules are those of `search`."""
    require_counts("glob", message.path, place.name, message.limit)
    with search.patterns("glob", message.pattern, place.name):
        compiled = search.compile_glob(message.pattern, hidden=message.hidden)
    with place.answers("glob", message.path):
        route = place.root.route("glob", message.path)
        top = Beneath(place.root.open(make=False).open(route, DIRECTORY), opener=place.forced)
        return await in_thread(
            lambda: search.find(top, compiled, route.prefix, limit=message.limit)
        )


async def grep(place: Place, message: m.Grep) -> m.Matches:
    """The lines of text files below `path` that match; the rules are those of `search`."""
    path, pattern = message.path, message.pattern
    require_counts("grep", path, place.name, message.limit)
    with search.patterns("grep", pattern, place.name):
        search.require_grep_pattern(pattern)
    with search.patterns("grep", message.glob or "", place.name):
        sieve = search.compile_sieve(message.glob, hidden=message.hidden)
    with (
        place.answers("grep", path),
        search.patterns("grep", pattern, place.name),
        ripgrep.failures(path, place.name),
    ):
        route = place.root.route("grep", path)
        beneath = place.root.open(make=False)
        prefix, only = route.prefix, None
        try:
            top = Beneath(beneath.open(route, DIRECTORY), opener=place.forced)
        except NotADirectoryError:
            if route.directory:
                raise
            directory, only = beneath.target(route.names)
            top = Beneath(directory, opener=place.forced)
            files.require_regular(os.stat(only, dir_fd=directory, follow_symlinks=False))
            prefix, sieve = prefix.removesuffix("/"), sieve.named()
        return await ripgrep.grep(
            place.programs(),
            top,
            ripgrep.arguments(message),
            sieve,
            only=only,
            prefix=prefix,
            limit=message.limit,
        )
