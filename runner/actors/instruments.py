"""What a mailbox and a supervisor show of themselves: frozen counts. Pure."""

from __future__ import annotations

import attrs


@attrs.frozen(kw_only=True)
class MailboxStatistics:
    """A mailbox at one moment.

    Attributes:
        is_served: whether its actor is there.
        outside: messages that wait for room.
        queued: messages that wait for their turn, or for the actor.
        running: messages that are being carried out.
        taken: messages that have begun since the mailbox was opened.
        idle: seconds since the last message; 0 while there is one.
        waited: seconds that the message waits that has waited longest; 0 if none does.
    """

    is_open: bool
    is_served: bool
    outside: int
    queued: int
    running: int
    taken: int
    idle: float
    waited: float


@attrs.frozen(kw_only=True)
class SupervisorStatistics:
    """A supervisor at one moment; the counts are since it was opened."""

    mailboxes: int
    actors: int
    starting: int
    started: int
    crashed: int
    reaped: int
    gave_up: int
    is_closing: bool
