"""Parking: a turn that its provider has limited waits, without a program, until more is allowed.

    in turn ──► limited ──► parked: its program is put down ──► reset ──► sent again, by another one
                  └── later than it may wait, or nobody knows when: the turn is over, `rate_limited`

Its caller says how long it may wait in all. Meanwhile its deadline rests, nothing of it runs, and
it is in flight all the same: it can be interrupted, closed and cancelled, other prompts wait behind
it, and whoever comes after a SIGKILL finds it in the ledger as every turn that was cut.

What is not here: how a prompt is sent again (turning.py), and what the agent is told (its note).
"""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import attrs
import trio

from runner.agents.events import ErrorClass, Event, Parked
from runner.sessions.flight import Flight
from runner.sessions.keeping import Keeper
from runner.sessions.phases import Do, Input
from runner.sessions.program import Program
from runner.sessions.state import SessionState

LIMITED = "its provider allowed no more for a while"
# How much longer than until the reset is waited, at random: a part of the time, and at most so many
# seconds. All the sessions of an account are told the same moment.
SPREAD, MOST = 0.1, 30.0
# How many seconds are waited at least if the provider limits a turn that has waited already; twice
# as many each further time. Clocks differ, and resets come in whole seconds.
LEAST = 1.0
# How often is looked whether it is time. A machine that was asleep is late by trio's clock.
LOOK = 60.0


def pause(seconds: float, left: float, parks: int, chance: float) -> float | None:
    """How long to wait; None if that is longer than may be.

    Args:
        seconds: until the reset.
        left: how long may be waited.
        parks: how often the turn has waited.
        chance: 0 to 1.
    """
    wanted = max(seconds, LEAST * 2 ** (parks - 1) if parks else 0.0)
    if wanted > left:
        return None
    return min(wanted + min(wanted * SPREAD, MOST) * chance, left)


@attrs.define(eq=False, kw_only=True)
class Parker:
    """Who has turns wait.

    Attributes:
        tell: a session's own events, and in which turn they happened.
    """

    state: SessionState
    keeper: Keeper
    tell: Callable[[Flight, Event], None]

    async def wait(self, flight: Flight, program: Program) -> bool:
        """Have a turn that is over wait, if it was limited and may; whether it begins again."""
        ended, resets_at = flight.ended, flight.resets_at
        if ended is None or ended.error is not ErrorClass.RATE_LIMITED or flight.cut is not None:
            return False
        if resets_at is None or flight.max_park is None:
            return False
        now, left = datetime.now(UTC), flight.max_park - flight.parked
        away = (resets_at - now).total_seconds()
        seconds = pause(away, left, flight.parks, random.random())  # noqa: S311 - spreads a load
        # What is about to be closed does not wait, nor what somebody wanted to end just now.
        if seconds is None or flight.is_final or self.state.step(Input.LIMITED) is not Do.PARK:
            return False
        # one synchronous block: whoever interrupts finds a turn that waits
        flight.park(LIMITED)
        until = now + timedelta(seconds=seconds)
        self.tell(flight, Parked(resets_at=resets_at, until=until, text=ended.error_text))
        began = trio.current_time()
        try:
            await self.keeper.end_shielded()
            flight.leftovers += program.take_leftovers()
            if self.keeper.living() is not None:  # pragma: no cover - it is stuck in the kernel
                flight.cut_off(ErrorClass.RATE_LIMITED, ended.error_text)
            await _wait(until, began + seconds)
        except trio.Cancelled:
            flight.cut_off(ErrorClass.INTERRUPTED, "its caller left while it was parked")
            raise
        finally:
            flight.unpark(trio.current_time() - began)
            self.state.step(Input.RESET)
        return True


async def _wait(until: datetime, deadline: float) -> None:
    with trio.move_on_at(deadline):
        while datetime.now(UTC) < until:  # noqa: ASYNC110 - nobody tells when it is time
            await trio.sleep(LOOK)
    await trio.lowlevel.checkpoint()
