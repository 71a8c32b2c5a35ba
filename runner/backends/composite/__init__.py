"""The composite backend: several backends or scopes as one, each at a place of its own.

    CompositeBackend(LocalBackend("work"), {"memories": MemoryBackend(), "shared/docs": scope})

Model. A path belongs to the route with the longest prefix, else to the default (routes.py). The two
modes: with `strip`, a member sees paths without the prefix (`memories/a` is its `a`), and what it
answers gets it back; without, it is asked for the path as it is. Lists and searches put the parts
of all members together, capped and counted exactly (parts.py). Programs run where the default is.

Members are asked one after the other. Each promises for itself; what goes over several (a move from
one to another, a search) is no more one moment than several operations are.

What this does not do: order (a scope's), permissions (a wrapper's, around it); and it is no
boundary: a link of the default may lead to what a route hides (behind permissions it may not).
"""

from __future__ import annotations

import copy
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, cast, get_args

import attrs

from runner import messages as m
from runner.backends.base import Backend
from runner.backends.composite import (
    carrying,
    listing,
    moving,
    resolving,
    searching,
    single,
)
from runner.backends.composite.junction import Junction
from runner.backends.composite.routes import Routes
from runner.backends.straight import Resolved
from runner.messages import AnswerT, Message
from runner.operations import Asking

BY: dict[type[Message[Any]], Callable[[Junction, Any], Awaitable[object]]] = {
    m.Read: single.at_file,
    m.Stat: single.stat,
    m.Exists: single.exists,
    m.Ls: listing.ls,
    m.Glob: searching.glob,
    m.Grep: searching.grep,
    m.ReadLines: single.at_file,
    m.Digest: single.at_file,
    m.Realpath: single.realpath,
    m.Download: carrying.download,
    m.Tree: listing.tree,
    m.ListKeys: listing.list_keys,
    m.Write: single.at_file,
    m.Append: single.at_file,
    m.Edit: single.at_file,
    m.EditLines: single.at_file,
    m.Touch: single.at_file,
    m.Mkdir: single.mkdir,
    m.Chmod: single.at_path,
    m.Copy: moving.copy,
    m.Move: moving.move,
    m.Remove: moving.remove,
    m.Upload: carrying.upload,
    m.Batch: carrying.batch,
    m.OpenReader: single.open_stream,
    m.OpenWriter: single.open_stream,
    m.CommitStream: single.of_stream,
    **dict.fromkeys(get_args(m.Streaming), single.of_stream),
}


class CompositeBackend(Backend):
    """Several backends or scopes as one.

    Args:
        default: what no route covers; programs run there.
        routes: relative paths, and what stands there. The longest that fits counts.
        strip: whether members see paths without their prefix.

    Raises:
        ConfigError: a route is no relative path below the top, or stands there twice.
    """

    def __init__(
        self, default: Asking, routes: Mapping[str, Asking], *, strip: bool = True
    ) -> None:
        self._junction = Junction(
            Routes(default, routes, strip=strip), f"composite of {default.name}"
        )

    def __repr__(self) -> str:
        routes = self._junction.routes
        inside = ", ".join("/".join(each.prefix) for each in routes.every)
        return f"<CompositeBackend of {routes.default.member!r} with {inside or 'no routes'}>"

    @property
    def name(self) -> str:
        """What errors call it."""
        return self._junction.name

    async def carry_out(self, message: Message[AnswerT], /) -> AnswerT:
        """Carry out a message: by the function that the table names, else it is about programs."""
        work = BY.get(type(message), single.run)
        return cast("AnswerT", await work(self._junction, message))

    def straight(self) -> CompositeBackend:
        """The same tree, in which no link is followed.

        Raises:
            ConfigError: a member has no such view.
        """
        other = copy.copy(self)
        other._junction = attrs.evolve(  # noqa: SLF001 - of the same class
            self._junction, routes=self._junction.routes.straight()
        )
        return other

    def resolve(self, op: str, path: str, *, entry: bool = False) -> Resolved:
        """Where a path leads, as its member says."""
        return resolving.resolve(self._junction, op, path, entry=entry)

    def holds(self) -> bool:
        """Whether a member holds something."""
        return any(
            each.holds() for each in self._junction.routes.members() if isinstance(each, Backend)
        )

    async def aclose(self) -> None:
        """Close those members that are backends; scopes belong to their runner."""
        for member in self._junction.routes.members():
            if isinstance(member, Backend):
                await member.aclose()
