"""What the ledger of sessions knows, as values: a session, its turns, the runs that carried it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, TypeAlias

import attrs

Standing: TypeAlias = Literal["open", "parked", "closed"]


@attrs.define(kw_only=True)
class Record:
    """What must be known to go on with a session; a row of the ledger.

    Attributes:
        agent: the agent's name.
        setup: how it is opened again, as JSON without credentials (opening.py); empty = only who
            made it can.
        program: what was started last.
        program_version: as the program says it.
        program_sha256: of the program's file, in hexadecimal digits; empty = not known.
        directory: where it works; conversations belong to their directory.
        private: its private directory.
        conversation: the id that the program knows, or the one to begin with.
        resume: whether the program has begun that conversation.
        turns: how many turns have begun.
        last_good: the number of the last turn that came to a good end; 0 if none did.
        in_flight: the number of the turn that is being carried out; 0 if there is none.
        cut: whether the last turn was cut off, which its successor has to be told.
        standing: whether there may be another turn; `parked`, if the one in flight waits for its
            provider.
        parent: the session that it is a fork of; `parent_turn` is the last turn it has of it.
        origin: the conversation that the program is to make a copy of; empty = none.
        history: the program's own file of that.
        marker: after which turn of that; empty = its end.
        context: whether the first prompt is to have the earlier turns before it (forking.py).
        created: when it was first written, ISO 8601, UTC; `updated` is the last time.
        head: the turn at whose end the conversation stands: the last one, until it is set back.
        rewound: the turn to which it was set back last; 0 = to its beginning, or never.
        note: what its program is still to be told about that, before the next prompt.
    """

    id: str
    agent: str
    setup: str = ""
    program: str = ""
    program_version: str = ""
    program_sha256: str = ""
    directory: str
    private: str = ""
    conversation: str
    resume: bool = False
    turns: int = 0
    last_good: int = 0
    in_flight: int = 0
    cut: bool = False
    standing: Standing = "open"
    parent: str = ""
    parent_turn: int = 0
    origin: str = ""
    history: str = ""
    marker: str = ""
    context: bool = False
    created: str = ""
    updated: str = ""
    head: int = 0
    rewound: int = 0
    note: str = ""


@attrs.frozen(kw_only=True)
class PastTurn:
    """What the ledger knows of a turn.

    Attributes:
        state: `begun`, `ok`, `cut`, or the class of its error.
        prompt: only of a turn that has not come to a good end.
        cursor: where the transcript has its prompt.
        conversation: the id that the program had for the conversation in which it was.
        follows: the turn before it in that conversation; 0 = there is none.
        snapshot: of the files at its end, its name in the workspace; empty if there is none.
        snapshot_note: why there is none, or that it was taken later.
    """

    number: int
    state: str
    prompt: str | None
    began: str
    ended: str | None
    error_text: str
    marker: str
    tokens: int
    cost_usd: float | None
    cursor: int
    conversation: str = ""
    follows: int = 0
    snapshot: str = ""
    snapshot_note: str = ""


@attrs.frozen(kw_only=True)
class PastProcess:
    """A run that has, or had, a program of a session.

    Attributes:
        run: its id, which is in the environment of all that it starts.
        pid: of the program; 0 if that is not known.
    """

    run: str
    pid: int
    began: str


@attrs.frozen(kw_only=True)
class PastRewind:
    """A session was set back to the end of a turn, or was about to be.

    Attributes:
        id: its number.
        turn: that turn; 0 = the beginning.
        files: whether the files were, and `conversation` that.
        head: the turn at whose end the conversation stood before.
        undo: the snapshot of the files as they were before; empty if there is none.
        began: when.
        ended: when it was done; None = it is about to be.
    """

    id: int
    turn: int
    files: bool
    conversation: bool
    head: int
    undo: str
    began: str
    ended: str | None


def lineage(turns: Iterable[PastTurn], head: int) -> frozenset[int]:
    """The turns that a conversation has which stands at the end of one: those it follows, too."""
    follows = {each.number: each.follows for each in turns}
    found: set[int] = set()
    while head > 0:
        found.add(head)
        head = follows.get(head, head - 1)
    return frozenset(found)
