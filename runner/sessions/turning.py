"""Carrying out one turn: a program is had, it gets the prompt, and the turn comes to its end.

A live program is started if there is none, and gets the prompt when it is ready; a per-turn program
has it from its launch. Whatever ends a turn early is felt as a cancellation, by whoever carries it
out; then it is put down: interrupted, and if its end is not seen soon, or a tool of it may still be
at work, the program is ended by the driver's ladder and then by force.

A prompt is sent again, in the same turn, where the program had died between the turns and nobody
had noticed, where the ladder of silences says so (climbing.py), and when a provider that limited it
allows more (parking.py): then the program is told why.

What is not here: whose turn it is and what came of it (actor.py), and what is known of it meanwhile
(flight.py).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import attrs
import trio

from runner.agents.driver import TurnOptions
from runner.agents.events import ErrorClass, Event
from runner.errors import AgentUnavailable, RunnerError
from runner.sessions.climbing import Climber
from runner.sessions.flight import Flight
from runner.sessions.forking import told_before
from runner.sessions.keeping import Keeper
from runner.sessions.parking import Parker
from runner.sessions.phases import Do, Input, Phase
from runner.sessions.private import remove_files
from runner.sessions.program import Program
from runner.sessions.state import SessionState

CUT_NOTE = (
    "(Note: the previous turn was cut off before it had ended; its last command or edit may have"
    " been carried out only in part.)\n\n"
)
AGAIN_NOTE = (
    "(Note: this message was sent before, but {} before it had come to its end; its last command or"
    " edit may have been carried out only in part. Go on with it.)\n\n"
)

# How long a per-turn program may stay after its result.
LINGER = 5.0


@attrs.define(eq=False, kw_only=True)
class Turner:
    """Who carries out the turns of a session, one at a time.

    Attributes:
        tell: a session's own events, and in which turn they happened.
    """

    state: SessionState
    keeper: Keeper
    tell: Callable[[Flight, Event], None]

    async def carry_out(self, flight: Flight, prompt: str) -> None:
        """Carry it out in its time, unless it was cut before it could begin."""
        if flight.cut is not None:
            flight.is_clean = True
            return
        with flight.clock.cancel_scope as cancel_scope:
            await self._carry_out(flight, prompt)
        if cancel_scope.cancelled_caught:
            flight.time_is_up()  # unless it was cut for another reason

    async def _carry_out(self, flight: Flight, prompt: str) -> None:
        """From the start of a program, if need be, to the end of the turn."""
        await trio.lowlevel.checkpoint_if_cancelled()
        keeper = self.keeper
        keeper.program = program = await self._usable(flight)
        climber = Climber(state=self.state, keeper=keeper, flight=flight, tell=self.tell)
        parker = Parker(state=self.state, keeper=keeper, tell=self.tell)
        was_there = program is not None
        while True:
            if program is None:
                program = await self._start(flight, prompt)
            else:
                flight.clock.start()
                await self._look_back(flight)
                self._send_prompt(flight, program, prompt)
            is_again = await climber.wait(program) or await parker.wait(flight, program)
            if was_there and flight.died_untaken:
                # It had died between the turns, and nobody had noticed.
                await program.ended.wait()
                flight.begin_again()
            elif not is_again:
                break
            was_there, program = False, keeper.living()
        if not keeper.is_per_turn:
            await program.sweep()
        elif not program.ended.is_set():
            with trio.move_on_after(LINGER):
                await program.ended.wait()
        flight.is_clean = program.ended.is_set() or not keeper.is_per_turn

    async def _usable(self, flight: Flight) -> Program | None:
        """The program that there is, if it can carry out the turn; else it is ended."""
        program = self.keeper.living()
        if program is None:
            return None
        if program.is_dying:  # killed from outside; what it has started may read on for a moment
            await program.ended.wait()
            return None
        if not program.conversation.takes(self._options(flight)):
            await self.keeper.end_shielded()  # it holds to what it was started with
            return None
        return program

    async def warm_up(self) -> bool:
        """Have a program that waits for a prompt; whether there is one."""
        keeper = self.keeper
        if keeper.is_per_turn:
            return False
        if keeper.living() is None and self.state.step(Input.WARM) is Do.START:
            try:
                async with keeper.starter.means.admission.start(self.state.key):
                    await self.state.ready()
                    program, is_ready = await keeper.begin(self.state.record.turns, "")
            finally:
                if not (keeper.living() and self.state.phase is Phase.IDLE):
                    await keeper.end_shielded()  # noqa: ASYNC102 - shielded there, and bounded
                    self.state.step(Input.ENDED)
            if not is_ready:
                raise AgentUnavailable(self._not_ready(program)[1])
        return keeper.living() is not None

    def _send_prompt(self, flight: Flight, program: Program, prompt: str) -> None:
        # one synchronous block: nothing may come between the prompt and what it is known by
        if self.state.step(Input.TURN) is not Do.SEND:
            return  # it was cut at the last moment, which is about to be felt
        program.begin_turn()
        note = self._note(flight)
        program.conversation.send_turn(flight.send(), note + prompt, self._options(flight))
        program.flush()

    async def _look_back(self, flight: Flight) -> None:
        """Find what the prompt is to have before it of earlier turns."""
        record, store = self.state.record, self.state.store
        if record.context and store is not None:
            # a transcript may be long
            look = partial(told_before, record, store, flight.follows)
            flight.earlier = await trio.to_thread.run_sync(look)

    def _note(self, flight: Flight) -> str:
        """What stands before the prompt."""
        record = self.state.record
        forgotten, self.keeper.forgotten = record.note + self.keeper.forgotten, ""
        is_known = bool(record.resume or record.origin) and not self.keeper.is_per_turn
        earlier = flight.earlier if record.context else ""
        if flight.again and (is_known or earlier):
            return forgotten + earlier + AGAIN_NOTE.format(flight.again)
        if record.cut and is_known and not earlier:
            return forgotten + CUT_NOTE
        return forgotten + earlier

    async def _start(self, flight: Flight, prompt: str) -> Program:
        """Start a program and send it the prompt; raises what keeps it from the first time."""
        try:
            return await self._start_one(flight, prompt)
        except RunnerError as exc:
            if not flight.again:
                raise
            failure = exc
        flight.cut_off(ErrorClass.CRASHED, f"it could not be gone on with: {failure}")
        await trio.lowlevel.checkpoint()  # where that cut is felt
        raise failure

    async def _start_one(self, flight: Flight, prompt: str) -> Program:
        keeper = self.keeper
        if flight.again:
            keeper.check_known()
        self.state.step(Input.TURN)
        if keeper.is_per_turn:
            return await self._start_for_turn(flight, prompt)
        # The wait for this is not of the turn's time.
        async with keeper.starter.means.admission.start(self.state.key):
            flight.clock.start()
            await self.state.ready()
            program, is_ready = await keeper.begin(flight.number, prompt, self._options(flight))
        if is_ready:
            await self._look_back(flight)
            self._send_prompt(flight, program, prompt)
        else:
            flight.cut_off(*self._not_ready(program))
            await trio.lowlevel.checkpoint()  # where that cut is felt
        return program

    async def _start_for_turn(self, flight: Flight, prompt: str) -> Program:
        """Start a program that serves this turn only: its launch carries the prompt."""
        admission = self.keeper.starter.means.admission
        async with admission.start(self.state.key, is_quick=True):
            await self.state.ready()
            program = self.keeper.make(flight.number, prompt)
            self.state.step(Input.READY)
            self._send_prompt(flight, program, prompt)
            if self.state.is_followed or (flight.silence, flight.max_park) != (None, None):
                flight.clock.start()
                await self.keeper.start(program)
            else:
                await self._run_quietly(flight, program)
        return program

    async def _run_quietly(self, flight: Flight, program: Program) -> None:
        self.state.starts += 1
        try:
            if await program.run_quietly(flight.timeout):
                flight.time_is_up()
        finally:
            remove_files(program.launch.files)
            flight.process_ended()

    async def steer(self, flight: Flight, prompt: str) -> bool:
        """Give a turn in flight another prompt, as soon as it takes any; whether it could be."""
        await flight.taken.wait()
        program = self.keeper.living()
        if flight.down.is_set() or flight.over.is_set() or program is None:
            return False
        if self.state.step(Input.STEER) is not Do.STEER:
            return False
        if not program.conversation.steer(prompt):
            return False
        program.flush()
        return True

    def _not_ready(self, program: Program) -> tuple[ErrorClass, str]:
        if not program.ended.is_set():
            seconds = self.keeper.ready
            return ErrorClass.STALLED, f"the program was not ready within {seconds} s"
        how = f"the program ended with exit code {program.exit_code} before a turn could be sent"
        stderr = program.tails()[1].strip()
        return ErrorClass.CRASHED, f"{how}: {stderr}" if stderr else how

    def _options(self, flight: Flight) -> TurnOptions:
        """What of the turn's options the program is told: a schema is ours, if it knows none."""
        if "schema" in self.keeper.starter.driver.abilities:
            return flight.options
        return attrs.evolve(flight.options, schema=None)

    async def put_down(self, flight: Flight) -> None:
        """Nothing of the turn goes on after this; the caller shields it."""
        program = self.keeper.living()
        self.state.step(Input.INTERRUPT)
        if program is not None and flight.is_sent and not flight.over.is_set():
            flight.interrupt()
            program.conversation.interrupt()
            program.flush()
            with trio.move_on_after(program.interrupt_patience):
                await flight.over.wait()
        if not flight.over.is_set() or flight.open_tools or self.keeper.is_per_turn:
            await self.keeper.end()
        elif program is not None:
            await program.sweep()
