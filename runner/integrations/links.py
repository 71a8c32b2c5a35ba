"""Links as frameworks expect them: absolute ones, too, if they lead to a place in the scope.

Model. A scope follows no absolute link, wherever it points. Whoever is shown the scope's files by
their absolute paths will make such links, though; so where the scope refuses a path, an adapter
has its links resolved here, name by name as `os.path.realpath` does, and tries the outcome.

What it does not do: contain anything. What comes of it is a path like any other: the scope looks at
it again, and refuses what leads out, also if a link has changed meanwhile.
"""

from __future__ import annotations

import posixpath
from collections.abc import Awaitable, Callable
from typing import TypeVar

from runner import errors as e
from runner.scopes.scope import Scope

MOST = 40  # links that are followed for one path, as Linux does
T = TypeVar("T")


async def reach(scope: Scope, path: str, work: Callable[[str], Awaitable[T]]) -> T:
    """Have work done on a path; on where its links lead, if the scope refuses the path itself."""
    try:
        return await work(path)
    except e.PathEscapes as error:
        refused = error
    real = await realpath(scope, path)
    if real == path:
        raise refused
    return await work(real)


async def reach_entry(scope: Scope, path: str, work: Callable[[str], Awaitable[T]]) -> T:
    """As `reach`, for work on the entry itself, which may be a link."""
    try:
        return await work(path)
    except e.PathEscapes as error:
        refused = error
    above, _, name = path.rstrip("/").rpartition("/")
    real = posixpath.join(await realpath(scope, above or "/"), name)
    if real == path:
        raise refused
    return await work(real)


async def realpath(scope: Scope, path: str) -> str:
    """Where an absolute path leads, as `os.path.realpath` would say it.

    Raises:
        PathEscapes: out of the scope, by its names or by a link.
        InvalidPath: there are more links than are followed.
    """
    top = await scope.realpath(".")
    tops = (top, scope.directory)
    here: list[str] = []
    todo = _names(path, tops, path)
    followed = 0
    while todo:
        name = todo.pop()
        if name == "..":
            if not here:
                raise e.PathEscapes("realpath", path)
            here.pop()
            continue
        target = await _target(scope, here, name)
        if target is None:
            here.append(name)
            continue
        followed += 1
        if followed > MOST:
            raise e.InvalidPath("realpath", path, "too many links, or links in a circle")
        if target.startswith("/"):
            here.clear()
            todo += _names(target, tops, path)
        else:
            todo += _reversed(target)
    return posixpath.join(top, *here)


async def _target(scope: Scope, here: list[str], name: str) -> str | None:
    """The target of a link; None for whatever else is there or is not."""
    try:
        listing = await scope.ls("/".join(here) or ".", limit=1 << 62)
    except (e.NotFound, e.WrongType, e.PermissionDenied):
        return None
    for each in listing.entries:
        if each.name == name:
            return each.target
    return None


def _names(path: str, tops: tuple[str, ...], asked: str) -> list[str]:
    """The names of an absolute path from the scope on, the last one first."""
    for top in tops:
        if path == top or path.startswith(top.rstrip("/") + "/"):
            return _reversed(path[len(top) :])
    raise e.PathEscapes("realpath", asked)


def _reversed(path: str) -> list[str]:
    return [each for each in reversed(path.split("/")) if each not in ("", ".")]
