"""The actor of a scope: it owns a backend and carries the scope's operations out, in order.

The order itself is the mailbox's (actors/lanes.py); which lane an operation takes stands in the
table here. What it does not do: anything with files or processes; that is the backend's.
"""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, get_args

import attrs
import trio

from runner import messages as m
from runner.actors import ChildSpec, Handle, Lane, Supervisor
from runner.backends.base import LATER, Backend
from runner.backends.straight import Resolved
from runner.messages import AnswerT, Message
from runner.scopes.leave import Given
from runner.scopes.scope import Ground

LANES: dict[type[Message[Any]], Lane] = {
    **dict.fromkeys(get_args(m.Observation), Lane.OBSERVATION),
    **dict.fromkeys(get_args(m.Effect), Lane.EFFECT),
    m.Exec: Lane.EXEC,
    m.Start: Lane.EXEC,
    **dict.fromkeys(get_args(m.Guiding), Lane.CONTROL),
    # Nobody sees what they do: a file as it was, or what is not yet in its place.
    **dict.fromkeys(get_args(m.Streaming), Lane.CONTROL),
}

CLOSING = 5.0  # seconds that a backend gets to free what it holds when its worker is cancelled


@attrs.define(eq=False)
class WorkerAsker:
    """The way from a scope's handle to its worker in this process.

    Attributes:
        make_backend: a new backend for a ground; nothing may happen before its first operation.
        idle_after: seconds without an operation until the backend is closed.
    """

    supervisor: Supervisor
    ground: Ground
    make_backend: Callable[[Ground], Backend]
    idle_after: float
    _spec: ChildSpec | None = None
    _looking: Backend | None = None

    def __call__(self, message: Message[AnswerT], /) -> Coroutine[Any, Any, AnswerT]:
        """Have an operation carried out by the worker, which is started if need be."""
        if self._spec is None:
            self._spec = worker_spec(self.ground, self.make_backend, idle_after=self.idle_after)
        return self.supervisor.ask(self._spec, message)

    def resolve(self, op: str, path: str, *, entry: bool) -> Resolved:
        """Where a path leads, by a backend that does nothing else: short, and out of the order."""
        if self._looking is None:
            self._looking = self.make_backend(self.ground)
        return self._looking.resolve(op, path, entry=entry)


def worker_spec(
    ground: Ground, make_backend: Callable[[Ground], Backend], *, idle_after: float
) -> ChildSpec:
    """The worker of a scope, as data; scopes on the same ground share one."""

    @asynccontextmanager
    async def open_worker() -> AsyncGenerator[Handle, None]:
        backend = make_backend(ground)
        try:
            yield partial(carry_out, backend)
        finally:
            with trio.move_on_after(CLOSING, shield=True):
                await backend.aclose()

    return ChildSpec(
        key=ground,
        open=open_worker,
        lane=lane_of,
        place=tuple(map(sys.intern, os.path.realpath(ground.directory).split("/")[1:])),
        idle_after=idle_after,
        holds=holds,
    )


def holds(handle: Handle) -> bool:
    """Whether a worker has something for its callers, so that it must not be reaped."""
    return isinstance(handle, partial) and bool(handle.args[0].holds())


def carry_out(backend: Backend, message: Message[AnswerT]) -> AnswerT | Awaitable[AnswerT]:
    """The handle: short work is answered at once, for the rest there is a coroutine."""
    answer = backend.answer_now(message)
    return backend.carry_out(message) if answer is LATER else answer


def lane_of(message: Message[Any]) -> Lane:
    """The lane of an operation; of a question none, since it may take as long as who is asked."""
    lane = LANES.get(type(message))
    if lane is None:
        lane = LANES[type(message.message)] if isinstance(message, Given) else Lane.CONTROL
    return lane
