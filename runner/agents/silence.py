"""What a session says of a turn whose program is silent, as values.

`runner.agents.events` passes their names on. What is done is decided by the session.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal, TypeAlias

import attrs

RungAct: TypeAlias = Literal["note", "interrupt", "revive", "fail"]


@attrs.frozen(kw_only=True)
class Signs:
    """What could be seen of a program when something was done about its silence.

    Attributes:
        unheard: seconds since its last message.
        still: seconds since its last sign of life: a message, any output, work of its processes.
        messages: from it in this turn, or since this was begun again.
        output: bytes of it, likewise, whether they were messages or not.
        cpu: seconds of processor time that its processes have used, likewise; None if not known.
        processes: how many it has; 0 if not known.
        tools: that it says are at work.
    """

    unheard: float
    still: float
    messages: int
    output: int
    cpu: float | None
    processes: int
    tools: tuple[str, ...] = ()


@attrs.frozen(kw_only=True)
class SilenceRung:
    """A rung of the ladder that a silent program is met with.

    Attributes:
        act: the silence is noted; the turn is interrupted, and begun again if that helps; the
            program is ended, and another goes on with the turn; or the turn fails.
        at: when, in UTC.
        signs: what was seen then.
    """

    act: RungAct
    at: datetime
    signs: Signs
