"""What a session says of its own turns, besides what its program says, as values.

`runner.agents.events` passes the names on. When it is said is known to the session.
"""

from __future__ import annotations

from datetime import datetime

import attrs


@attrs.frozen(kw_only=True)
class Parked:
    """The turn waits until the provider allows more; its program has been put down.

    Attributes:
        resets_at: when that is, as the program says it.
        until: when the turn goes on; later than that, as many may wait for the same moment.
        text: the program's sentence about the limit.
    """

    resets_at: datetime
    until: datetime
    text: str = ""


@attrs.frozen(kw_only=True)
class BegunAnew:
    """Another conversation is begun: the program does not have the one that was to go on.

    Attributes:
        lost: the id of that one.
        reason: how it is known.
        is_told: whether the next prompt has the turns so far before it, as text.
    """

    lost: str
    reason: str
    is_told: bool


@attrs.frozen(kw_only=True)
class SnapshotTaken:
    """The files at the end of a turn are in a snapshot; or are not, and why.

    Attributes:
        turn: whose end; 0 = before the first.
        snapshot: its name in the workspace; empty if there is none.
        late: it was taken after that, of what was there then.
        trouble: why there is none.
    """

    turn: int
    snapshot: str = ""
    late: bool = False
    trouble: str = ""


@attrs.frozen(kw_only=True)
class Rewound:
    """The session was set back to the end of a turn.

    Attributes:
        turn: that turn; 0 = the beginning.
        files: whether the files were.
        conversation: whether the conversation was.
        undo: the snapshot of the files as they were before; empty if there is none.
        native: whether the program makes the conversation of its own; else it is told it, as text.
    """

    turn: int
    files: bool
    conversation: bool
    undo: str = ""
    native: bool = False
