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
