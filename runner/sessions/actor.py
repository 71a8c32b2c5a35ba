"""The actor of a session: owns the program's process, and carries out one turn at a time.

    at rest ──► starting ──► idle ──► in turn ──► idle ──► at rest
                    ▲                    │ the process ends: the next turn starts another,
                    └────────────────────┘ which resumes the conversation

Rules:

1. A live program is started at the first turn, kept between turns, and started anew whenever it is
   not there: after a crash, a kill, a reap, in a later process. A per-turn program is one that ends
   in each turn; else nothing is different.
2. What began is put down before its caller leaves: a turn that is cut (time, interrupt, cancelled
   caller, refused credentials) is interrupted, and if its end is not seen soon, or a tool of it may
   still be at work, the process is ended by the driver's ladder and then by force.
3. Whatever goes wrong in a turn is a `Turn` with an error class. An exception is only raised for
   what keeps a turn from beginning, and then nothing was begun.
4. The record is written before the act (store.py).
5. The prompt after a turn that was cut off is told so, in one sentence before it: the model does
   not know which command ran half (measured with both). Only where the conversation goes on.

What is not here: the process (program.py), how it is started (starting.py), and what a turn comes
to (flight.py, answer.py).
"""

from __future__ import annotations

import contextvars
import os
import shutil
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import attrs
import trio

from runner.actors.child_spec import ChildSpec, Handle
from runner.actors.lanes import Lane
from runner.agents.driver import UNATTENDED
from runner.agents.events import ApprovalAsked, ApprovalDecided, Decision, ErrorClass, Event
from runner.errors import NotFound, RunnerError, SessionClosed
from runner.messages import Message
from runner.sessions.answer import make_turn
from runner.sessions.changes import Scanner
from runner.sessions.flight import Flight
from runner.sessions.notes import Notes
from runner.sessions.private import remove_files
from runner.sessions.program import Program
from runner.sessions.starting import Starter
from runner.sessions.state import SessionState
from runner.sessions.trees import Trees
from runner.sessions.turn import Close, Interrupt, Send, Turn

CUT_NOTE = (
    "(Note: the previous turn was cut off before it had ended; its last command or edit may have"
    " been carried out only in part.)\n\n"
)

# How long a program may take from its start until a turn can be sent: 32 claudes at once on two
# cores took 22 s (measured), and there is a limiter of starts.
READY = 60.0
# How long a per-turn program may stay after its result.
LINGER = 5.0
# How long the end of a tree may take after SIGKILL before we go on without it.
FORCE = 10.0


def _lane(message: Message[Any]) -> Lane:
    return Lane.EFFECT if isinstance(message, Send) else Lane.CONTROL


@attrs.define(eq=False, kw_only=True)
class SessionActor:
    """What a session's actor is and does.

    Attributes:
        state: which session.
        starter: how its program is started.
        scanner: of its directory.
        idle_after: seconds without a turn until its program is ended.
        ready: seconds that its program may take until a turn can be sent.
        spec: how it is run.
    """

    state: SessionState
    starter: Starter
    scanner: Scanner
    idle_after: float = 300.0
    ready: float = READY
    spec: ChildSpec = attrs.field(init=False)
    _notes: Notes = attrs.field(init=False)
    _nursery: trio.Nursery | None = None
    _context: contextvars.Context | None = None
    _program: Program | None = None
    _flight: Flight | None = None
    _trees: Trees = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._trees = Trees(self.scanner)
        self._notes = Notes(self.state)
        self.spec = ChildSpec(
            key=self.state.key, open=self.open, lane=_lane, idle_after=self.idle_after
        )

    @property
    def is_at_rest(self) -> bool:
        """Whether nothing of a turn goes on, and no program is left."""
        return self._flight is None and self._living() is None

    def take_over(self, state: SessionState, starter: Starter, scanner: Scanner) -> None:
        """Be another session's actor from now on: the one before is closed, and this at rest."""
        self.state, self.starter, self.scanner = state, starter, scanner
        self._notes, self._trees = Notes(state), Trees(scanner)
        self._program = None

    @asynccontextmanager
    async def open(self) -> AsyncGenerator[Handle, None]:
        """Be there, until reaped: an incarnation of the actor."""
        _ = self.state.record  # outside of the nursery: its error is an answer, bare
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            self._context = contextvars.copy_context()  # so that no caller's gets into a program
            try:
                yield self._handle
            finally:
                with trio.CancelScope(shield=True, deadline=self._bound()):
                    await self._end_program()
                self._program = None
                self._trees.forget()
                self.state.phase = "at rest"
                if self.state.store is not None:
                    self.state.store.rest()
                nursery.cancel_scope.cancel(reason="the session's actor has ended")

    def _handle(self, message: Message[Any]) -> object:
        match message:
            case Send():
                return self._send(message)
            case Interrupt():
                return self._cut(ErrorClass.INTERRUPTED, "the turn was interrupted on request")
            case Close():
                return self._close()
            case _:
                raise TypeError(f"a session does not know {message!r}")

    def _cut(self, error: ErrorClass, text: str) -> bool:
        return self._flight is not None and self._flight.cut_off(error, text)

    async def _close(self) -> None:
        self.state.is_closed = True
        flight = self._flight
        if flight is not None:
            flight.cut_off(ErrorClass.INTERRUPTED, "the session was closed")
            await flight.down.wait()
        await self._end_program()
        if self.state.store is None:
            await self._remove_private()

    async def _remove_private(self) -> None:
        remove = partial(shutil.rmtree, self.state.private, ignore_errors=True)
        await trio.to_thread.run_sync(remove, limiter=self.scanner.limiter)

    @property
    def _is_per_turn(self) -> bool:
        return self.starter.driver.process_per_turn

    # ------------------------------------------------------------ a turn

    async def _send(self, message: Send) -> Turn:
        self._check_closed()
        self._check_directory()
        before = await self._trees.before(message.asked)
        self._check_closed()  # what closes while we scan does not see a turn in flight
        flight = Flight(number=self.state.record.turns + 1, timeout=message.timeout)
        self._notes.begun(flight, message.prompt)
        self._flight = flight
        try:
            with flight.cancel_scope:
                await self._carry_out(flight, message)
            if flight.cancel_scope.cancelled_caught:
                flight.time_is_up()  # unless it was cut for another reason
        except RunnerError:
            flight.never_began = True
            raise
        finally:
            if not flight.is_clean and self._living() is not None:
                with trio.CancelScope(shield=True, deadline=self._bound()):
                    await self._put_down(flight)
            self._flight = None
            flight.down.set()
            self.state.phase = "at rest" if self._living() is None else "idle"
            self._notes.over(flight)
        assert self._nursery is not None
        changes = await self._trees.compare(before, self._nursery)
        turn = make_turn(self.state, flight, self._program, changes)
        self._notes.answered(turn)
        return turn

    def _check_closed(self) -> None:
        if self.state.is_closed:
            raise SessionClosed(f"the session {self.state.id!r} is closed")

    def _check_directory(self) -> None:
        directory = self.state.directory
        if not os.path.isdir(directory):
            reason = "the session's directory is gone"
            raise NotFound("send", directory, reason, hint="make it again, and go on")

    async def _carry_out(self, flight: Flight, message: Send) -> None:
        """From the start of a program, if need be, to the end of the turn."""
        self._program = program = self._living()
        if program is not None:
            flight.start_clock()
            self._send_prompt(flight, program, message.prompt)
            await flight.over.wait()
            if not flight.died_untaken:
                await program.sweep()
                flight.is_clean = True
                return
            await program.ended.wait()  # it had died between the turns, and nobody had noticed
            flight.begin_again()
        program = await self._start(flight, message.prompt)
        await flight.over.wait()
        if not self._is_per_turn:
            await program.sweep()
        elif not program.ended.is_set():
            with trio.move_on_after(LINGER):
                await program.ended.wait()
        flight.is_clean = program.ended.is_set() or not self._is_per_turn

    def _living(self) -> Program | None:
        program = self._program
        return None if program is None or program.ended.is_set() else program

    def _send_prompt(self, flight: Flight, program: Program, prompt: str) -> None:
        # one synchronous block: nothing may come between the prompt and what it is known by
        self.state.phase = "in turn"
        record = self.state.record
        note = CUT_NOTE if record.cut and record.resume and not self._is_per_turn else ""
        program.begin_turn()
        program.conversation.send_turn(flight.send(), note + prompt)
        program.flush()

    async def _start(self, flight: Flight, prompt: str) -> Program:
        """Start a program and send it the prompt."""
        if self._is_per_turn:
            return await self._start_turn(flight, prompt)
        async with self.starter.means.starts:  # the wait for this is not of the turn's time
            flight.start_clock()
            self.state.phase = "starting"
            program = self._make_program(flight, prompt)
            await self._run(program)
            with trio.move_on_after(self.ready):
                await program.ready.wait()
        if program.conversation.ready:
            self._send_prompt(flight, program, prompt)
        else:
            self._cut(*self._not_ready(program))
            await trio.lowlevel.checkpoint()  # where that cut is felt
        return program

    async def _start_turn(self, flight: Flight, prompt: str) -> Program:
        """Start a program that serves this turn only: its launch carries the prompt."""
        program = self._make_program(flight, prompt)
        self._send_prompt(flight, program, prompt)
        if self.state.is_followed:
            flight.start_clock()
            await self._run(program)
            return program
        self.state.starts += 1
        try:
            if await program.run_quietly(flight.timeout):
                flight.time_is_up()
        finally:
            remove_files(program.launch.files)
            flight.process_ended()
        return program

    def _make_program(self, flight: Flight, prompt: str) -> Program:
        self._program = program = self.starter.make_program(
            self.state, flight.number, prompt, self._happened
        )
        return program

    def _happened(self, program: Program, event: Event) -> None:
        """A program says something; a synchronous block, in its task."""
        if self._program is program:
            self._notes.happened(self._flight, event)
            if isinstance(event, ApprovalAsked):
                decision = Decision(allow=False, message=UNATTENDED)
                program.conversation.decide(event.id, decision)
                program.flush()
                decided = ApprovalDecided(asked=event, decision=decision)
                self._notes.happened(self._flight, decided)

    async def _run(self, program: Program) -> None:
        """Give a program its task; it has been started when this returns."""
        assert self._nursery is not None
        assert self._context is not None
        self._context.run(self._nursery.start_soon, self._be_program, program)
        await program.started.wait()
        if program.failure is not None:
            raise program.failure
        self.state.pid = program.pid

    async def _be_program(self, program: Program) -> None:
        self.state.starts += 1
        try:
            await program.run()
        finally:
            if self._is_per_turn:
                remove_files(program.launch.files)
            if self._program is program:
                self.state.pid = None
                if self._flight is not None:
                    self._flight.process_ended()

    def _not_ready(self, program: Program) -> tuple[ErrorClass, str]:
        if not program.ended.is_set():
            return ErrorClass.STALLED, f"the program was not ready within {self.ready} s"
        how = f"the program ended with exit code {program.exit_code} before a turn could be sent"
        stderr = program.tails()[1].strip()
        return ErrorClass.CRASHED, f"{how}: {stderr}" if stderr else how

    # ------------------------------------------------------------ putting down

    async def _put_down(self, flight: Flight) -> None:
        """Nothing of the turn goes on after this; the caller shields it."""
        program = self._living()
        # Not asked again later: claude says that a tool has ended before its processes have.
        has_tools = flight.has_open_tools
        if program is not None and flight.is_sent and not flight.over.is_set():
            program.conversation.interrupt()
            program.flush()
            with trio.move_on_after(program.interrupt_patience):
                await flight.over.wait()
        if not flight.over.is_set() or has_tools or self._is_per_turn:
            await self._end_program()
        elif program is not None:
            await program.sweep()

    async def _end_program(self) -> None:
        program = self._living()
        if program is not None:
            await program.end()

    def _bound(self) -> float:
        program = self._program
        patience = 0.0 if program is None else program.interrupt_patience + program.patience
        return trio.current_time() + patience + FORCE
