"""Where a local backend works: its root, and what runs programs for it."""

from __future__ import annotations

import copy
import functools
import os
from collections.abc import Iterable, Mapping
from types import MappingProxyType

import trio

from runner.backends.beneath import Opener
from runner.backends.failures import Answers
from runner.backends.leftovers import Leftovers
from runner.backends.lines import LineIndexes
from runner.backends.open_files import Streams
from runner.backends.roots import Root
from runner.backends.straight import Resolved, resolved
from runner.messages import Isolation
from runner.messages.isolation import Decided
from runner.processes.background import Backgrounds
from runner.processes.environment import base_environment
from runner.processes.host import ProcessHost
from runner.processes.kept import Kept

NO_ENV: Mapping[str, str] = MappingProxyType({})
SHARED = ("indexes", "leftovers", "backgrounds", "kept", "streams")  # with its straight view


class Place:
    """What the operations of a local backend work on.

    Attributes:
        root: the directory, opened at first use.
        env: variables for every program, on top of the allow-listed ones.
        isolation: what holds programs inside; None = nothing does.
        decided: told what the network's proxy decides, if there is one.
    """

    def __init__(
        self,
        root: Root,
        *,
        host: ProcessHost | None,
        env: Mapping[str, str],
        isolation: Isolation | None = None,
        decided: Decided | None = None,
    ) -> None:
        """Nothing is touched yet."""
        self.root = root
        self.env = dict(env) if env else NO_ENV
        self.isolation, self.decided = isolation, decided
        self._host = host
        self._own_host: ProcessHost | None = None

    @property
    def name(self) -> str:
        """What errors call it."""
        return self.root.path

    @property
    def forced(self) -> Opener:
        """The way of containment that was asked for."""
        return self.root.forced

    def answers(self, op: str, path: str) -> Answers:
        """Makes an OSError the answer of an operation."""
        return self.root.answers(op, path)

    # Most places never need these, and there may be ten thousand of them.

    @functools.cached_property
    def indexes(self) -> LineIndexes:
        """Where the lines of large files are."""
        return LineIndexes()

    @functools.cached_property
    def leftovers(self) -> Leftovers:
        """Temporary files of processes that are no more."""
        return Leftovers()

    @functools.cached_property
    def backgrounds(self) -> Backgrounds:
        """Programs that run beside other operations."""
        return Backgrounds()

    @functools.cached_property
    def kept(self) -> set[Kept]:
        """What commands have left running on request."""
        return set()

    @functools.cached_property
    def streams(self) -> Streams:
        """Files that are open."""
        return Streams()

    @functools.cached_property
    def inherited(self) -> dict[str, str]:
        """The allow-listed variables; taken once, since `os.environ` decodes each at every look."""
        return base_environment(os.environ)

    def environment(self, variables: Iterable[tuple[str, str]]) -> dict[str, str]:
        """The environment of a program that is given these variables."""
        return {**self.inherited, **self.env, **dict(variables)}

    def programs(self) -> ProcessHost:
        """What runs programs: the host that was given, or one of our own from its first use on."""
        if self._host is not None:
            return self._host
        if self._own_host is None:
            self._own_host = ProcessHost()
        return self._own_host

    def straight(self) -> Place:
        """The same place, in which no link is followed."""
        for shared in SHARED:
            getattr(self, shared)
        other = copy.copy(self)
        other.root = self.root.straight()
        return other

    def resolve(self, op: str, path: str, *, entry: bool) -> Resolved:
        """Where a path leads, links followed."""
        with self.answers(op, path):
            route = self.root.route(op, path)
            try:
                beneath = self.root.open(make=False)
            except FileNotFoundError:
                beneath = None
            return resolved(
                beneath, route, entry=entry, root=self.root.path, real_root=self.root.real
            )

    def holds(self) -> bool:
        """Whether something of it lives on between operations."""
        made = vars(self)
        if kept := made.get("kept"):
            kept.difference_update([each for each in kept if each.is_over()])
        if kept or made.get("streams"):
            return True
        return "backgrounds" in made and self.backgrounds.is_any_running()

    async def aclose(self) -> None:
        """End what still runs here, and let go of the directory."""
        self.root.close()
        self.streams.close()
        await self._end_programs()
        host, self._own_host = self._own_host, None
        if host is not None:
            await host.aclose()

    async def _end_programs(self) -> None:
        kept = tuple(self.kept)
        self.kept.clear()
        if not kept and not self.backgrounds.is_any_running():
            return
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.backgrounds.aclose)
            for each in kept:
                nursery.start_soon(each.aclose)
