"""What a turn has cost: its tokens and dollars, over all the times that its prompt was sent.

What a program says at the end of a turn is the sum of it; what it said in between counts where that
end never came, or says nothing.
"""

from __future__ import annotations

import attrs

from runner.agents.events import TurnEnded, Usage


@attrs.define(eq=False)
class Spent:
    """What the times before came to, and what is known of this one.

    Attributes:
        usage: what the program has said of this time last.
    """

    usage: Usage | None = None
    _tokens_before: Usage = attrs.field(factory=Usage)
    _dollars_before: float | None = None

    def tokens(self, ended: TurnEnded | None) -> Usage:
        """All tokens; `ended` is what the program said at the end of this time."""
        said = Usage() if ended is None else ended.usage
        return self._tokens_before + (self.usage or said if said == Usage() else said)

    def dollars(self, ended: TurnEnded | None) -> float | None:
        """What all of it cost; None if nobody says it."""
        cost = None if ended is None else ended.cost_usd
        if cost is None or self._dollars_before is None:
            return self._dollars_before if cost is None else cost
        return self._dollars_before + cost

    def again(self, ended: TurnEnded | None) -> Spent:
        """The prompt is going to be sent once more: this time is one of those before."""
        return Spent(None, self.tokens(ended), self.dollars(ended))
