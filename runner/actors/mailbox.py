"""A mailbox: the incoming queue of one actor, and the way of each message through it.

    OUTSIDE ──► QUEUED ◄──► RUNNING ──► DONE
       └───────────┴─── withdrawn ───────▲

An asker brings an `Envelope`. It is OUTSIDE while as many messages wait as the mailbox takes,
QUEUED in the order of arrival (lanes.py) until it is its turn *and* the actor is there, RUNNING
from the moment it is called up, DONE when its asker leaves with its answer. An actor that goes
between the call and the first step of the message puts it back, with its turn: it never began.

The asker's own task carries the message through: it sleeps until it is called up and then calls
the actor's handle itself. So a free mailbox costs no task switch, a cancelled asker can only
cancel its own message and leaves when that has been put down, and an error is a bare exception of
the asker's. The actor's task (supervisor.py) owns what the handle works on, and keeps it until
nothing is running any more.

A handle is a plain function that gives its answer at once, or a coroutine that will. What is
answered at once from a free mailbox is over in one synchronous block: it needs no envelope.

Everything that changes a mailbox or an envelope (envelope.py) lives here; each change is one
synchronous block.
What it does not do: start or end actors, look keys up, ask again. That is the supervisor's.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from types import CoroutineType
from typing import Any, NoReturn, TypeVar, cast

import attrs
import trio

from runner.actors.child_spec import ChildSpec, Handle
from runner.actors.envelope import Envelope, Phase
from runner.actors.instruments import MailboxStatistics
from runner.actors.lanes import Lane, Place, Ticket
from runner.actors.verdicts import crash_in, ended, one_more
from runner.errors import MailboxClosed, MailboxFull, RunnerError
from runner.messages import Message

AnswerT = TypeVar("AnswerT")


def _nothing(_mailbox: Mailbox) -> None:
    """What is called if nobody wants to know."""


@attrs.define(eq=False, repr=False)
class Mailbox:
    """The mailbox of one actor; made by the supervisor, closed once and for good.

    Attributes:
        on_change: called when nothing is running any more, and when it is the turn of a message
            that nobody is there to carry out.
        last_used: when the last message left, on trio's clock.
        crash: what a message has crashed the actor with that is here, or that is leaving.
    """

    spec: ChildSpec
    place: Place
    on_change: Callable[[Mailbox], None] = _nothing
    last_used: float = attrs.field(factory=trio.current_time)
    crash: Exception | None = None
    _handle: Handle | None = None
    _is_open: bool = True
    _is_evicted: bool = False
    _outside: OrderedDict[Envelope, None] = attrs.field(factory=OrderedDict)
    _queued: dict[Envelope, None] = attrs.field(factory=dict)
    _running: dict[Envelope, None] = attrs.field(factory=dict)
    _taken: int = 0
    _actor: trio.lowlevel.Task | None = None  # while it waits for its end; no Event: 1 KiB each
    _quiet: trio.Event | None = None

    # ------------------------------------------------------------ for askers

    async def ask(self, message: Message[AnswerT]) -> AnswerT:
        """Carry a message through and give its answer.

        Raises:
            MailboxClosed: it never began.
            ActorCrashed: the actor crashed while it carried this message out.
            RunnerError: the answer, if it is an error.

        Cancellation: while it waits, it leaves at once and never runs; while it runs, it is
        cancelled and this returns when it has been put down. No checkpoint if it can be answered
        at once: that is left to `Supervisor.ask`.
        """
        lane = self.spec.lane(message)
        answer: object = None
        if self._handle is not None and not self._outside and self.place.is_free(lane):
            # one synchronous block: from the free turn to the answer, or to the taken turn
            self._taken += 1
            try:
                answer = self._handle(message)
            except RunnerError:
                self.last_used = trio.current_time()
                raise
            except Exception as crash:  # noqa: BLE001 - any other error is a crash
                self._fail(crash)
            if type(answer) is not CoroutineType:
                self.last_used = trio.current_time()
                return cast("AnswerT", answer)
            envelope = self._admit(message, lane)
        else:
            envelope = self._post(message, lane)
        try:
            if not envelope.has_begun:
                await self._wait_for_call(envelope)
            return cast("AnswerT", await self._carry_out(envelope, answer))
        finally:
            self._depart(envelope)

    async def ask_nowait(self, message: Message[AnswerT]) -> AnswerT:
        """As `ask`, but do not wait for room.

        Raises:
            MailboxFull: as many messages wait as the mailbox takes.
        """
        if self._has_no_room(lane := self.spec.lane(message)) and (
            self._handle is None or self._outside or not self.place.is_free(lane)
        ):
            waiting = len(self._queued) + len(self._outside)
            msg = f"{waiting} messages wait for {self.spec.key!r} already"
            raise MailboxFull(msg)
        return await self.ask(message)

    # ------------------------------------------------------------ for the actor's task

    def serve(self, handle: Handle) -> None:
        """The actor is there: call up all whose turn it is."""
        self._is_evicted = False
        self.crash = None
        if not self._is_open:
            return  # closed while it was being opened
        self._handle = handle
        for envelope in list(self._queued):
            if envelope.ticket.granted:
                self._call_up(envelope)

    async def wait_ended(self) -> None:
        """Wait until the actor is to go: because it has crashed, or has been told to."""
        if self.is_staying and self.crash is None:
            await self._wait_for_end()

    async def wait_closed(self) -> None:
        """Wait until the mailbox is closed, while no actor is there."""
        if self._is_open:
            await self._wait_for_end()

    def pause(self, cause: Exception | None) -> None:
        """The actor goes: call nobody up any more, and cancel what has begun.

        Args:
            cause: what the actor crashed with; None if it is shut down, or not known yet.
        """
        self._dismiss()
        for envelope in self._running:
            if envelope.verdict is None:
                envelope.verdict = ended(self.spec.key, cause)
                if envelope.cancel_scope is not None:
                    envelope.cancel_scope.cancel(reason="the actor has ended")

    async def wait_quiet(self) -> None:
        """Wait until nothing is running. Shield it: what the callers do must have been put down."""
        while self._running:
            self._quiet = trio.Event()
            await self._quiet.wait()

    # ------------------------------------------------------------ for the supervisor

    @property
    def is_open(self) -> bool:
        """Whether messages are taken."""
        return self._is_open

    @property
    def is_staying(self) -> bool:
        """Whether its actor has not been told to go."""
        return self._is_open and not self._is_evicted

    @property
    def is_busy(self) -> bool:
        """Whether a message waits or is running."""
        return bool(self._queued or self._running or self._outside)

    @property
    def is_held(self) -> bool:
        """Whether its actor holds something for its callers, so that it must not be made to go."""
        if self._handle is None:
            return False
        try:
            return self.spec.holds(self._handle)
        except Exception as crash:  # noqa: BLE001 - as an error of the handle
            self._crash(crash)
            return False

    @property
    def is_blocked(self) -> bool:
        """Whether its actor is there, and every message waits for messages of other mailboxes."""
        return self._handle is not None and bool(self._queued) and not self._running

    @property
    def has_turn(self) -> bool:
        """Whether it is a message's turn, but the actor is not there."""
        return any(envelope.ticket.granted for envelope in self._queued)

    def evict(self) -> None:
        """Let the actor go that has nothing to do for now; the messages keep their turns."""
        self._is_evicted = True
        self._dismiss()
        self._end()

    def close(self, answer: RunnerError | None = None, *, drain: bool = False) -> None:
        """Take nothing any more and answer all who wait; then the actor goes.

        Args:
            answer: what to tell them; None = `MailboxClosed`, which makes them ask again.
            drain: let what is running come to its end before that.
        """
        self._is_open = False
        self._dismiss()
        waiting = [*self._queued, *self._outside]
        for envelope in waiting:
            envelope.verdict = one_more(answer) if answer else self._never_began()
            self._depart(envelope)
            self._wake(envelope)
        if not (drain and self._running):
            self._end()

    def statistics(self) -> MailboxStatistics:
        """The mailbox at this moment."""
        now = trio.current_time()
        waiting = (each.posted for each in (*self._queued, *self._outside))
        return MailboxStatistics(
            is_open=self._is_open,
            is_served=self._handle is not None,
            outside=len(self._outside),
            queued=len(self._queued),
            running=len(self._running),
            taken=self._taken,
            idle=0.0 if self.is_busy else now - self.last_used,
            waited=now - min(waiting, default=now),
        )

    def __repr__(self) -> str:
        state = "closed" if not self._is_open else "served" if self._handle else "not served"
        waiting = len(self._queued) + len(self._outside)
        return (
            f"<Mailbox {self.spec.key!r} {state}: {waiting} waiting, {len(self._running)} running>"
        )

    # ------------------------------------------------------------ the way of an envelope

    def _has_no_room(self, lane: Lane) -> bool:
        if lane is Lane.CONTROL:
            return False
        return len(self._queued) >= self.spec.capacity or bool(self._outside)

    def _admit(self, message: Message[Any], lane: Lane) -> Envelope:
        """Take the turn that is free, for a message that has begun."""
        envelope = Envelope(message, Phase.RUNNING, self.last_used, Ticket(lane), has_begun=True)
        self.place.enter(envelope.ticket)
        self._running[envelope] = None
        return envelope

    def _post(self, message: Message[Any], lane: Lane) -> Envelope:
        if not self._is_open:
            raise self._never_began()
        envelope = Envelope(message, Phase.OUTSIDE, trio.current_time(), Ticket(lane))
        envelope.ticket.on_grant = partial(self._granted, envelope)
        if self._has_no_room(lane):
            self._outside[envelope] = None
        else:
            self._enter(envelope)
        return envelope

    def _enter(self, envelope: Envelope) -> None:
        envelope.phase = Phase.QUEUED
        self._queued[envelope] = None
        if self.place.enter(envelope.ticket):
            self._granted(envelope)

    def _granted(self, envelope: Envelope) -> None:
        if self._handle is None:
            self.on_change(self)
        else:
            self._call_up(envelope)

    def _call_up(self, envelope: Envelope) -> None:
        del self._queued[envelope]
        self._running[envelope] = None
        envelope.phase = Phase.RUNNING
        self._wake(envelope)
        self._let_in()

    def _dismiss(self) -> None:
        """Nobody is there any more: those who have not begun wait again, with their turns."""
        self._handle = None
        for envelope in [each for each in self._running if not each.has_begun]:
            del self._running[envelope]
            self._queued[envelope] = None
            envelope.phase = Phase.QUEUED

    def _let_in(self) -> None:
        while self._is_open and self._outside and len(self._queued) < self.spec.capacity:
            self._enter(self._outside.popitem(last=False)[0])

    def _wake(self, envelope: Envelope) -> None:
        if envelope.asker is not None:
            task, envelope.asker = envelope.asker, None
            trio.lowlevel.reschedule(task)

    async def _wait_for_call(self, envelope: Envelope) -> None:
        def leave(_: object) -> trio.lowlevel.Abort:
            envelope.asker = None
            self._depart(envelope)
            return trio.lowlevel.Abort.SUCCEEDED

        # Again and again: between the call and our waking up the actor may have gone.
        while envelope.phase is not Phase.RUNNING:
            if envelope.verdict is not None:
                raise envelope.verdict
            envelope.asker = trio.lowlevel.current_task()
            await trio.lowlevel.wait_task_rescheduled(leave)
            # Cancelled after it was called up, before it has begun: it must not run.
            await trio.lowlevel.checkpoint_if_cancelled()

    async def _carry_out(self, envelope: Envelope, answer: object) -> object:
        """Call the handle in the asker's task, and await its answer if it is a coroutine.

        `answer` is that coroutine if the handle has been called already.
        """
        try:
            if not envelope.has_begun:
                answer = self._begin(envelope)
            if not isinstance(answer, CoroutineType):
                return answer
            with trio.CancelScope() as envelope.cancel_scope:
                return await answer
        except RunnerError:
            raise
        except (Exception, BaseExceptionGroup) as error:
            # A handle that crashed while it was cancelled: a crash, and no group for the asker.
            crash = crash_in(error)
            if crash is None:
                raise
            self._fail(crash)
        assert envelope.verdict is not None, "only the mailbox cancels this scope, with a verdict"
        raise envelope.verdict

    def _begin(self, envelope: Envelope) -> object:
        assert self._handle is not None, "nobody is called up, or stays so, without the actor"
        envelope.has_begun = True
        self._taken += 1
        return self._handle(envelope.message)

    def _fail(self, crash: Exception) -> NoReturn:
        """The actor is unsound from here on: its task ends it, and the asker is told so."""
        if self._handle is not None:  # else it is going already: what came first is the cause
            self._crash(crash)
        raise ended(self.spec.key, crash) from crash

    def _crash(self, crash: Exception) -> None:
        self.crash = crash
        self.pause(crash)
        self._end()

    def _depart(self, envelope: Envelope) -> None:
        """The asker leaves, whatever the phase; whose turn it is then is called up."""
        phase, envelope.phase = envelope.phase, Phase.DONE
        if phase is Phase.DONE:
            return
        if phase is Phase.OUTSIDE:
            del self._outside[envelope]
        else:
            del (self._queued if phase is Phase.QUEUED else self._running)[envelope]
            for ticket in self.place.leave(envelope.ticket):
                ticket.on_grant()
        self.last_used = trio.current_time()
        self._let_in()
        if not self._running:
            if self._quiet is not None:
                self._quiet.set()
                self._quiet = None
            if not self._is_open:
                self._end()  # it has been drained
            self.on_change(self)

    # ------------------------------------------------------------ the end of an actor

    async def _wait_for_end(self) -> None:
        self._actor = trio.lowlevel.current_task()
        await trio.lowlevel.wait_task_rescheduled(self._stop_waiting)

    def _stop_waiting(self, _: object) -> trio.lowlevel.Abort:
        self._actor = None
        return trio.lowlevel.Abort.SUCCEEDED

    def _end(self) -> None:
        if self._actor is not None:
            task, self._actor = self._actor, None
            trio.lowlevel.reschedule(task)

    def _never_began(self) -> MailboxClosed:
        return MailboxClosed(f"{self.spec.key!r} ended before the message began", self)
