"""Actors for tests: each message brings its own work, and the actor tells what it owned when."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import attrs
import pytest
import trio

from runner.actors import ChildSpec, Handle, Lane
from runner.messages import Message


@attrs.frozen
class Do(Message[Any]):
    """Work for an actor: a function that gives the answer, or a coroutine of the answer."""

    work: Callable[[], object]
    lane: Lane = Lane.EFFECT


def lane_of(message: Message[Any]) -> Lane:
    assert isinstance(message, Do)
    return message.lane


async def nothing() -> None:
    """What an actor does on entering and on leaving, if nothing else is said."""


@attrs.define(eq=False, slots=False)
class Actor:
    """An actor that carries out what its messages bring.

    Attributes:
        entering, leaving: what it does before it gives its handle, and after it is told to go.
        opened, closed: how often it began and ended to own something.
        owns: whether it owns it now.
        spec: its child spec.
    """

    name: str
    entering: Callable[[], Awaitable[object]] = nothing
    leaving: Callable[[], Awaitable[object]] = nothing
    background: trio.Nursery | None = None
    opened: int = 0
    closed: int = 0
    owns: bool = False
    spec: ChildSpec = attrs.field(init=False)

    @asynccontextmanager
    async def open(self) -> AsyncGenerator[Handle, None]:
        if self.owns:  # an AssertionError would be one more crash
            pytest.fail("the one before has not freed it")
        self.opened += 1
        self.owns = True
        try:
            async with trio.open_nursery() as self.background:
                await self.entering()
                yield self.handle
                self.background.cancel_scope.cancel(reason="the actor goes")
        finally:
            try:
                await self.leaving()
            finally:
                self.owns = False
                self.closed += 1

    @asynccontextmanager
    async def open_bare(self) -> AsyncGenerator[Handle, None]:
        """As `open`, without a nursery, so that errors on entering stay as they are."""
        self.opened += 1
        try:
            await self.entering()
            yield self.handle
        finally:
            self.closed += 1

    def handle(self, message: Message[Any]) -> object:
        assert isinstance(message, Do)
        return message.work()


@pytest.fixture
def do() -> type[Do]:
    """The class of messages that bring their own work."""
    return Do


@pytest.fixture
def actor() -> Callable[..., Actor]:
    """Make an actor with its spec: `actor("name", entering=..., leaving=..., **of_the_spec)`."""

    def make(name: str = "it", *, bare: bool = False, **options: Any) -> Actor:
        ways = {k: options.pop(k) for k in ("entering", "leaving") if k in options}
        made = Actor(name, **ways)
        way_in = made.open_bare if bare else made.open
        made.spec = ChildSpec(key=name, open=way_in, lane=lane_of, **options)
        return made

    return make
