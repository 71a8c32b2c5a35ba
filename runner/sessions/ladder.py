"""The ladder that a silent program is met with: when something is done about it, and what. Pure.

    note ──► interrupt ──► revive ──► fail

Silent is a program that gives no sign of life. Signs are, from the strongest to the weakest:

1. A message of the protocol. After it everything begins anew.
2. Other output, and processor time that its processes use (`BUSY`). Who shows only these may be at
   work, or go round in circles: so they count, but not for longer than `PATIENCE` times the limit.
3. A tool that the program says is at work. The model has nothing to say then, and its silence does
   not count; the tool's own does, for `PATIENCE` times the limit: no output, no processor time.
   As long as the tool uses any, it may take as long as it likes (the turn's deadline is for that).

While the program waits for a decision, or has said that it asks its provider again later, it is not
silent. At half of the limit the silence is noted; at the limit, and each time that it is reached
again in the turn, the next rung is taken. A program that serves one turn only cannot be interrupted
or go on with what was cut: it is noted, and failed.

What is not here: how it is seen and done (climbing.py).
"""

from __future__ import annotations

import math
from datetime import UTC, datetime

import attrs

from runner.agents.events import RungAct, Signs, SilenceRung
from runner.processes.usage import TICK, TreeUsage

# How much longer than others somebody may be silent who seems to be at work.
PATIENCE = 5.0
# What part of a processor counts as work. Programs that only wait for their provider use less:
# claude 1.2 %, codex 0.9 % (measured). Over so many seconds at least, as it comes in small bursts.
BUSY = 0.03
WEIGHED = 1.0
# How often a look is taken within the limit; but not more often, or less, than so many seconds.
LOOKS = 20
OFTEN, SELDOM = 0.02, 10.0
# A look that comes so many seconds too late says nothing: we have not listened ourselves.
LATE = 1.0

ACTS: tuple[RungAct, ...] = ("interrupt", "revive", "fail")
ACTS_FOR_ONE_TURN: tuple[RungAct, ...] = ("fail",)


@attrs.frozen(kw_only=True)
class Look:
    """A program at one moment.

    Attributes:
        at: on trio's clock.
        heard: when its last message came, or may be expected at the earliest, on the same clock.
        messages: how many there were.
        output: how many bytes it has written.
        usage: of its processes; None if it is not known.
        tools: at work.
        waits: for a decision.
    """

    at: float
    heard: float
    messages: int = 0
    output: int = 0
    usage: TreeUsage | None = None
    tools: tuple[str, ...] = ()
    waits: bool = False


@attrs.define(eq=False)
class Ladder:
    """How far it was climbed in a turn, and how long the program has been silent.

    Attributes:
        limit: seconds of silence.
        acts: the rungs that are left.
    """

    limit: float
    acts: tuple[RungAct, ...]
    _first: Look | None = None
    _last: Look | None = None
    _weighed: Look | None = None
    _alive: float = -math.inf
    _listening: float = -math.inf
    _is_noted: bool = False

    def begin(self, first: Look) -> None:
        """The program has just got the prompt; the rungs that were taken stay so."""
        self._first = self._last = self._weighed = first
        self._alive = self._listening = first.at
        self._is_noted = False

    @property
    def pause(self) -> float:
        """Seconds until the next look."""
        return min(max(self.limit / LOOKS, OFTEN), SELDOM)

    def look(self, now: Look) -> RungAct | None:
        """What is to be done, after a look at the program."""
        assert self._last is not None
        if now.at - self._last.at > self.pause + LATE:
            self._alive = self._listening = now.at
        if now.messages != self._last.messages or now.waits:
            self._alive = max(now.at if now.waits else now.heard, self._alive)
            self._is_noted = False
            self._weighed = now
        elif now.output != self._last.output or self._is_at_work(now):
            self._alive = now.at
        self._last = now
        silent = self._share(now)
        if silent >= 1.0:
            return self.climb()
        if silent >= 0.5 and not self._is_noted:
            self._is_noted = True
            return "note"
        return None

    def climb(self) -> RungAct:
        """Take the next rung."""
        act, *rest = self.acts
        self.acts = tuple(rest) or self.acts
        return act

    def rung(self, act: RungAct, now: datetime | None = None) -> SilenceRung:
        """A rung as it is told, with what was seen last."""
        first, last = self._first, self._last
        assert first is not None
        assert last is not None
        cpu = None
        if first.usage is not None and last.usage is not None:
            cpu = round(max(last.usage.seconds - first.usage.seconds, 0.0), 3)
        return SilenceRung(
            act=act,
            at=datetime.now(UTC) if now is None else now,
            signs=Signs(
                unheard=round(max(last.at - max(last.heard, first.at), 0.0), 3),
                still=round(max(last.at - self._alive, 0.0), 3),
                messages=last.messages - first.messages,
                output=last.output - first.output,
                cpu=cpu,
                processes=0 if last.usage is None else last.usage.processes,
                tools=last.tools,
            ),
        )

    def _is_at_work(self, now: Look) -> bool:
        """Whether more processor time was used lately than by waiting."""
        last = self._weighed
        assert last is not None
        seconds = now.at - last.at
        if seconds < min(self.limit / 4, WEIGHED):
            return False
        self._weighed = now
        if last.usage is None or now.usage is None:
            return False
        used = abs(now.usage.seconds - last.usage.seconds)  # less: who was at work has ended
        return used > max(TICK / 2, BUSY * seconds)

    def _share(self, now: Look) -> float:
        """How much of the limit has passed: 1 = all of it."""
        still = now.at - self._alive
        if now.tools:
            return still / (self.limit * PATIENCE)
        unheard = 0.0 if now.waits else now.at - max(now.heard, self._listening)
        return max(still / self.limit, unheard / (self.limit * PATIENCE))
