"""Which member of a composite a path belongs to. Pure.

Model. A route is a prefix of names and the member that stands there; the longest prefix wins, and
what lies under none belongs to the default. A route's own top, and the directories on the way to
it, are always there: *standing* directories, whether or not a member has them.

Where a path goes up (`..`) within one member, the member is given it as written, so that it goes up
as it does there (after a link, physically). Where it goes from one member into another, or through
a standing directory, `..` is taken out by name. An absolute path is the default's, as written.
"""

from __future__ import annotations

import copy
import errno
from collections.abc import Iterable, Mapping

import attrs

from runner.backends.beneath import Names, UnusablePath, fail, parse
from runner.backends.straight import straight_view
from runner.errors import ConfigError
from runner.operations import Asking

_OUTSIDE = ("/",)  # what the names of absolute paths begin with: no route's do


@attrs.frozen(eq=False)
class Route:
    """A member and where it stands."""

    prefix: Names
    member: Asking


@attrs.frozen
class Spot:
    """Where a caller's path leads.

    Attributes:
        route: whose it is.
        names: from the composite's top, without `..`.
        path: what the member is asked for.
        directory: only a directory may stand there.
    """

    route: Route
    names: Names
    path: str
    directory: bool


class Routes:
    """The routes of a composite, longest prefix first, and its default."""

    def __init__(self, default: Asking, members: Mapping[str, Asking], *, strip: bool) -> None:
        """Routes as the user wrote them; ConfigError if one cannot be."""
        prefixes = {text: prefix_of(text) for text in members}
        if len(set(prefixes.values())) < len(prefixes):
            raise ConfigError(f"two routes at one place: {', '.join(sorted(prefixes))}")
        found = [Route(prefixes[text], member) for text, member in members.items()]
        self.every = tuple(sorted(found, key=lambda each: (-len(each.prefix), each.prefix)))
        self.default = Route((), default)
        self._tops = frozenset(each.prefix for each in found)
        self._standing = frozenset(
            each.prefix[:depth] for each in found for depth in range(1, len(each.prefix) + 1)
        )
        self._strip = strip

    def members(self) -> list[Asking]:
        """Every member once, the default first."""
        return list({id(each.member): each.member for each in (self.default, *self.every)}.values())

    def straight(self) -> Routes:
        """The same routes to the same files, in which no link is followed."""
        # What stands at two routes is one member there, too.
        views = {id(each): straight_view(each) for each in self.members()}
        other = copy.copy(self)
        other.default = Route((), views[id(self.default.member)])
        other.every = tuple(Route(each.prefix, views[id(each.member)]) for each in self.every)
        return other

    def owner(self, names: Names) -> Route:
        """The route with the longest prefix."""
        for route in self.every:
            if names[: len(route.prefix)] == route.prefix:
                return route
        return self.default

    def is_top(self, names: Names) -> bool:
        """Whether a route stands exactly there."""
        return names in self._tops

    def is_standing(self, names: Names) -> bool:
        """Whether a directory is there because a route is there or below (the top itself: no)."""
        return names in self._standing

    def standing(self, names: Names) -> list[Names]:
        """The standing directories deeper than names, in the order of a walk."""
        return sorted(
            each
            for each in self._standing
            if len(each) > len(names) and each[: len(names)] == names
        )

    def below(self, names: Names) -> list[Route]:
        """The routes that stand deeper than names, in the order of a walk."""
        return sorted(
            (
                each
                for each in self.every
                if len(each.prefix) > len(names) and each.prefix[: len(names)] == names
            ),
            key=lambda each: each.prefix,
        )

    def spot(self, path: str) -> Spot:
        """Where a path leads; UnusablePath, or OSError(EXDEV) if it leads out."""
        parsed = parse(path)
        if parsed.absolute:
            return Spot(self.default, (*_OUTSIDE, *parsed.names), path, parsed.directory)
        names = collapsed(parsed.names)
        route = self.owner(names)
        inner = self._as_written(parsed.names, route)
        if inner is None:
            return Spot(
                route,
                names,
                self.inside(route, names, directory=parsed.directory),
                parsed.directory,
            )
        slash = "/" if parsed.directory and inner else ""
        return Spot(route, names, "/".join(inner) + slash or ".", parsed.directory)

    def inside(self, route: Route, names: Names, *, directory: bool = False) -> str:
        """What a member calls a place of the composite."""
        kept = names[len(route.prefix) :] if self._strip else names
        return "/".join(kept) + ("/" if directory and kept else "") or "."

    def outside(self, route: Route, path: str) -> str:
        """What the composite calls a path of a member."""
        if not self._strip or not route.prefix:
            return path
        return "/".join(
            (*route.prefix, *(each for each in path.split("/") if each not in {"", "."}))
        )

    def _as_written(self, written: Names, route: Route) -> Names | None:
        """The names for a member, `..` and all; None if that goes through more than it."""
        cut = len(route.prefix) if self._strip else 0
        if ".." not in written:
            return written[cut:]
        if written[: len(route.prefix)] != route.prefix:
            return None
        here: list[str] = []
        for name in written:
            if name != "..":
                here.append(name)
                continue
            place = tuple(here)
            if self.owner(place) is not route or self.is_standing(place):
                return None
            here.pop()
            if self.owner(tuple(here)) is not route:
                return None
        return written[cut:]


def prefix_of(text: str) -> Names:
    """A route as names; ConfigError if none can stand there."""
    try:
        parsed = parse(text)
    except UnusablePath as error:
        raise ConfigError(f"the route {text!r}: {error}") from None
    if parsed.absolute or not parsed.names or ".." in parsed.names:
        what = "a route is a relative path below the top, without '..', such as 'memories'"
        raise ConfigError(f"the route {text!r}: {what}")
    return parsed.names


def collapsed(names: Iterable[str]) -> Names:
    """Names without `..`; OSError(EXDEV) if they lead out."""
    found: list[str] = []
    for name in names:
        if name != "..":
            found.append(name)
        elif found:
            found.pop()
        else:
            raise fail(errno.EXDEV)
    return tuple(found)
