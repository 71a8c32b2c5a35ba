"""Operations on one path: each goes to the member whose it is, with its path there."""

from __future__ import annotations

import errno
from typing import Any

import attrs

from runner import messages as m
from runner.backends.composite.junction import NO_DIRECTORY, Junction
from runner.backends.composite.routes import Route, Spot
from runner.errors import ExecFailed, NotFound, OperationError, PathEscapes
from runner.operations.op_names import op_name


async def at_path(place: Junction, message: Any) -> object:
    """An operation on whatever stands at a path; on a standing directory that no member has."""
    spot = place.spot(op_name(type(message)), message.path)
    inner = attrs.evolve(message, path=spot.path)
    return await place.ask(spot.route, inner, {spot.path: message.path})


async def at_file(place: Junction, message: Any) -> object:
    """An operation on a file: a standing directory is none."""
    op = op_name(type(message))
    spot = place.spot(op, message.path)
    if place.routes.is_standing(spot.names):
        raise place.error(op, message.path, errno.EISDIR)
    inner = attrs.evolve(message, path=spot.path)
    return await place.ask(spot.route, inner, {spot.path: message.path})


async def stat(place: Junction, message: m.Stat) -> m.FileStat:
    """What stands at a path."""
    return await place.stat(place.spot("stat", message.path), message)


async def exists(place: Junction, message: m.Exists) -> bool:
    """Whether something stands at a path."""
    spot = place.spot("exists", message.path)
    if place.routes.is_standing(spot.names):
        return True
    inner = attrs.evolve(message, path=spot.path)
    return await place.ask(spot.route, inner, {spot.path: message.path})


async def mkdir(place: Junction, message: m.Mkdir) -> None:
    """Make a directory; a standing one is there already."""
    spot = place.spot("mkdir", message.path)
    if place.routes.is_standing(spot.names):
        if not message.exist_ok:
            raise place.error("mkdir", message.path, errno.EEXIST)
        if not place.routes.is_top(spot.names):
            return
    inner = attrs.evolve(message, path=spot.path)
    await place.ask(spot.route, inner, {spot.path: message.path})


async def realpath(place: Junction, message: m.Realpath) -> str:
    """Where a path leads: from the composite's top if it is in a route, else as the default says.

    A member may answer with an absolute path; it is counted from that member's own top.
    """
    spot = place.spot("realpath", message.path)
    try:
        real = await place.ask(spot.route, m.Realpath(path=spot.path), {spot.path: message.path})
    except NO_DIRECTORY:
        if not place.routes.is_standing(spot.names):
            raise
        return "/".join(spot.names)
    if spot.route is place.routes.default:
        return real
    return place.routes.outside(spot.route, await _from_its_top(place, message, spot, real))


async def _from_its_top(place: Junction, message: m.Realpath, spot: Spot, real: str) -> str:
    if real.startswith("/"):
        top = await place.ask(spot.route, m.Realpath(path="."))
        real = real.removeprefix(top).strip("/") or "."
    if not _is_inside(place, spot.route, real):
        what = "a link leads to another part of what stands at this route, which has no name here"
        hint = "ask the member that stands there"
        raise PathEscapes("realpath", message.path, what, scope=place.name, hint=hint)
    return real


def _is_inside(place: Junction, route: Route, real: str) -> bool:
    outer = place.routes.outside(route, real)
    return tuple(outer.split("/"))[: len(route.prefix)] == route.prefix


async def run(place: Junction, message: Any) -> object:
    """Anything about programs: they run where the default is, and see no routes."""
    op = op_name(type(message))
    for what in ("cwd", "log"):
        path = getattr(message, what, "")
        if path and place.spot(op, path).route is not place.routes.default:
            command = message.command
            line = command if isinstance(command, str) else " ".join(command)
            reason = f"{what}={path!r} is in a route, and programs run where the default is"
            hint = "ask the route's own backend"
            raise ExecFailed(op, line, reason, scope=place.name, hint=hint)
    try:
        return await place.routes.default.member.ask(message)
    except OperationError as error:
        error.scope = place.name
        raise


async def open_stream(place: Junction, message: m.OpenReader | m.OpenWriter) -> m.Opened:
    """Open a stream on a file; its id says whose it is."""
    spot = place.spot("open_stream", message.path)
    if place.routes.is_standing(spot.names):
        raise place.error("open_stream", message.path, errno.EISDIR)
    inner = attrs.evolve(message, path=spot.path)
    opened = await place.ask(spot.route, inner, {spot.path: message.path})
    number = (place.routes.default, *place.routes.every).index(spot.route)
    return attrs.evolve(opened, id=f"{number}:{opened.id}")


async def of_stream(place: Junction, message: Any) -> object:
    """An operation on an open stream."""
    number, _, id = message.id.partition(":")  # noqa: A001 - the messages' own word
    routes = (place.routes.default, *place.routes.every)
    if not id or not number.isdecimal() or len(number) > 9 or int(number) >= len(routes):
        op = op_name(type(message))
        what, hint = "there is no such open stream", "it ended with its block or scope"
        raise NotFound(op, message.id, what, scope=place.name, hint=hint)
    return await place.ask(routes[int(number)], attrs.evolve(message, id=id), {id: message.id})
