"""Where a path of a composite leads, for permissions on it: its member says, in our names.

Model. A path is resolved by the member whose it is; the answer is put in the composite's names. So
rules that count from the top see one tree, whatever is kept where; rules for absolute paths see
the places where the parts of it are really kept, too (`Mount`).

What a link leads to may be one of the member's own places that a route hides, or that has no name
here. Without permissions it is reached all the same. With them it is refused, since nothing can be
said of what has no name. A standing directory is where it is, whatever stands there in a member.
"""

from __future__ import annotations

import os

import attrs

from runner.backends.beneath import Names
from runner.backends.composite.junction import Junction
from runner.backends.composite.routes import Route, Spot, collapsed
from runner.backends.straight import Mount, Resolved, straightening
from runner.errors import OperationError, PathEscapes


def resolve(place: Junction, op: str, path: str, *, entry: bool) -> Resolved:
    """Where a caller's path leads; an OperationError if that is nowhere in here."""
    spot, routes = place.spot(op, path), place.routes
    top = straightening(routes.default.member).resolve(op, ".")
    if routes.is_standing(spot.names):
        given = names = spot.names
        directory = spot.directory
    else:
        way = _of_member(place, op, path, spot, entry=entry)
        directory = way.directory or spot.directory
        names = _outer(place, spot.route, way.names)
        given = way.given if spot.route is routes.default else spot.names
        if _owner(place, names) is not spot.route:
            what = "it leads to what has no name here: a route hides it, or is not above it"
            raise PathEscapes(op, path, what, scope=place.name)
    mounts = _mounts(place, op, names, top)
    return attrs.evolve(top, given=given, names=names, directory=directory, mounts=mounts)


def _of_member(place: Junction, op: str, path: str, spot: Spot, *, entry: bool) -> Resolved:
    try:
        return straightening(spot.route.member).resolve(op, spot.path, entry=entry)
    except OperationError as error:
        place.ours(error, spot.route, {spot.path: path})
        raise


def _outer(place: Junction, route: Route, names: Names) -> Names:
    """What the composite calls a member's names."""
    return (*route.prefix, *names) if place.routes.inside(route, route.prefix) == "." else names


def _owner(place: Junction, names: Names) -> Route | None:
    """Whose the names are; None if they lead out."""
    try:
        return place.routes.owner(collapsed(names))
    except OSError:
        return None


def _mounts(place: Junction, op: str, names: Names, top: Resolved) -> tuple[Mount, ...]:
    """Where the routes at, above and beneath a path are kept, the deepest first."""
    found = [each for each in top.mounts if place.routes.owner(each.names).prefix == ()]
    for route in place.routes.every:
        shared = min(len(route.prefix), len(names))
        if route.prefix[:shared] != names[:shared]:
            continue
        own = straightening(route.member).resolve(op, ".")
        for each in own.mounts:
            outer = _outer(place, route, each.names)
            if place.routes.owner(outer) is route:
                found.append(attrs.evolve(each, names=outer))
        inside = place.routes.inside(route, route.prefix)
        found.append(
            Mount(
                names=route.prefix,
                root=os.path.normpath(os.path.join(own.root, inside)),
                real_root=os.path.normpath(os.path.join(own.real_root, inside)),
            )
        )
    return tuple(sorted(found, key=lambda each: -len(each.names)))
