"""What stands in a composite: one directory, a tree, all keys."""

from __future__ import annotations

import attrs

from runner import messages as m
from runner.backends.beneath import Names
from runner.backends.composite.junction import NO_DIRECTORY, Junction
from runner.backends.composite.parts import (
    Asked,
    Part,
    Search,
    Seen,
    by_names,
    merged,
    names_of,
    stands,
)
from runner.backends.composite.routes import Route, Spot


async def ls(place: Junction, message: m.Ls) -> m.Listing:
    """The entries of a directory, sorted by name: its member's, and the routes right there."""
    spot = place.spot("ls", message.path)
    depth = len(spot.names) + 1
    standing = [each for each in place.routes.standing(spot.names) if len(each) == depth]
    found = await _own(place, message, spot, len(standing))
    if not standing:
        return found
    names = {each[-1] for each in standing}
    entries = [each for each in found.entries if each.name not in names]
    total = len(entries) + found.omitted + len(standing)
    if found.omitted:
        seen = found.entries[-1].name if found.entries else ""
        for each in standing:
            if each[-1] > seen and await stands(place, spot.route, each):
                total -= 1
    entries += [await _entry(place, each, each[-1]) for each in standing]
    entries.sort(key=lambda each: each.name)
    kept = tuple(entries[: message.limit])
    return m.Listing(entries=kept, omitted=total - len(kept))


async def _own(place: Junction, message: m.Ls, spot: Spot, more: int) -> m.Listing:
    """The member's own entries, so many more that none is missed for those that are hidden."""
    inner = attrs.evolve(message, path=spot.path, limit=message.limit + more)
    try:
        return await place.ask(spot.route, inner, {spot.path: message.path})
    except NO_DIRECTORY:
        if not place.routes.is_standing(spot.names):
            raise
        return m.Listing(entries=())


async def _entry(place: Junction, names: Names, name: str) -> m.Entry:
    """The entry of a standing directory."""
    path = "/".join(names)
    found = await place.stat(place.spot("ls", path), m.Stat(path=path))
    return m.Entry(name=name, type="directory", size=0, mode=found.mode, modified=found.modified)


# ---------------------------------------------------------------- tree


async def tree(place: Junction, message: m.Tree) -> m.Drawing:
    """What stands below a directory, to a depth, of all members."""
    spot = place.spot("tree", message.path)
    if place.is_one_members(spot):
        inner = attrs.evolve(message, path=spot.path)
        drawing = await place.ask(spot.route, inner, {spot.path: message.path})
        return attrs.evolve(drawing, path=message.path)
    start = len(spot.names)

    def is_drawn(names: Names) -> bool:
        if message.depth is not None and len(names) - start > message.depth:
            return False
        return message.hidden or all(each[0] != "." for each in names[start:])

    def there(route: Route) -> Asked[m.Entry] | None:
        return (
            _Drawing(place, message, route, route.prefix, start) if is_drawn(route.prefix) else None
        )

    own = _Drawing(place, message, spot.route, spot.names, start)
    found = Search[m.Entry](place, spot, message.limit)
    await found.run(own, there)
    standing = [
        (each, await _entry(place, each, "/".join(each[start:])))
        for each in found.standing()
        if is_drawn(each)
    ]
    entries, omitted = merged([*found.parts, Part(standing)], message.limit, by_names)
    return m.Drawing(path=message.path, entries=tuple(entries), omitted=omitted)


@attrs.frozen
class _Drawing:
    """Asks a member for what stands below names; entries are named from depth `start`."""

    place: Junction
    message: m.Tree
    route: Route
    names: Names
    start: int

    async def __call__(self, limit: int, seen: Seen | None, /) -> Part[m.Entry]:
        path, depth = self.place.routes.inside(self.route, self.names), self.message.depth
        if depth is not None:
            depth -= len(self.names) - self.start
        inner = attrs.evolve(self.message, path=path, depth=depth, limit=limit)
        found = await self.place.ask(self.route, inner, {path: self.message.path})
        items = [((*self.names, *names_of(each.name)), each) for each in found.entries]
        outer = [
            (names, attrs.evolve(each, name="/".join(names[self.start :]))) for names, each in items
        ]
        return Part(outer, found.omitted).only(seen)


# ---------------------------------------------------------------- keys


async def list_keys(place: Junction, message: m.ListKeys) -> m.Found:
    """The paths of all files that begin with a text, of all members, sorted as texts."""
    routes, text = place.routes, message.prefix

    def there(route: Route) -> Asked[str] | None:
        top = "/".join(route.prefix) + "/"
        if not text.startswith(top) and not top.startswith(text):
            return None
        rest = text if text.startswith(top) else top
        top = routes.inside(route, route.prefix, directory=True)
        return _Keys(
            place,
            message,
            route,
            rest.removeprefix("/".join(route.prefix) + "/") if top == "." else rest,
        )

    spot = Spot(routes.default, (), ".", directory=True)
    found = Search[str](place, spot, message.limit)
    await found.run(_Keys(place, message, routes.default, text), there)
    paths, omitted = merged(found.parts, message.limit, lambda item: item[1])
    return m.Found(paths=tuple(paths), omitted=omitted)


@attrs.frozen
class _Keys:
    """Asks a member for the keys that begin with a text of its own."""

    place: Junction
    message: m.ListKeys
    route: Route
    prefix: str

    async def __call__(self, limit: int, seen: Seen | None, /) -> Part[str]:
        inner = m.ListKeys(prefix=self.prefix, limit=limit)
        found = await self.place.ask(self.route, inner, {self.prefix: self.message.prefix})
        paths = [self.place.routes.outside(self.route, each) for each in found.paths]
        return Part([(names_of(each), each) for each in paths], found.omitted).only(seen)
