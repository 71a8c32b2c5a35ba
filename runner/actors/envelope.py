"""A message on its way through a mailbox. Values only: mailbox.py changes them, and says when."""

from __future__ import annotations

import enum
from typing import Any

import attrs
import trio

from runner.actors.lanes import Ticket
from runner.errors import RunnerError
from runner.messages import Message


class Phase(enum.Enum):
    """How far an envelope has come; see the picture above."""

    OUTSIDE = "outside"
    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"


@attrs.define(eq=False)
class Envelope:
    """A message and the way back to its asker.

    Attributes:
        posted: when it came, on trio's clock.
        cancel_scope: around its coroutine, if the handle gave one.
        asker: the task that sleeps for it; None while that is awake.
        has_begun: whether the handle has been called: from then on it may have had effects.
        verdict: what the asker is told if the mailbox ends the message.
    """

    message: Message[Any]
    phase: Phase
    posted: float
    ticket: Ticket
    cancel_scope: trio.CancelScope | None = None
    asker: trio.lowlevel.Task | None = None
    has_begun: bool = False
    verdict: RunnerError | None = None
