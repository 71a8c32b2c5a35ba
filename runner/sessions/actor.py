"""The actor of a session: carries out one turn at a time, with a program that it owns.

Its phases, and what leads from one to the other (phases.py, which draws this):

    absent        turn=start → starting, warm=start → starting, close=end → closing, found → reaped
    starting      interrupt=cut → interrupting, close=end → closing, ready → idle,
                  ended=fail → absent
    idle          turn=send → in turn, close=end → closing, reap=end → reaped, asked=ask,
                  ended → reaped, gone=end → reaped
    in turn       steer=steer, interrupt=cut → interrupting, close=end → closing,
                  asked=ask → approving, silent=climb, limited=park → parked, over=finish → idle,
                  ended=finish → reaped
    approving     steer=steer, interrupt=cut → interrupting, close=end → closing, asked=ask,
                  decided → in turn, limited=park → parked, over=finish → idle,
                  ended=finish → reaped
    interrupting  close=end → closing, over=finish → idle, ended=finish → reaped
    parked        interrupt=cut → interrupting, close=end → closing, reset → reaped
    reaped        turn=start → reviving, warm=start → reviving, close=end → closing,
                  limited=park → parked, lost=fail → broken
    reviving      interrupt=cut → interrupting, close=end → closing, ready → idle,
                  ended=fail → reaped, lost=fail → broken
    closing       turn=refuse, steer=refuse, warm=refuse, close=wait, fresh=refuse, down → closed
    closed        turn=refuse, steer=refuse, warm=refuse, fresh=refuse
    broken        turn=refuse, steer=refuse, warm=refuse, close=end → closing, fresh → absent,
                  found → reaped
    else          turn=wait, steer=no, interrupt=no, reap=no, asked=deny

Rules:

1. A live program is started at the first turn, kept between turns, and started anew whenever it is
   not there: after a crash, a kill, a reap, in a later process. A per-turn program is one that ends
   in each turn; else nothing is different.
2. What began is put down before its caller leaves: a turn that is cut (time, interrupt, cancelled
   caller, refused credentials) is ended, if need be with its program (turning.py).
3. Whatever goes wrong in a turn is a `Turn` with an error class. An exception is only raised for
   what keeps a turn from beginning, and then nothing was begun.
4. The record is written before the act (store.py).
5. The prompt after a turn that was cut off is told so, in one sentence before it: the model does
   not know which command ran half (measured with both). Only where the conversation goes on.

What is not here: the process (program.py), how it is started and ended (starting.py, keeping.py),
how a turn is carried out (turning.py), and what it comes to (flight.py, answer.py).
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from math import inf
from typing import Any

import attrs
import trio

from runner.actors.child_spec import ChildSpec, Handle
from runner.actors.lanes import Lane
from runner.agents.events import ErrorClass, Event, Rewound
from runner.errors import RunnerError, SessionBusy, SessionClosed
from runner.messages import Message
from runner.sessions.answer import make_turn
from runner.sessions.asking import Asker
from runner.sessions.changes import Scanner
from runner.sessions.flight import Flight
from runner.sessions.floor import Floor
from runner.sessions.keeping import READY, Keeper
from runner.sessions.notes import Notes
from runner.sessions.past import Past
from runner.sessions.phases import Input
from runner.sessions.private import remove_private
from runner.sessions.starting import Starter
from runner.sessions.state import SessionState
from runner.sessions.trees import Trees
from runner.sessions.turn import Close, Interrupt, Rewind, Send, Steer, Turn, Warm
from runner.sessions.turning import Turner

MADE_WAY = "another prompt took its place"
ON_REQUEST = "the turn was interrupted on request"
TAKEN_AWAY = "the directory is taken away in which it worked"


def _lane(message: Message[Any]) -> Lane:
    if isinstance(message, Send):
        return Lane.CONTROL if message.urgent else Lane.EFFECT
    return Lane.EFFECT if isinstance(message, Warm) else Lane.CONTROL


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
    _flight: Flight | None = None
    _coming: Flight | None = None  # the same, from before it is known whether it can begin
    _floor: Floor = attrs.field(factory=Floor)
    _notes: Notes = attrs.field(init=False)
    _trees: Trees = attrs.field(init=False)
    _asker: Asker = attrs.field(init=False)
    _keeper: Keeper = attrs.field(init=False)
    _turner: Turner = attrs.field(init=False)
    _past: Past = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._furnish()
        self.spec = ChildSpec(
            key=self.state.key, open=self.open, lane=_lane, idle_after=self.idle_after
        )

    def _furnish(self) -> None:
        self._notes, self._trees = Notes(self.state), Trees(self.scanner)
        self._asker = Asker(state=self.state, happened=self._note)
        self._keeper = Keeper(
            state=self.state,
            starter=self.starter,
            on_event=self._happened,
            on_end=self._program_ended,
            ready=self.ready,
        )
        self._turner = Turner(state=self.state, keeper=self._keeper, tell=self._notes.happened)
        self._past = Past(self.state, self._keeper, self._vacate, self._note)

    @property
    def is_at_rest(self) -> bool:
        """Whether nothing of a turn goes on, and no program is left."""
        return self._flight is None and self._keeper.living() is None

    def take_over(self, state: SessionState, starter: Starter, scanner: Scanner) -> None:
        """Be another session's actor from now on: the one before is closed, and this at rest."""
        self.state, self.starter, self.scanner = state, starter, scanner
        self.forget_files()
        self._notes.state, self._trees = state, Trees(scanner)
        keeper = self._turner.keeper
        keeper.state = self._turner.state = self._asker.state = state
        keeper.starter, keeper.program = starter, None
        self._past = Past(state, keeper, self._vacate, self._note)

    def forget_files(self) -> None:
        """Keep nothing of the directory, and watch nothing in it."""
        self._trees.forget()

    @asynccontextmanager
    async def open(self) -> AsyncGenerator[Handle, None]:
        """Be there, until reaped: an incarnation of the actor."""
        await self.state.load()  # outside of the nursery: its error is an answer, bare
        async with trio.open_nursery() as nursery:
            self._keeper.move_in(nursery)
            self._asker.move_in(nursery)
            try:
                yield self._handle
            finally:
                with trio.CancelScope(shield=True, deadline=self._keeper.bound()):
                    await self._keeper.end()
                self._keeper.program = None
                await self._past.leave()  # noqa: ASYNC102 - shielded there, and bounded
                self._trees.forget()
                self.state.step(Input.GONE)
                if self.state.store is not None:
                    self.state.store.rest()
                nursery.cancel_scope.cancel(reason="the session's actor has ended")

    def _handle(self, message: Message[Any]) -> object:
        match message:
            case Send():
                return self._send(message)
            case Interrupt():
                return self._interrupt()
            case Steer():
                return self._steer(message)
            case Warm():
                return self._warm_up()
            case Rewind():
                return self._rewind(message)
            case Close():
                return self._close()
            case _:
                raise TypeError(f"a session does not know {message!r}")

    def _interrupt(self) -> bool:
        if self._coming is None:
            return self.state.arrivals.cut()
        return self._cut(ErrorClass.INTERRUPTED, ON_REQUEST)

    def _cut(self, error: ErrorClass, text: str) -> bool:
        flight = self._coming
        if flight is None or flight.down.is_set() or not flight.cut_off(error, text):
            return False
        if self._flight is not None:
            self.state.step(Input.INTERRUPT)
        return True

    async def _close(self) -> None:
        self.state.step(Input.CLOSE)
        flight = self._flight
        if flight is not None:
            flight.cut_off(ErrorClass.INTERRUPTED, "the session was closed")
            await flight.down.wait()
        await self._keeper.end()
        if self.state.store is None:
            await remove_private(self.state.private, self.scanner.limiter)

    # ------------------------------------------------------------ a turn

    async def _send(self, message: Send) -> Turn:
        if message.urgent:
            self._cut(ErrorClass.INTERRUPTED, MADE_WAY)
        await self._floor.take(urgent=message.urgent)
        flight = Flight(
            number=self.state.record.turns + 1,
            timeout=message.timeout,
            silence=message.silence,
            max_park=message.max_park,
            options=message.options,
        )
        self._coming = flight
        if self.state.arrivals.take(message):
            flight.cut_off(ErrorClass.INTERRUPTED, ON_REQUEST)
        try:
            flight.turn = await self._fly(flight, message)
            return flight.turn
        finally:
            self._coming = None
            flight.put_down()
            flight.answered.set()
            self._trees.give_up()
            await self._past.leave()  # noqa: ASYNC102 - shielded there, and bounded
            self._floor.give()

    async def _fly(self, flight: Flight, message: Send) -> Turn:
        keeper = await self._enter()
        await keeper.check(flight.number, message.prompt, message.options)
        said = await self._past.catch_up()
        before = await self._trees.before(message.asked)
        await self.state.ready()
        await self._begin(flight)
        self._notes.begun(flight, message.prompt)
        self._flight = flight
        if self._floor.is_wanted and not message.urgent:  # since before this could be cut
            self._cut(ErrorClass.INTERRUPTED, MADE_WAY)
        try:
            await self._turner.carry_out(flight, message.prompt)
        except RunnerError:
            flight.never_began = True
            raise
        finally:
            if trio.current_effective_deadline() == -inf:  # its caller went away
                flight.cut_off(ErrorClass.INTERRUPTED, "the turn was cancelled")
            if not flight.is_clean and keeper.living() is not None:
                with trio.CancelScope(shield=True, deadline=keeper.bound()):
                    await self._turner.put_down(flight)
            await self._asker.put_down()  # noqa: ASYNC102 - shielded there, and bounded
            await self.state.settle()  # noqa: ASYNC102 - the same
            flight.put_down()
            self.state.step(Input.ENDED if keeper.living() is None else Input.OVER)
            self._asker.close_all()
            self._flight = None
            self._notes.over(flight)
            kept = await self._past.keep(flight)  # noqa: ASYNC102 - the same
        changes = self._notes.compared(flight, await self._trees.compare(before))
        turn = make_turn(self.state, flight, keeper.program, changes, said=said, kept=kept)
        self._notes.answered(turn)
        return turn

    async def _begin(self, flight: Flight) -> None:
        """Write down that it begins, unless the session was closed meanwhile."""
        await self._past.begin(flight)
        try:
            self._check_closed()  # what closes while we wait does not see a turn in flight
        except RunnerError:
            await self._past.end(flight, never_began=True)  # noqa: ASYNC120 - shielded there
            raise

    async def _steer(self, message: Steer) -> Turn | None:
        """Give the turn in flight another prompt, as soon as it takes any."""
        flight = self._coming
        if flight is None or not await self._turner.steer(flight, message.prompt):
            return None
        self._notes.steered(flight, message.prompt)
        await flight.answered.wait()
        return flight.turn

    async def _warm_up(self) -> bool:
        await self._floor.take(urgent=False)
        try:
            keeper = await self._enter()
            await keeper.check(self.state.record.turns, "")
            return await self._turner.warm_up()
        finally:
            await self._past.leave()  # noqa: ASYNC102 - shielded there, and bounded
            self._floor.give()

    async def _enter(self) -> Keeper:
        """Be in the directory, unless the session is closed; who has the program then."""
        self._check_closed()
        reached = await self._past.enter()
        self.scanner.directory = reached
        self._asker.move_to(reached)
        return self._keeper

    async def _vacate(self) -> None:
        """Have nothing left in the directory, which is taken away."""
        flight = self._flight
        if flight is not None:
            flight.cut_off(ErrorClass.INTERRUPTED, TAKEN_AWAY)
            await flight.down.wait()
        await self._keeper.end_shielded()

    async def _rewind(self, message: Rewind) -> Rewound:
        if self._coming is not None:
            what = f"turn {self._coming.number} of the session {self.state.id!r} is in flight"
            raise SessionBusy(f"{what}: interrupt it, or wait for its end, and then set it back")
        await self._floor.take(urgent=False)
        try:
            self._check_closed()
            self._trees.forget()
            return await self._past.rewind(message)
        finally:
            self._floor.give()

    def _check_closed(self) -> None:
        if self.state.is_closed:
            raise SessionClosed(f"the session {self.state.id!r} is closed")

    # ------------------------------------------------------------ its program

    def _happened(self, event: Event) -> None:
        """The program says something; a synchronous block, in its task."""
        self._notes.happened(self._flight, event)
        if (program := self._keeper.program) is not None:
            self._asker.take(event, program)

    def _note(self, event: Event) -> None:
        """The session itself says something, about the turn in flight if there is one."""
        self._notes.happened(self._flight, event)

    def _program_ended(self) -> None:
        self._asker.close_all()
        if self._flight is not None:
            self._flight.process_ended()
