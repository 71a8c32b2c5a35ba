"""A child spec: how to run, bound, restart and end an actor, as data. No rules, no state."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from contextlib import AbstractAsyncContextManager
from typing import Any, TypeAlias

import attrs

from runner.actors.lanes import Lane
from runner.messages import Message

Handle: TypeAlias = Callable[[Message[Any]], object]
"""What an actor gives to have messages carried out: the answer, or a coroutine of the answer."""


def every_message_is_an_effect(_message: Message[Any]) -> Lane:
    """The lane of an actor that carries out one message at a time, whatever it is."""
    return Lane.EFFECT


def nothing_is_held(_handle: Handle) -> bool:
    """What an actor says that has nothing which outlives a message."""
    return False


@attrs.frozen(kw_only=True)
class ChildSpec:
    """How to run, bound, restart and end an actor, as data.

    Attributes:
        key: what it is found by; equal keys are one actor.
        open: enters what the actor owns, in the actor's own task, and gives its handle; left when
            the actor ends. Background tasks live in a nursery inside. A `RunnerError` raised on
            entering is the answer to all who wait. Any other exception, at any time, is a crash;
            so is leaving before the actor is told to.
        lane: how a message takes part in the order.
        place: names from the root of the order; None = an order of its own.
        capacity: how many messages wait before `ask` waits for room; at least 1.
        idle_after: seconds without a message until the actor is reaped.
        holds: whether the actor holds something for its callers that would end with it: a program
            that runs, a stream that is open. Asked when it would be reaped, for its idleness or for
            the room of others; while it says so, the actor stays. It answers at once; an exception
            is a crash.
        max_restarts: crashes within `period` seconds that are made up for by a restart.
        period: seconds; also how long an actor that crashes too often is given up.
        backoff: seconds before the first restart; doubled for each further one within `period`.
    """

    key: Hashable
    open: Callable[[], AbstractAsyncContextManager[Handle]]
    lane: Callable[[Message[Any]], Lane] = every_message_is_an_effect
    place: tuple[str, ...] | None = None
    capacity: int = attrs.field(default=1024, validator=attrs.validators.ge(1))
    idle_after: float = 60.0
    holds: Callable[[Handle], bool] = nothing_is_held
    max_restarts: int = 3
    period: float = 60.0
    backoff: float = 0.05
