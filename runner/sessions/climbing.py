"""Waiting for the end of a turn whose program may be silent: looks are taken, rungs are climbed.

A look costs the reading of some files in /proc for each process of the program; it is taken some
twenty times within the limit, and only where there is one. What is to be done is said by ladder.py.
"""

from __future__ import annotations

from collections.abc import Callable

import attrs
import trio

from runner.agents.events import ErrorClass, Event
from runner.sessions.flight import Flight
from runner.sessions.keeping import Keeper
from runner.sessions.ladder import ACTS, ACTS_FOR_ONE_TURN, Ladder, Look
from runner.sessions.phases import Do, Input, Phase
from runner.sessions.program import Program
from runner.sessions.state import SessionState

INTERRUPTED = "it was interrupted, as nothing more came of it,"
REVIVED = "the program was ended, as nothing more came of it,"


@attrs.define(eq=False, kw_only=True)
class Climber:
    """Who waits for the end of one turn.

    Attributes:
        tell: a session's own events, and in which turn they happened.
    """

    state: SessionState
    keeper: Keeper
    flight: Flight
    tell: Callable[[Flight, Event], None]
    _ladder: Ladder | None = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        acts = ACTS_FOR_ONE_TURN if self.keeper.is_per_turn else ACTS
        silence = self.flight.silence
        self._ladder = None if silence is None else Ladder(silence, acts)

    async def wait(self, program: Program) -> bool:
        """Wait until the turn is over, or has to be begun again because of a silence.

        Returns:
            Whether it has to be; then the flight is ready for that.
        """
        ladder, flight = self._ladder, self.flight
        if ladder is None:
            await flight.over.wait()
            return False
        ladder.begin(self._look(program))
        while True:
            with trio.move_on_after(ladder.pause):
                await flight.over.wait()
                return False
            act = ladder.look(self._look(program))
            # What waits for a decision is not silent, nor what is about to be closed.
            if act is None or self.state.step(Input.SILENT) is not Do.CLIMB:
                continue
            self.tell(flight, ladder.rung(act))
            if act == "interrupt":
                if await self._interrupt(program):
                    return not flight.is_sent
                act = ladder.climb()
                self.tell(flight, ladder.rung(act))
            if act == "revive":
                await self._end(program, ladder)
                return True
            if act == "fail":
                await self._fail(ladder)

    async def _interrupt(self, program: Program) -> bool:
        """Interrupt the turn; whether that was all that it took."""
        flight = self.flight
        flight.interrupt()
        program.conversation.interrupt()
        program.flush()
        with trio.move_on_after(program.interrupt_patience):
            await flight.over.wait()
        if not flight.over.is_set():
            return False
        if not flight.was_cut_off:
            return True  # it has come to an end of its own at last
        if flight.open_tools or self.keeper.living() is None:
            return False
        # one synchronous block: whoever interrupts finds a turn in flight
        flight.begin_again(INTERRUPTED)
        self.state.step(Input.OVER)
        await program.sweep()
        return True

    async def _end(self, program: Program, ladder: Ladder) -> None:
        await self.keeper.end_shielded()
        if self.keeper.living() is not None:  # pragma: no cover - it is stuck in the kernel
            await self._fail(ladder)
        self.flight.leftovers += program.take_leftovers()
        self.flight.begin_again(REVIVED)
        await trio.lowlevel.checkpoint_if_cancelled()

    async def _fail(self, ladder: Ladder) -> None:
        signs = ladder.rung("fail").signs
        tools = f" with {', '.join(signs.tools)} at work" if signs.tools else ""
        text = f"nothing was heard of its program for {signs.unheard:.0f} s{tools}"
        self.flight.cut_off(ErrorClass.STALLED, text)
        await trio.lowlevel.checkpoint()  # where that cut is felt

    def _look(self, program: Program) -> Look:
        flight = self.flight
        return Look(
            at=trio.current_time(),
            heard=flight.heard,
            messages=flight.messages,
            output=program.traffic.written,
            usage=program.usage(),
            tools=flight.open_tools,
            waits=self.state.phase is Phase.APPROVING,
        )
