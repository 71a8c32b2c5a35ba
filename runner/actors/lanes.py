"""Which operations may run side by side: the order of arrival, as a value. Pure; no trio.

Every message enters at a *place* (a path of names) in a *lane* and is **granted** at once or
later. Places overlap when one's path contains the other's (every place overlaps itself); only
messages at overlapping places wait for each other:

    later ↓ / earlier →   EFFECT   EXEC    OBSERVATION   CONTROL
    EFFECT                waits    waits   waits         -
    EXEC                  waits    waits   waits         -
    OBSERVATION           waits    -       -             -
    CONTROL               -        -       -             -

So effects and execs are carried out one at a time in order of arrival; observations run beside
each other, after every file effect that arrived before them, and do not wait for an exec.

Rules of this file:

1. A ticket is unfinished from `enter` to `leave`. It is granted iff no earlier unfinished ticket
   at an overlapping place is one that it waits for. Nothing else decides.
2. `enter` and `leave` are synchronous and tell who is granted now; waking is the mailbox's work.
3. The tree of places exists as long as somebody is in it: `Order.join` makes nodes,
   `Place.part` removes those that nobody needs any more.
"""

from __future__ import annotations

import enum
from collections import OrderedDict
from collections.abc import Callable, Iterator

import attrs


class Lane(enum.Enum):
    """How a message takes part in the order; see the table above."""

    EFFECT = "effect"
    EXEC = "exec"
    OBSERVATION = "observation"
    CONTROL = "control"

    __hash__ = object.__hash__  # members are singletons; enum's own hash is a Python call


def _nobody() -> None:
    """What is called if nobody waits for the grant."""


@attrs.define(eq=False)
class Ticket:
    """A message's place in the order.

    Attributes:
        lane: how it takes part.
        on_grant: what its bearer wants to be called when it is granted later than at once.
        serial: its number in the order of arrival, from 1.
        granted: whether it may be carried out.
    """

    lane: Lane
    on_grant: Callable[[], object] = _nobody
    serial: int = 0
    granted: bool = False


# An insertion-ordered set of tickets, so that the first is always the earliest.
_Tickets = dict[int, Ticket]
# The same, for taking from the front again and again; and a sixth of a deque's size if empty.
_Queue = OrderedDict[int, Ticket]


@attrs.define(eq=False)
class Place:
    """A node of the tree: the unfinished tickets at one path. Made by `Order.join` only."""

    order: Order
    name: str
    parent: Place | None
    children: dict[str, Place] = attrs.field(factory=dict)
    joined: int = 0
    busy_below: int = 0  # unfinished tickets at the places below, so that idle subtrees are skipped
    effects: _Tickets = attrs.field(factory=dict)
    execs: _Tickets = attrs.field(factory=dict)
    observations: _Tickets = attrs.field(factory=dict)
    waiting_turns: _Queue = attrs.field(factory=OrderedDict)  # effects and execs, ungranted
    waiting_observations: _Queue = attrs.field(factory=OrderedDict)

    def is_free(self, lane: Lane) -> bool:
        """Whether a message that came now would be granted at once."""
        if not self.order.unfinished or lane is Lane.CONTROL:
            return True
        place: Place | None = self
        while place is not None:
            if place.stops(lane):
                return False
            place = place.parent
        return not self.busy_below or not any(each.stops(lane) for each in self._below())

    def stops(self, lane: Lane) -> bool:
        """Whether something unfinished here is to be waited for by what comes now."""
        if self.effects or lane is Lane.OBSERVATION:
            return bool(self.effects)
        return bool(self.execs or self.observations)

    def enter(self, ticket: Ticket) -> bool:
        """Take a ticket in; whether it is granted at once."""
        order = self.order
        order.serial = ticket.serial = order.serial + 1
        if ticket.lane is Lane.CONTROL:
            ticket.granted = True
            return True
        ticket.granted = granted = self.is_free(ticket.lane)
        order.unfinished += 1
        self._mine(ticket.lane)[ticket.serial] = ticket
        above = self.parent
        while above is not None:
            above.busy_below += 1
            above = above.parent
        if not granted:
            order.waiting += 1
            self._waiting(ticket.lane)[ticket.serial] = ticket
        return granted

    def leave(self, ticket: Ticket) -> list[Ticket]:
        """Let a ticket go, granted or not; those that are granted by this, in order of arrival."""
        if ticket.lane is Lane.CONTROL:
            return []
        del self._mine(ticket.lane)[ticket.serial]
        above = self.parent
        while above is not None:
            above.busy_below -= 1
            above = above.parent
        order = self.order
        order.unfinished -= 1
        if not ticket.granted:
            order.waiting -= 1
            del self._waiting(ticket.lane)[ticket.serial]
        granted: list[Ticket] = []
        if not order.waiting:
            return granted
        for place in self._overlapping():
            if place.waiting_turns or place.waiting_observations:
                place._grant(granted)  # noqa: SLF001 - a node of the same tree
        if len(granted) > 1:
            granted.sort(key=_serial)
        return granted

    def part(self) -> None:
        """Undo one `join`; the nodes that nobody needs any more go."""
        self.joined -= 1
        node = self
        while node.parent is not None and not node.joined and not node.children:
            del node.parent.children[node.name]
            node = node.parent

    def _mine(self, lane: Lane) -> _Tickets:
        if lane is Lane.OBSERVATION:
            return self.observations
        return self.effects if lane is Lane.EFFECT else self.execs

    def _waiting(self, lane: Lane) -> _Queue:
        return self.waiting_observations if lane is Lane.OBSERVATION else self.waiting_turns

    def _grant(self, granted: list[Ticket]) -> None:
        # The first of each queue decides: what stops it stops all those behind it as well.
        for queue in (self.waiting_turns, self.waiting_observations):
            while queue and self._may_go(ticket := next(iter(queue.values()))):
                del queue[ticket.serial]
                ticket.granted = True
                self.order.waiting -= 1
                granted.append(ticket)

    def _may_go(self, ticket: Ticket) -> bool:
        return not any(place._holds_back(ticket) for place in self._overlapping())  # noqa: SLF001

    def _holds_back(self, later: Ticket) -> bool:
        if _has_earlier(self.effects, later):
            return True
        if later.lane is Lane.OBSERVATION:
            return False
        return _has_earlier(self.execs, later) or _has_earlier(self.observations, later)

    def _overlapping(self) -> Iterator[Place]:
        """Itself, what is above, and what is busy below; each once."""
        place: Place | None = self
        while place is not None:
            yield place
            place = place.parent
        yield from self._below()

    def _below(self) -> Iterator[Place]:
        stack = list(self.children.values()) if self.busy_below else []
        while stack:
            place = stack.pop()
            yield place
            if place.busy_below:
                stack.extend(place.children.values())


@attrs.define(eq=False)
class Order:
    """One order for all the places that could overlap: the root of the tree.

    Attributes:
        serial: of the last ticket.
        unfinished: how many tickets are between `enter` and `leave`: what is answered at once has
            none, so there are mostly none, and whatever comes is free.
        waiting: how many of them are not granted: mostly none, and then there is nothing to do.
    """

    serial: int = 0
    unfinished: int = 0
    waiting: int = 0
    root: Place = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.root = Place(self, "", None, joined=1)

    def join(self, names: tuple[str, ...]) -> Place:
        """The place at a path, made if need be. Undone by `Place.part`."""
        node = self.root
        for name in names:
            below = node.children.get(name)
            if below is None:
                below = node.children[name] = Place(self, name, node)
            node = below
        node.joined += 1
        return node


def _has_earlier(tickets: _Tickets, later: Ticket) -> bool:
    for serial in tickets:
        return serial < later.serial
    return False


def _serial(ticket: Ticket) -> int:
    return ticket.serial
