"""What is said to a session, and what it answers: values only.

`Send` is one turn and `Turn` what came of it. A turn that failed is an answer like any other: what
went wrong is in `error`. Errors are raised only for what keeps a turn from beginning.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import PurePosixPath
from typing import Literal, TypeAlias

import attrs

from runner.agents.driver import PLAIN, TurnOptions
from runner.agents.events import (
    ApprovalDecided,
    CostSource,
    ErrorClass,
    Event,
    Rewound,
    SilenceRung,
    Usage,
)
from runner.messages import InForce, Limit, Message


@attrs.frozen(kw_only=True)
class Turn:
    """One prompt, and what came of it.

    Attributes:
        number: from 1, counted over the whole life of the session, failed turns included.
        ok: it came to a good end: not just an exit code of 0.
        exit_code: of the program, if it ended in this turn: 0 to 255, or minus a signal's number.
        final_message: what the agent said at the end.
        duration: seconds, from the moment it was this turn's turn.
        files_created: relative to the session's directory, sorted; likewise the next three.
        files_renamed: pairs (from, to).
        shared: whether another session was at work in the same directory, or in one inside the
            other, in the meantime: some of the changes may be its own.
        usage: tokens of this turn.
        cost_usd: of this turn; None if nobody says it. `cost_source` says who does.
        stop: the program's own word for how the turn ended; `cut` if it had none.
        error: why it is not ok, as a class.
        error_text: the same as a sentence.
        resets_at: when the provider allows more, if it said so.
        session_id: the session's own id.
        conversation: the id by which the program knows the conversation.
        cmd: the program and its arguments.
        raw: the program's own record of the end.
        stdout_tail: the end of what the program wrote in this turn, undecodable bytes replaced.
        stderr_tail: likewise, of its standard error.
        leftovers: processes that the turn left running and that were ended after it.
        isolation: what held the program; None = nothing was asked for, or none was started.
        limit_exceeded: which limit ended it, or one of its processes.
        approvals: what the agent asked for, and what was decided.
        rungs: what was done about silences of its program, and what was seen of it then.
        parked: seconds that it has waited, without a program, until its provider allowed more.
        structured: the answer as its schema has it; None if it had none.
        marker: what the program needs to go back to the end of this turn; empty if it cannot.
        unrecorded: why the session's recording ends before it; empty if it does not.
        snapshot: the name, in the workspace, of the snapshot of the files at its end; empty if
            there is none.
        snapshot_note: why there is none, though there should be; or what is to be said of the one
            of the turn before.
    """

    number: int
    ok: bool
    exit_code: int | None = None
    final_message: str = ""
    duration: float = 0.0
    files_created: tuple[PurePosixPath, ...] = ()
    files_modified: tuple[PurePosixPath, ...] = ()
    files_deleted: tuple[PurePosixPath, ...] = ()
    files_renamed: tuple[tuple[PurePosixPath, PurePosixPath], ...] = ()
    shared: bool = False
    usage: Usage = attrs.field(factory=Usage)
    cost_usd: float | None = None
    cost_source: CostSource = "none"
    stop: str = ""
    error: ErrorClass | None = None
    error_text: str = ""
    resets_at: datetime | None = None
    session_id: str = ""
    conversation: str = ""
    cmd: tuple[str, ...] = ()
    raw: Mapping[str, object] = attrs.field(factory=dict)
    stdout_tail: str = ""
    stderr_tail: str = ""
    leftovers: int = 0
    isolation: InForce | None = None
    limit_exceeded: Limit | None = None
    approvals: tuple[ApprovalDecided, ...] = ()
    rungs: tuple[SilenceRung, ...] = ()
    parked: float = 0.0
    structured: object = None
    marker: str = ""
    unrecorded: str = ""
    snapshot: str = ""
    snapshot_note: str = ""


WhenBusy: TypeAlias = Literal["queue", "steer", "interrupt", "refuse"]


@attrs.frozen(kw_only=True)
class Send(Message[Turn]):
    """Carry out one turn.

    Attributes:
        prompt: reaches the agent verbatim.
        timeout: seconds for the whole turn, the start of the program included; None = no limit.
        asked: when it was asked for, on trio's clock here; None if that is not known. What was
            asked for while the turn before it ran follows that turn directly.
        options: what holds for it.
        urgent: the turn in flight is to make way, and this is next.
        silence: seconds that its program may be silent; None = as long as it likes.
        max_park: seconds that it may wait in all for its provider to allow more; None = none.
    """

    prompt: str
    timeout: float | None = None
    asked: float | None = attrs.field(default=None, eq=False)
    options: TurnOptions = PLAIN
    urgent: bool = False
    silence: float | None = None
    max_park: float | None = None


@attrs.frozen(kw_only=True)
class Steer(Message[Turn | None]):
    """Let the turn in flight have another prompt; what comes of it. None: it could not."""

    prompt: str


@attrs.frozen(kw_only=True)
class Warm(Message[bool]):
    """Have a program that waits for a prompt; whether there is one now."""


@attrs.frozen(kw_only=True)
class Interrupt(Message[bool]):
    """End the turn in flight; the answer is whether there was one."""


@attrs.frozen(kw_only=True)
class Close(Message[None]):
    """End the turn in flight and the program; nothing can be sent afterwards."""


@attrs.frozen(kw_only=True)
class Rewind(Message[Rewound]):
    """Set the session back to the end of a turn.

    Attributes:
        turn: that turn; 0 = the beginning.
        files: whether the files are set back.
        conversation: whether the conversation is.
        force: whether changes of files may go that are in no snapshot.
    """

    turn: int
    files: bool = True
    conversation: bool = True
    force: bool = False


@attrs.frozen(kw_only=True)
class SessionEvent:
    """Something that happened in a session.

    Attributes:
        turn: the number of the turn in which it happened; 0 if it was outside of any.
        cursor: where it stands in the session's transcript: `Session.events(since=cursor)` goes on
            after it. A partial text has that of what came before it; 0 if there is no transcript.
        lost: about how many lines of the transcript are missing before it, as the disk had no room
            for them; 1 = some, if who lost them did not live to count. Only what is told from a
            transcript says so.
    """

    turn: int
    event: Event
    cursor: int = 0
    lost: int = 0
