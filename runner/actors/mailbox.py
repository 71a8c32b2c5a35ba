"""A mailbox: the incoming queue of one actor, and the way of each message through it.

    OUTSIDE ──► QUEUED ──► RUNNING ──► DONE
       └───────────┴── withdrawn ────────▲

An asker brings an `Envelope`. It is OUTSIDE while as many messages wait as the mailbox takes,
QUEUED in the order of arrival (lanes.py) until it is its turn *and* the actor is there, RUNNING
from the moment it is called up, DONE when its asker has its answer.

The asker's own task carries the message through: it sleeps until it is called up and then calls
the actor's handle itself. So a free mailbox costs no task switch, a cancelled asker can only
cancel its own message and leaves when that has been put down, and an error is a bare exception of
the asker's. The actor's task (supervisor.py) owns what the handle works on, and keeps it until
nothing is running any more.

A handle is a plain function that gives its answer at once, or a coroutine that will. What is
answered at once from a free mailbox is over in one synchronous block: it needs no envelope.

Everything that changes a mailbox or an envelope lives here; each change is one synchronous block.
What it does not do: start or end actors, look keys up, ask again. That is the supervisor's.
"""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Callable, Hashable
from contextlib import AbstractAsyncContextManager
from types import CoroutineType
from typing import Any, NoReturn, TypeAlias, TypeVar, cast

import attrs
import outcome
import trio

from runner.actors.lanes import Lane, Place, Ticket
from runner.errors import ActorCrashed, MailboxClosed, MailboxFull, RunnerError
from runner.messages import Message

AnswerT = TypeVar("AnswerT")

Handle: TypeAlias = Callable[[Message[Any]], object]
"""What an actor gives to have messages carried out: the answer, or a coroutine of the answer."""


def every_message_is_an_effect(_message: Message[Any]) -> Lane:
    """The lane of an actor that carries out one message at a time, whatever it is."""
    return Lane.EFFECT


@attrs.frozen(kw_only=True)
class ChildSpec:
    """How to run, bound, restart and end an actor, as data.

    Attributes:
        key: what it is found by; equal keys are one actor.
        open: enters what the actor owns, in the actor's own task, and gives its handle; left when
            the actor ends. Background tasks live in a nursery inside. A `RunnerError` raised on
            entering is the answer to all who wait; any other exception is a crash.
        lane: how a message takes part in the order.
        place: names from the root of the order; None = an order of its own.
        capacity: how many messages wait before `ask` waits for room.
        idle_after: seconds without a message until the actor is reaped.
        max_restarts: crashes within `period` seconds that are made up for by a restart.
        period: seconds; also how long an actor that crashes too often is given up.
        backoff: seconds before the first restart; doubled for each further one within `period`.
    """

    key: Hashable
    open: Callable[[], AbstractAsyncContextManager[Handle]]
    lane: Callable[[Message[Any]], Lane] = every_message_is_an_effect
    place: tuple[str, ...] | None = None
    capacity: int = 1024
    idle_after: float = 60.0
    max_restarts: int = 3
    period: float = 60.0
    backoff: float = 0.05


class Phase(enum.Enum):
    """How far an envelope has come; see the picture above."""

    OUTSIDE = "outside"
    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"


@attrs.define(eq=False)
class Envelope:
    """A message and the way back to its asker.

    Attributes:
        asker: the task that sleeps for it; None while that is awake.
        verdict: what to tell the asker if the mailbox cancels the message.
    """

    message: Message[Any]
    phase: Phase
    ticket: Ticket = attrs.field(init=False)
    cancel_scope: trio.CancelScope = attrs.field(factory=trio.CancelScope)
    asker: trio.lowlevel.Task | None = None
    verdict: RunnerError | None = None


@attrs.frozen(kw_only=True)
class MailboxStatistics:
    """A mailbox at one moment.

    Attributes:
        outside: messages that wait for room.
        queued: messages that wait for their turn.
        running: messages that are being carried out.
        taken: messages that were called up since the mailbox was opened.
        idle: seconds since the last message; 0 while there is one.
    """

    is_open: bool
    is_served: bool
    outside: int
    queued: int
    running: int
    taken: int
    idle: float


@attrs.define(eq=False, repr=False)
class Mailbox:
    """The mailbox of one actor; made by the supervisor, closed once and for good."""

    spec: ChildSpec
    place: Place
    on_quiet: Callable[[Mailbox], None] | None = None
    last_used: float = attrs.field(factory=trio.current_time)
    _handle: Handle | None = None
    _is_open: bool = True
    _outside: deque[Envelope] = attrs.field(factory=deque)
    _queued: dict[Envelope, None] = attrs.field(factory=dict)
    _running: dict[Envelope, None] = attrs.field(factory=dict)
    _taken: int = 0
    _crash: Exception | None = None
    _ended: trio.Event | None = None
    _quiet: trio.Event | None = None

    # ------------------------------------------------------------ for askers

    async def ask(self, message: Message[AnswerT]) -> AnswerT:
        """Carry a message through and give its answer.

        Raises:
            MailboxClosed: it never began.
            ActorCrashed: the actor crashed while it carried this message out.
            RunnerError: the answer, if it is an error.

        Cancellation: while it waits, it leaves at once and never runs; while it runs, it is
        cancelled and this returns when it has been put down.
        """
        lane = self.spec.lane(message)
        answer: object = None
        if self._handle is not None and not self._outside and self.place.is_free(lane):
            try:
                answer = self._handle(message)
            except RunnerError:
                self.last_used = trio.current_time()
                raise
            except Exception as crash:  # noqa: BLE001 - any other error is a crash
                self._fail(crash)
            if type(answer) is not CoroutineType:
                self._taken += 1
                self.last_used = trio.current_time()
                return cast("AnswerT", answer)
        envelope = self._post(message, lane)
        if envelope.phase is not Phase.RUNNING:
            await self._wait_for_call(envelope)
        return cast("AnswerT", await self._carry_out(envelope, answer))

    async def ask_nowait(self, message: Message[AnswerT]) -> AnswerT:
        """As `ask`, but do not wait for room.

        Raises:
            MailboxFull: as many messages wait as the mailbox takes.
        """
        if self.spec.lane(message) is not Lane.CONTROL and self._is_full():
            msg = f"{len(self._queued)} messages wait for {self.spec.key!r} already"
            raise MailboxFull(msg)
        return await self.ask(message)

    # ------------------------------------------------------------ for the actor's task

    def serve(self, handle: Handle) -> None:
        """The actor is there: call up all whose turn it is."""
        self._handle = handle
        self._crash = None
        for envelope in list(self._queued):
            if envelope.ticket.granted:
                self._call_up(envelope)

    async def wait_ended(self) -> Exception | None:
        """Wait until the mailbox is closed (None) or a message has crashed the actor."""
        if self._is_open and self._crash is None:
            self._ended = trio.Event()
            await self._ended.wait()
        return self._crash

    def pause(self, cause: Exception | None) -> None:
        """The actor goes: call nobody up any more, and cancel what is running.

        Args:
            cause: what the actor crashed with; None if it is shut down, or not known yet.
        """
        self._handle = None
        for envelope in self._running:
            if envelope.verdict is None:
                envelope.verdict = _ended(self.spec.key, cause)
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
    def is_busy(self) -> bool:
        """Whether a message waits or is running."""
        return bool(self._queued or self._running or self._outside)

    def close(self, answer: RunnerError | None = None) -> None:
        """Take nothing any more and answer all who wait; what is running goes on.

        Args:
            answer: what to tell them; None = `MailboxClosed`, which makes them ask again.
        """
        self._is_open = False
        self._handle = None
        waiting = [*self._queued, *self._outside]
        self._outside.clear()
        for envelope in waiting:
            self._withdraw(envelope)
            self._wake(envelope, outcome.Error(answer or self._never_began()))
        if self._ended is not None:
            self._ended.set()

    def statistics(self) -> MailboxStatistics:
        """The mailbox at this moment."""
        return MailboxStatistics(
            is_open=self._is_open,
            is_served=self._handle is not None,
            outside=len(self._outside),
            queued=len(self._queued),
            running=len(self._running),
            taken=self._taken,
            idle=0.0 if self.is_busy else trio.current_time() - self.last_used,
        )

    def __repr__(self) -> str:
        state = "closed" if not self._is_open else "served" if self._handle else "not served"
        waiting = len(self._queued) + len(self._outside)
        return (
            f"<Mailbox {self.spec.key!r} {state}: {waiting} waiting, {len(self._running)} running>"
        )

    # ------------------------------------------------------------ the way of an envelope

    def _is_full(self) -> bool:
        return len(self._queued) >= self.spec.capacity or bool(self._outside)

    def _post(self, message: Message[Any], lane: Lane) -> Envelope:
        if not self._is_open:
            raise self._never_began()
        envelope = Envelope(message, Phase.OUTSIDE)
        envelope.ticket = Ticket(lane, lambda: self._granted(envelope))
        if lane is not Lane.CONTROL and self._is_full():
            self._outside.append(envelope)
        else:
            self._enter(envelope)
        return envelope

    def _enter(self, envelope: Envelope) -> None:
        envelope.phase = Phase.QUEUED
        self._queued[envelope] = None
        if self.place.enter(envelope.ticket) and self._handle is not None:
            self._call_up(envelope)

    def _granted(self, envelope: Envelope) -> None:
        if self._handle is not None:
            self._call_up(envelope)

    def _call_up(self, envelope: Envelope) -> None:
        del self._queued[envelope]
        self._running[envelope] = None
        envelope.phase = Phase.RUNNING
        self._taken += 1
        self._wake(envelope, outcome.Value(None))
        self._let_in()

    def _let_in(self) -> None:
        while self._outside and len(self._queued) < self.spec.capacity:
            self._enter(self._outside.popleft())

    def _wake(self, envelope: Envelope, result: outcome.Outcome[None]) -> None:
        if envelope.asker is not None:
            task, envelope.asker = envelope.asker, None
            trio.lowlevel.reschedule(task, result)

    async def _wait_for_call(self, envelope: Envelope) -> None:
        def leave(_: object) -> trio.lowlevel.Abort:
            envelope.asker = None
            self._withdraw(envelope)
            self._let_in()
            return trio.lowlevel.Abort.SUCCEEDED

        envelope.asker = trio.lowlevel.current_task()
        await trio.lowlevel.wait_task_rescheduled(leave)

    def _withdraw(self, envelope: Envelope) -> None:
        if envelope.phase is Phase.QUEUED:
            del self._queued[envelope]
            self._leave_order(envelope)
        elif envelope in self._outside:
            self._outside.remove(envelope)
        envelope.phase = Phase.DONE
        self._note_quiet()

    async def _carry_out(self, envelope: Envelope, answer: object) -> object:
        """Call the handle in the asker's task, and await its answer if it is a coroutine.

        `answer` is that coroutine if the handle has been called already.
        """
        try:
            with envelope.cancel_scope:
                if answer is None:
                    answer = await self._begin(envelope)
                return await answer if isinstance(answer, CoroutineType) else answer
        except RunnerError:
            raise
        except Exception as crash:  # noqa: BLE001 - any other error is a crash
            self._fail(crash)
        except BaseExceptionGroup as group:
            # A handle that crashed while it was cancelled: a crash, and no group for the asker.
            crashes = group.split(trio.Cancelled)[1]
            if not isinstance(crashes, ExceptionGroup):
                raise
            self._fail(crashes)
        finally:
            self._finish(envelope)
        assert envelope.verdict is not None, "only the mailbox cancels this scope, with a verdict"
        raise envelope.verdict

    async def _begin(self, envelope: Envelope) -> object:
        handle = self._handle
        if handle is None or envelope.verdict is not None:
            raise self._never_began()
        # Cancelled after it was called up, before it has begun: it must not run.
        await trio.lowlevel.checkpoint_if_cancelled()
        return handle(envelope.message)

    def _fail(self, crash: Exception) -> NoReturn:
        """The actor is unsound from here on: its task ends it, and the asker is told so."""
        if self._handle is not None:  # else it is going already: what came first is the cause
            self._crash = crash
            self.pause(crash)
            if self._ended is not None:
                self._ended.set()
        raise _ended(self.spec.key, crash) from crash

    def _finish(self, envelope: Envelope) -> None:
        envelope.phase = Phase.DONE
        del self._running[envelope]
        self.last_used = trio.current_time()
        self._leave_order(envelope)
        self._note_quiet()

    def _leave_order(self, envelope: Envelope) -> None:
        for ticket in self.place.leave(envelope.ticket):
            ticket.on_grant()

    def _never_began(self) -> MailboxClosed:
        return MailboxClosed(f"{self.spec.key!r} ended before the message began", self)

    def _note_quiet(self) -> None:
        if self._running:
            return
        if self._quiet is not None:
            self._quiet.set()
            self._quiet = None
        if self.on_quiet is not None and not self.is_busy:
            self.on_quiet(self)


def _ended(key: Hashable, cause: Exception | None) -> ActorCrashed:
    if cause is None:
        return ActorCrashed(f"{key!r} ended while it carried the message out")
    error = ActorCrashed(f"{key!r} crashed: {type(cause).__name__}: {cause}")
    error.__cause__ = cause
    return error
