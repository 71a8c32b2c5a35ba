"""The supervisor: starts actors on first use, restarts, reaps and shuts them down.

    key ─► registered ─► starting ─► serving ─► leaving ─► (forgotten)
              mailbox     own task    ▲     │
                 ▲                    └─────┘ crash, within the restart intensity
                 └──── evicted ─────────────┘ its messages wait for others, who need its room

Rules:

1. Looking a key up registers its mailbox at once; only the supervisor's own task starts actors,
   so that no caller's timeout or context variables get into one, and many callers share a start.
2. A mailbox is closed and unregistered in one synchronous block: whoever looks the key up next
   gets a new one. The new actor starts when the old one has freed what it owned.
3. Every exit closes every mailbox; closing answers everybody.
4. An actor that holds something for its callers (`ChildSpec.holds`) is neither reaped for being
   idle nor made to go for the room of others; a shutdown and `end` do not ask.

What it does not do: know what an actor is for, carry out messages (mailbox.py), live an actor's
life (incarnation.py), find out who is idle (idleness.py) or has room (room.py), count crashes
(restart.py).
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable, Hashable
from contextlib import asynccontextmanager
from math import inf
from typing import TypeVar

import attrs
import trio

from runner.actors import room
from runner.actors.child_spec import ChildSpec
from runner.actors.idleness import HELD, IdleActors
from runner.actors.incarnation import incarnate
from runner.actors.instruments import MailboxStatistics, SupervisorStatistics
from runner.actors.lanes import Order
from runner.actors.mailbox import Mailbox
from runner.actors.restart import Windows
from runner.actors.verdicts import crash_in
from runner.errors import MailboxClosed, RunnerError, SupervisorClosed
from runner.messages import Message

AnswerT = TypeVar("AnswerT")

log = logging.getLogger("runner.actors")


def nobody_cares() -> None:
    """What is called if nobody wants to know."""


@attrs.define(eq=False, repr=False)
class Supervisor:
    """Owner of a nursery of actors. Made by `open_supervisor`.

    Attributes:
        on_quiet: called when an actor has nothing more to do; must not wait.
    """

    _nursery: trio.Nursery
    grace: float
    max_children: int | None
    name: str
    on_quiet: Callable[[], None] = nobody_cares
    _registry: dict[Hashable, Mailbox] = attrs.field(factory=dict)
    _starting: OrderedDict[Mailbox, None] = attrs.field(factory=OrderedDict)
    _actors: dict[Hashable, Mailbox] = attrs.field(factory=dict)  # those with a task
    _windows: Windows = attrs.field(factory=Windows)
    _idle: IdleActors = attrs.field(factory=IdleActors)
    _order: Order = attrs.field(factory=Order)
    _wake: trio.Event = attrs.field(factory=trio.Event)
    _progress: trio.Event | None = None  # set at the next change that an end may wait for
    _closing: bool = False
    _started: int = 0
    _crashed: int = 0
    _reaped: int = 0
    _gave_up: int = 0

    # ------------------------------------------------------------ for callers

    async def ask(self, spec: ChildSpec, message: Message[AnswerT]) -> AnswerT:
        """Ask the actor of a spec, which is started if need be.

        Raises:
            SupervisorClosed: it never began.
            ActorGaveUp: it never began; the actor crashes too often.
            ActorCrashed: it may have had effects.
            RunnerError: the answer, if it is an error.

        Cancellation: see `Mailbox.ask`.
        """
        while True:
            await trio.lowlevel.checkpoint()
            mailbox = self._registry.get(spec.key)
            if mailbox is None or self._closing:
                mailbox = self.mailbox(spec)
            try:
                return await mailbox.ask(message)
            except MailboxClosed as closed:
                if closed.mailbox is not mailbox:
                    raise  # an answer that happens to be of this class

    async def ask_nowait(self, spec: ChildSpec, message: Message[AnswerT]) -> AnswerT:
        """As `ask`, but do not wait for room.

        Raises:
            MailboxFull: as many messages wait as the mailbox takes.
        """
        while True:
            await trio.lowlevel.checkpoint()
            mailbox = self.mailbox(spec)
            try:
                return await mailbox.ask_nowait(message)
            except MailboxClosed as closed:
                if closed.mailbox is not mailbox:
                    raise

    def mailbox(self, spec: ChildSpec) -> Mailbox:
        """The mailbox of a spec's actor, which is registered, and started soon, if it is new."""
        if self._closing:
            raise self._shut_down()
        found = self._registry.get(spec.key)
        if found is not None:
            return found
        self._windows.check(spec.key, trio.current_time())
        order = self._order if spec.place is not None else Order()
        mailbox = Mailbox(spec, order.join(spec.place or ()), self._has_changed)
        self._registry[spec.key] = mailbox
        self._starting[mailbox] = None
        self._wake.set()
        return mailbox

    async def end(self, key: Hashable, answer: RunnerError | None = None) -> None:
        """End the actor of a key now, if there is one; returns when it has freed what it owned.

        What is running comes to its end. Nothing else begins: who waits is answered. May be called
        again, by anybody but the actor's own messages, which it waits for. An ask that comes later
        finds a new actor.

        Args:
            key: of the actor's spec.
            answer: what to tell those who wait; None = they ask again, and find a new actor.

        Cancellation: it leaves at once, and the actor ends all the same.
        """
        await trio.lowlevel.checkpoint()
        mailbox = self._registry.get(key)
        if mailbox is not None:
            self._close(mailbox, answer, drain=True)
        leaving = self._actors.get(key)
        while leaving is not None and self._actors.get(key) is leaving:
            await self._wait_for_progress()

    def idle_since(self, key: Hashable) -> float | None:
        """Since when, on trio's clock, an actor has nothing to do; None if it must not be reaped.

        That is: it has something to do or holds something, it is leaving already, or is not there.
        """
        mailbox = self._registry.get(key)
        if mailbox is None or self._actors.get(key) is not mailbox:
            return None
        return None if mailbox.is_busy or mailbox.is_held else mailbox.last_used

    def reap(self, key: Hashable) -> None:
        """End an idle actor now; the next message brings it back, once what it owned is free."""
        self._reap(self._registry[key])

    def statistics(self) -> SupervisorStatistics:
        """The supervisor at this moment."""
        return SupervisorStatistics(
            mailboxes=len(self._registry),
            actors=len(self._actors),
            starting=len(self._starting),
            started=self._started,
            crashed=self._crashed,
            reaped=self._reaped,
            gave_up=self._gave_up,
            is_closing=self._closing,
        )

    def mailbox_statistics(self) -> dict[Hashable, MailboxStatistics]:
        """Every mailbox at this moment, by key."""
        return {key: mailbox.statistics() for key, mailbox in self._registry.items()}

    def __repr__(self) -> str:
        state = "closing" if self._closing else "open"
        return f"<Supervisor of {self.name}, {state}: {len(self._actors)} actors>"

    # ------------------------------------------------------------ shutting down

    async def shutdown(self) -> None:
        """Take nothing new, serve what is there for `grace` seconds, then cancel the rest.

        Calling it while it runs cancels at once; so does cancelling it. Returns when it has begun
        to end; all is over when `open_supervisor` is left.
        """
        if self._closing:
            self._nursery.cancel_scope.cancel(reason=f"second shutdown of {self.name}")
            return
        self._closing = True
        try:
            with trio.move_on_after(self.grace):
                for mailbox in list(self._registry.values()):
                    while mailbox.is_busy:
                        await self._wait_for_progress()
                self._close_all()
                while self._actors:
                    await self._wait_for_progress()
        finally:
            self._close_all()
            self._nursery.cancel_scope.cancel(reason=f"{self.name} has been shut down")

    async def _wait_for_progress(self) -> None:
        if self._progress is None:
            self._progress = trio.Event()
        await self._progress.wait()

    def _has_progressed(self) -> None:
        if self._progress is not None:
            self._progress.set()
            self._progress = None

    def _close_all(self) -> None:
        """Rule 3: whatever happened, nobody is left waiting."""
        self._closing = True
        for mailbox in [*self._registry.values(), *self._actors.values()]:
            self._close(mailbox, self._shut_down())
            mailbox.pause(None)

    def _shut_down(self) -> SupervisorClosed:
        return SupervisorClosed(f"the supervisor of {self.name} is shut down")

    # ------------------------------------------------------------ its own task

    async def _run(self) -> None:
        """Start what is to be started and reap what is idle, for ever."""
        try:
            while True:
                again = self._start_those_who_can()
                until = min(again, self._reap_those_who_are_idle())
                with trio.move_on_at(until):
                    await self._wake.wait()
                self._wake = trio.Event()
        finally:
            # Cancelled from outside, perhaps while the block of `open_supervisor` still cleans up
            # behind a shield: whoever asks from there must not wait for a start that never comes.
            self._close_all()

    def _start_those_who_can(self) -> float:
        """Start, and make room; when to look again, beside whenever somebody tells."""
        starting, forlorn, wanted = room.admit(self._starting, self._actors, self.max_children)
        for mailbox in forlorn:
            self._close(mailbox)
        for mailbox in starting:
            del self._starting[mailbox]
            self._actors[mailbox.spec.key] = mailbox
            self._nursery.start_soon(self._supervise, mailbox, name=f"actor {mailbox.spec.key!r}")
        if wanted:
            idle, blocked, wanted = room.who_leaves(self._actors.values(), wanted)
            for mailbox in idle:
                self._reap(mailbox)
            for mailbox in blocked:
                mailbox.evict()
        return trio.current_time() + HELD if wanted else inf

    def _has_changed(self, mailbox: Mailbox) -> None:
        """A mailbox has become quiet, or it has a turn and nobody to take it."""
        if self._starting:
            self._wake.set()
        self._has_progressed()
        self.on_quiet()
        is_idle = not mailbox.is_busy and mailbox.is_open and mailbox not in self._starting
        if is_idle and self._idle.watch(mailbox):
            self._wake.set()  # the timer is set for a later one

    # ------------------------------------------------------------ idle actors

    def _reap_those_who_are_idle(self) -> float:
        """Reap; when to look again."""
        for mailbox in self._idle.due(trio.current_time()):
            self._reap(mailbox)
        return self._idle.next(len(self._actors))

    def _reap(self, mailbox: Mailbox) -> None:
        self._reaped += 1
        self._close(mailbox)

    def _close(
        self, mailbox: Mailbox, answer: RunnerError | None = None, *, drain: bool = False
    ) -> None:
        """Rule 2, as one synchronous block."""
        if self._registry.get(mailbox.spec.key) is mailbox:
            del self._registry[mailbox.spec.key]
        mailbox.close(answer, drain=drain)
        if self._starting.pop(mailbox, self) is None:
            mailbox.place.part()

    # ------------------------------------------------------------ the task of an actor

    async def _supervise(self, mailbox: Mailbox) -> None:
        """Run an actor, and again after a crash, until its mailbox is closed or it is evicted."""
        try:
            while mailbox.is_open and mailbox not in self._starting:
                try:
                    refusal = await incarnate(mailbox, self._serves)
                except (Exception, BaseExceptionGroup) as error:
                    # The barrier: siblings are untouched.
                    crash = crash_in(error)
                    if crash is None:
                        raise
                    await self._after_crash(mailbox, crash)
                else:
                    if refusal is not None:
                        self._close(mailbox, refusal)
                    elif mailbox.is_open:
                        self._starting[mailbox] = None  # evicted: it waits for room again
        finally:
            # one synchronous block: nobody may find the mailbox between these
            del self._actors[mailbox.spec.key]
            if mailbox not in self._starting:
                self._close(mailbox, self._shut_down() if self._closing else None)
                mailbox.place.part()
            self._wake.set()
            self._has_progressed()

    def _serves(self, mailbox: Mailbox) -> None:
        self._started += 1
        self._has_changed(mailbox)

    async def _after_crash(self, mailbox: Mailbox, crash: Exception) -> None:
        """Count the crash, and give the actor up or wait before its restart."""
        self._crashed += 1
        now = trio.current_time()
        window = self._windows.of(mailbox.spec, now)
        restart = window.crashed(now)
        what = "giving it up" if not restart else "restarting" if mailbox.is_open else "on leaving"
        log.error("actor %r crashed, %s", mailbox.spec.key, what, exc_info=crash)
        if restart:
            with trio.move_on_after(window.delay()):
                await mailbox.wait_closed()
        else:
            self._gave_up += 1
            self._close(mailbox, self._windows.given_up(mailbox.spec.key))


@asynccontextmanager
async def open_supervisor(
    *,
    name: str = "actors",
    grace: float = 5.0,
    max_children: int | None = None,
    order: Order | None = None,
) -> AsyncGenerator[Supervisor, None]:
    """A supervisor with its nursery.

    Leaving the block drains for `grace` seconds, then cancels; leaving it by an error or by a
    cancellation cancels at once. An error of the block leaves it bare, not in a group.

    Args:
        name: what it supervises, for messages.
        grace: seconds for what is queued and running to come to its end.
        max_children: how many actors there may be; then the longest idle one is reaped, and if
            all are busy, askers wait. None = no limit.
        order: of the actors that have a place; None = one of its own. Actors of supervisors that
            share one wait for each other where their places overlap.
    """
    failure: Exception | None = None
    async with trio.open_nursery() as nursery:
        supervisor = Supervisor(nursery, grace, max_children, name, order=order or Order())
        nursery.start_soon(supervisor._run, name=f"supervisor of {name}")  # noqa: SLF001
        try:
            yield supervisor
            if supervisor.statistics().is_closing:
                await trio.sleep_forever()  # until that shutdown has ended, and cancels us
            await supervisor.shutdown()
        except Exception as exc:  # noqa: BLE001 - raised again below, outside of the nursery
            failure = exc
        finally:
            supervisor._close_all()  # noqa: SLF001
            nursery.cancel_scope.cancel(reason=f"{name} is left")
    if failure is not None:
        raise failure
