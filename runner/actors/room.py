"""Who has room, where actors are bounded: which start, and which leave so that others can. Pure.

Nothing is changed here: the supervisor does what these functions say.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Collection, Iterable, Mapping

from runner.actors.mailbox import Mailbox


def admit(
    waiting: Iterable[Mailbox], actors: Mapping[object, Mailbox], limit: int | None
) -> tuple[list[Mailbox], list[Mailbox], int]:
    """Find out who may start.

    Args:
        waiting: the mailboxes without an actor, the oldest first.
        actors: those with one, by key.
        limit: how many there may be; None = any number.

    Returns:
        Those who start; those whom nobody waits for; how many more want room.
    """
    starting: dict[object, Mailbox] = {}
    forlorn: list[Mailbox] = []
    wanted = 0
    for mailbox in waiting:
        key = mailbox.spec.key
        if key in actors or key in starting:
            continue  # the one before has not freed what it owned
        if limit is None or len(actors) + len(starting) < limit:
            starting[key] = mailbox
        elif not mailbox.is_busy:
            forlorn.append(mailbox)  # its askers did not wait for room
        elif mailbox.has_turn:
            wanted += 1
            if wanted == limit:
                break
    return list(starting.values()), forlorn, wanted


def who_leaves(
    actors: Collection[Mailbox], wanted: int
) -> tuple[list[Mailbox], list[Mailbox], int]:
    """Choose as many as are wanted, beside those who are leaving already.

    The longest idle come first. Then those whose messages wait for messages of others: what they
    wait for may be waiting for their room. The rest has work to do, and tells when it has no more;
    or it holds something for its callers, and has to be asked again.

    Returns:
        Those who are to be reaped; those who are to be evicted; and how many more are wanted, for
        whom nobody can go: what is at work or held is to come to its end.
    """
    staying = [mailbox for mailbox in actors if mailbox.is_staying]
    wanted = max(0, wanted - (len(actors) - len(staying)))
    idle = [mailbox for mailbox in staying if not mailbox.is_busy and not mailbox.is_held]
    reaped = heapq.nsmallest(wanted, idle, key=lambda each: each.last_used)
    blocked = (each for each in staying if each.is_blocked and not each.is_held)
    evicted = list(itertools.islice(blocked, wanted - len(reaped)))
    return reaped, evicted, wanted - len(reaped) - len(evicted)
