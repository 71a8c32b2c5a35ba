"""Leave: what was asked about a message before it took its place in the scope's order.

Model. A question may take as long as a human takes, and who is asked may want to look at the files.
So a scope's handle has it asked beside the order (`Foresee`), and only then sends the message, with
the leave that was given (`Given`). In its turn the message is judged anew: what was asked about is
done; what would have to be asked about by then, and was not, is denied.

What this does not do: judge or ask (permitted.py).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeAlias

import attrs

from runner import messages as m
from runner.errors import Denied
from runner.messages import AnswerT, Message
from runner.scopes.concerns import FIELDS, MANY
from runner.scopes.permissions import KINDS, Grant, Kind

Targets: TypeAlias = frozenset[tuple[Kind, str]]


@attrs.frozen(kw_only=True)
class Leave:
    """What was allowed by those who were asked.

    Attributes:
        targets: what they were asked about, and where else that led.
        refused: why they did not allow it; of a message that answers for many, which goes on.
    """

    targets: Targets = frozenset()
    refused: Denied | None = None


@attrs.frozen
class Foresee(Message[Leave | None]):
    """Ask about a message whatever there is to be asked; None = nothing is."""

    message: Message[Any]


@attrs.frozen
class Given(Message[AnswerT]):
    """A message, and the leave that it has."""

    message: Message[AnswerT]
    leave: Leave


def kinds_asked(grants: Iterable[Grant]) -> frozenset[Kind]:
    """The kinds of operations about which somebody is there to be asked."""
    every = list(grants)
    if all(each.permissions.ask is None for each in every):
        return frozenset()  # the default answers: that takes no time
    return frozenset(
        kind for kind in KINDS if any(each.permissions.rules.may(kind, "ask") for each in every)
    )


def needs_leave(message: Message[Any], asked: frozenset[Kind]) -> bool:
    """Whether somebody may have to be asked about a message."""
    if isinstance(message, m.Batch):
        return any(needs_leave(each, asked) for each in message.effects)
    if isinstance(message, m.Exec | m.Start) and "execute" in asked:
        return True
    many = MANY.get(type(message))
    fields = FIELDS.get(type(message), ()) if many is None else (many,)
    return any(not asked.isdisjoint(each.kinds) for each in fields)
