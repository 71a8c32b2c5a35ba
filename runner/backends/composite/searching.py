"""Searches over a composite: glob and grep. The rules for the parts are those of `parts`.

A pattern is given to each member as what is left of it there (`residuals`). Each member follows its
own `.gitignore` files; those of one say nothing about another.
"""

from __future__ import annotations

import attrs

from runner import messages as m
from runner.backends import search
from runner.backends.beneath import Names
from runner.backends.composite.junction import Junction
from runner.backends.composite.parts import Asked, Part, Search, Seen, by_names, merged, names_of
from runner.backends.composite.residuals import residual
from runner.backends.composite.routes import Route


async def glob(place: Junction, message: m.Glob) -> m.Found:
    """The paths that match, of all members, and of standing directories."""
    spot = place.spot("glob", message.path)
    if place.is_one_members(spot):
        inner = attrs.evolve(message, path=spot.path)
        found = await place.ask(spot.route, inner, {spot.path: message.path})
        return attrs.evolve(found, paths=_outer(place, spot.route, found.paths))
    with search.patterns("glob", message.pattern, place.name):
        compiled = search.compile_glob(message.pattern, hidden=message.hidden)
    depth = len(spot.names)

    def there(route: Route) -> Asked[str] | None:
        rest = residual(message.pattern, route.prefix[depth:], hidden=message.hidden)
        return None if rest is None else _Globbing(place, message, route, route.prefix, rest)

    own = _Globbing(place, message, spot.route, spot.names, message.pattern)
    found_there = Search[str](place, spot, message.limit)
    await found_there.run(own, there)
    standing = Part(
        [
            (each, "/".join(each))
            for each in found_there.standing()
            if compiled.matches("/".join(each[depth:]), is_directory=True)
        ]
    )
    paths, omitted = merged([*found_there.parts, standing], message.limit, by_names)
    return m.Found(paths=tuple(paths), omitted=omitted)


@attrs.frozen
class _Globbing:
    """Asks a member for what matches a glob below names."""

    place: Junction
    message: m.Glob
    route: Route
    names: Names
    pattern: str

    async def __call__(self, limit: int, seen: Seen | None, /) -> Part[str]:
        path = self.place.routes.inside(self.route, self.names)
        inner = attrs.evolve(self.message, pattern=self.pattern, path=path, limit=limit)
        patterns = {self.pattern: self.message.pattern}
        found = await self.place.ask(self.route, inner, {path: self.message.path}, patterns)
        paths = _outer(self.place, self.route, found.paths)
        return Part([(names_of(each), each) for each in paths], found.omitted).only(seen)


def _outer(place: Junction, route: Route, paths: tuple[str, ...]) -> tuple[str, ...]:
    return tuple([place.routes.outside(route, each) for each in paths])


# ---------------------------------------------------------------- grep


async def grep(place: Junction, message: m.Grep) -> m.Matches:
    """The lines (or files) that match, of all members."""
    if message.glob is not None:
        with search.patterns("grep", message.glob, place.name):
            search.compile_glob(message.glob, hidden=message.hidden)
    spot = place.spot("grep", message.path)
    if place.is_one_members(spot):
        asking = _Grepping(place, message, spot.route, spot.path, message.glob)
        part = await asking(message.limit, None)
        return _matches(message, [each for _, each in part.items], part.omitted)

    def there(route: Route) -> Asked[m.Match | m.FileMatches] | None:
        way, glob = route.prefix[len(spot.names) :], message.glob
        if not message.hidden and any(each[0] == "." for each in way):
            return None
        if glob is not None and "/" in glob:
            glob = residual(glob, way, hidden=message.hidden)
            if glob is None:
                return None
            if "/" not in glob:
                glob = f"./{glob}"  # what has no slash would be matched against names at any depth
        path = place.routes.inside(route, route.prefix)
        return _Grepping(place, message, route, path, glob)

    path = place.routes.inside(spot.route, spot.names)
    own = _Grepping(place, message, spot.route, path, message.glob)
    found = Search[m.Match | m.FileMatches](place, spot, message.limit)
    await found.run(own, there)
    return _matches(message, *merged(found.parts, message.limit, _by_line))


@attrs.frozen
class _Grepping:
    """Asks a member for the lines (or files) that match below a path of its own."""

    place: Junction
    message: m.Grep
    route: Route
    path: str
    glob: str | None

    async def __call__(self, limit: int, seen: Seen | None, /) -> Part[m.Match | m.FileMatches]:
        message = self.message
        inner = attrs.evolve(message, path=self.path, glob=self.glob, limit=limit)
        part = (await self._ask(inner)).only(seen)
        if seen is not None and message.output == "lines" and message.per_file is not None:
            # What was left out of a file may be hidden: the lines are counted by files.
            counts = await self._ask(attrs.evolve(inner, output="counts", per_file=None))
            lines = sum(
                each.lines for _, each in counts.only(seen).items if isinstance(each, m.FileMatches)
            )
            return Part(part.items, lines - len(part.items))
        return part

    async def _ask(self, inner: m.Grep) -> Part[m.Match | m.FileMatches]:
        message = self.message
        patterns = {self.glob: message.glob} if self.glob and message.glob else {}
        found = await self.place.ask(self.route, inner, {self.path: message.path}, patterns)
        every: list[m.Match | m.FileMatches] = [*found.matches, *found.counts]
        every += [m.FileMatches(path=each, lines=0) for each in found.files]
        outer = [
            attrs.evolve(each, path=self.place.routes.outside(self.route, each.path))
            for each in every
        ]
        return Part([(names_of(each.path), each) for each in outer], found.omitted)


def _by_line(item: tuple[Names, m.Match | m.FileMatches]) -> tuple[Names, int]:
    names, found = item
    return names, found.line if isinstance(found, m.Match) else 0


def _matches(message: m.Grep, items: list[m.Match | m.FileMatches], omitted: int) -> m.Matches:
    counts = tuple([each for each in items if isinstance(each, m.FileMatches)])
    return m.Matches(
        matches=tuple([each for each in items if isinstance(each, m.Match)]),
        omitted=omitted,
        files=tuple([each.path for each in counts]) if message.output == "files" else (),
        counts=counts if message.output == "counts" else (),
    )
