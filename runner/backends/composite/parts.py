"""What the members have below a place, put together exactly.

Model. A part is what one member has, as items with their names from the composite's top. Every
member gives its first `limit` in the order of a walk and counts the rest, so the first `limit` of
all parts are the first of the whole, and the counts add up.

What a member has where another one stands is hidden by that. Usually there is nothing of the kind.
If there is, and the member left something out, it is asked again for all: only then can the hidden
ones be taken out of its count.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Generic, TypeAlias, TypeVar

import attrs

from runner import messages as m
from runner.backends.beneath import Names
from runner.backends.composite.junction import NO_DIRECTORY, Junction
from runner.backends.composite.residuals import quoted
from runner.backends.composite.routes import Route, Spot
from runner.errors import OperationError

ItemT = TypeVar("ItemT")
Seen = Callable[[Names], bool]


@attrs.frozen
class Part(Generic[ItemT]):
    """What a member has found; `omitted` more were left out."""

    items: list[tuple[Names, ItemT]]
    omitted: int = 0

    def only(self, seen: Seen | None) -> Part[ItemT]:
        """The items that are seen; what was left out stays."""
        if seen is None:
            return self
        return Part([each for each in self.items if seen(each[0])], self.omitted)


# Asks one member for its part: the first so many; or for all, of which only some are seen.
Asked: TypeAlias = Callable[[int, Seen | None], Awaitable[Part[ItemT]]]


def names_of(path: str) -> Names:
    """What results are sorted by: names, a directory's content where it stands."""
    return tuple([each for each in path.split("/") if each not in {"", "."}])


async def stands(place: Junction, route: Route, names: Names) -> bool:
    """Whether a member has anything at a place, be it a dangling link."""
    message = m.Glob(
        pattern=quoted(names[-1]), path=place.routes.inside(route, names[:-1]), hidden=True, limit=0
    )
    try:
        return (await place.ask(route, message)).omitted > 0
    except OperationError:  # also what may not be seen is not there
        return False


@attrs.define
class Search(Generic[ItemT]):
    """A search below a spot, through all members that have a part in it.

    Attributes:
        had: standing directories that the member below which they are has as directories, too.
    """

    place: Junction
    spot: Spot
    limit: int
    parts: list[Part[ItemT]] = attrs.field(factory=list)
    had: set[Names] = attrs.field(factory=set)

    async def run(self, own: Asked[ItemT], there: Callable[[Route], Asked[ItemT] | None]) -> None:
        """Ask the member whose the spot is, and those that stand below."""
        place, spot = self.place, self.spot
        try:
            await self._ask(spot.route, spot.names, own)
        except NO_DIRECTORY:
            if not place.routes.is_standing(spot.names):
                raise
        for route in place.routes.below(spot.names):
            ask = there(route)
            if ask is not None:
                try:
                    await self._ask(route, route.prefix, ask)
                except NO_DIRECTORY:  # it has nothing at its top yet
                    continue

    async def _ask(self, route: Route, names: Names, ask: Asked[ItemT]) -> None:
        routes = self.place.routes
        below = routes.is_standing(names) and routes.inside(route, names) != "."
        if below and not await self._is_directory(route, names):
            return  # a file there is hidden, too
        standing = routes.standing(names)
        for each in standing:
            if routes.owner(each) is route and await self._is_directory(route, each):
                self.had.add(each)

        def seen(item: Names) -> bool:
            if routes.owner(item) is not route:
                return False
            return item in self.had or not routes.is_standing(item)

        part = await ask(self.limit, None)
        if part.omitted:
            for each in standing:
                if each not in self.had and await stands(self.place, route, each):
                    part = await ask(len(part.items) + part.omitted, seen)
                    break
        self.parts.append(part.only(seen))

    async def _is_directory(self, route: Route, names: Names) -> bool:
        message = m.Stat(path=self.place.routes.inside(route, names))
        try:
            return (await self.place.ask(route, message)).type == "directory"
        except OperationError:
            return False

    def standing(self) -> list[Names]:
        """The standing directories that no member's part has."""
        return [
            each for each in self.place.routes.standing(self.spot.names) if each not in self.had
        ]


def merged(
    parts: Iterable[Part[ItemT]], limit: int, key: Callable[[tuple[Names, ItemT]], Any]
) -> tuple[list[ItemT], int]:
    """The first items of all, and how many more there are."""
    every = list(parts)
    items = sorted((each for part in every for each in part.items), key=key)
    omitted = sum(part.omitted for part in every) + max(len(items) - limit, 0)
    return [each for _, each in items[:limit]], omitted


def by_names(item: tuple[Names, object]) -> Names:
    """The order of a walk."""
    return item[0]
