"""The supervisor: starts actors on first use, restarts, reaps and shuts them down.

    key ─► registered ─► starting ─► serving ─► leaving ─► (forgotten)
              mailbox     own task    ▲     │
                                      └─────┘ crash, within the restart intensity

Rules:

1. Looking a key up registers its mailbox at once; only the supervisor's own task starts actors,
   so that no caller's timeout or context variables get into one, and many callers share a start.
2. A mailbox is closed and unregistered in one synchronous block: whoever looks the key up next
   gets a new one. The new actor starts when the old one has freed what it owned.
3. Every exit closes every mailbox; closing answers everybody.

One timer serves all idle actors: a heap with one entry an actor, checked when it comes up.
What it does not do: know what an actor is for, or carry out messages (mailbox.py).
"""

from __future__ import annotations

import heapq
import itertools
import logging
from collections.abc import AsyncGenerator, Hashable
from contextlib import asynccontextmanager
from typing import TypeVar

import attrs
import trio

from runner.actors.lanes import Order
from runner.actors.mailbox import ChildSpec, Mailbox, MailboxStatistics
from runner.actors.restart import RestartWindow
from runner.errors import ActorGaveUp, MailboxClosed, RunnerError, SupervisorClosed
from runner.messages import Message

AnswerT = TypeVar("AnswerT")

log = logging.getLogger("runner.actors")


@attrs.frozen(kw_only=True)
class SupervisorStatistics:
    """A supervisor at one moment; the counts are since it was opened."""

    mailboxes: int
    actors: int
    starting: int
    started: int
    crashed: int
    reaped: int
    gave_up: int
    is_closing: bool


@attrs.define(eq=False, repr=False)
class Supervisor:
    """Owner of a nursery of actors. Made by `open_supervisor`."""

    _nursery: trio.Nursery
    grace: float
    max_children: int | None
    name: str
    _registry: dict[Hashable, Mailbox] = attrs.field(factory=dict)
    _starting: dict[Mailbox, None] = attrs.field(factory=dict)
    _actors: dict[Hashable, Mailbox] = attrs.field(factory=dict)  # those with a task
    _windows: dict[Hashable, RestartWindow] = attrs.field(factory=dict)
    _idle: list[tuple[float, int, Mailbox]] = attrs.field(factory=list)
    _order: Order = attrs.field(factory=Order)
    _numbers: itertools.count[int] = attrs.field(factory=itertools.count)
    _watched: set[Mailbox] = attrs.field(factory=set)  # those in the heap
    _wake: trio.Event = attrs.field(factory=trio.Event)
    _all_gone: trio.Event | None = None
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
            mailbox = self._registry.get(spec.key) or self.mailbox(spec)
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
        found = self._registry.get(spec.key)
        if found is not None:
            return found
        if self._closing:
            raise self._shut_down()
        self._check_window(spec.key)
        order = self._order if spec.place is not None else Order()
        mailbox = Mailbox(spec, order.join(spec.place or ()))
        self._registry[spec.key] = mailbox
        self._starting[mailbox] = None
        self._wake.set()
        return mailbox

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

        Calling it while it runs cancels at once. Returns when it has begun to end; all is over
        when `open_supervisor` is left.
        """
        if self._closing:
            self._nursery.cancel_scope.cancel(reason=f"second shutdown of {self.name}")
            return
        self._closing = True
        with trio.move_on_after(self.grace):
            while busy := next((m for m in self._registry.values() if m.is_busy), None):
                await self._wait_until_quiet(busy)
        for mailbox in list(self._registry.values()):
            self._forget(mailbox)
            mailbox.close(self._shut_down())
            mailbox.pause(None)
        if self._actors:
            self._all_gone = trio.Event()
            with trio.move_on_after(self.grace):
                await self._all_gone.wait()
        self._nursery.cancel_scope.cancel(reason=f"the grace of {self.name} is over")

    async def _wait_until_quiet(self, mailbox: Mailbox) -> None:
        quiet = trio.Event()
        mailbox.on_quiet = lambda _: quiet.set()
        await quiet.wait()

    def _close_all(self) -> None:
        """Rule 3: whatever happened, nobody is left waiting."""
        self._closing = True
        for mailbox in [*self._registry.values(), *self._actors.values()]:
            mailbox.close(self._shut_down())
        self._registry.clear()

    def _shut_down(self) -> SupervisorClosed:
        return SupervisorClosed(f"the supervisor of {self.name} is shut down")

    # ------------------------------------------------------------ its own task

    async def _run(self) -> None:
        """Start what is to be started and reap what is idle, for ever."""
        while True:
            self._start_those_who_can()
            until = self._reap_those_who_are_idle()
            with trio.move_on_at(until):
                await self._wake.wait()
            self._wake = trio.Event()

    def _start_those_who_can(self) -> None:
        for mailbox in list(self._starting):
            key = mailbox.spec.key
            if not mailbox.is_open:
                del self._starting[mailbox]
            elif key in self._actors:
                continue  # rule 2: the one before has not freed what it owned
            elif self._has_room():
                del self._starting[mailbox]
                self._actors[key] = mailbox
                self._nursery.start_soon(self._supervise, mailbox, name=f"actor {key!r}")
            else:
                self._make_room()
                return

    def _has_room(self) -> bool:
        return self.max_children is None or len(self._actors) < self.max_children

    def _make_room(self) -> None:
        """Reap the longest idle actor; if all are busy, wait for the first that is not."""
        actors = [m for m in self._actors.values() if m.is_open]
        if len(actors) < len(self._actors):
            return  # one is leaving already
        idle = [mailbox for mailbox in actors if not mailbox.is_busy]
        if idle:
            self._reap(min(idle, key=lambda mailbox: mailbox.last_used))
        else:
            for mailbox in actors:
                mailbox.on_quiet = self._became_quiet

    def _became_quiet(self, mailbox: Mailbox) -> None:
        mailbox.on_quiet = None
        self._watch(mailbox)
        self._wake.set()

    # ------------------------------------------------------------ idle actors

    def _watch(self, mailbox: Mailbox) -> None:
        """Look at an actor again when it may have become idle."""
        if mailbox in self._watched:
            return
        self._watched.add(mailbox)
        due = mailbox.last_used + mailbox.spec.idle_after
        heapq.heappush(self._idle, (due, next(self._numbers), mailbox))
        if self._idle[0][2] is mailbox:
            self._wake.set()  # the timer is set for a later one

    def _reap_those_who_are_idle(self) -> float:
        """Reap; when to look again."""
        now = trio.current_time()
        while self._idle and self._idle[0][0] <= now:
            _, _, mailbox = heapq.heappop(self._idle)
            self._watched.discard(mailbox)
            if not mailbox.is_open:
                continue
            if mailbox.is_busy:
                mailbox.on_quiet = self._became_quiet
            elif mailbox.last_used + mailbox.spec.idle_after > now:
                self._watch(mailbox)
            else:
                self._reap(mailbox)
        return self._idle[0][0] if self._idle else float("inf")

    def _reap(self, mailbox: Mailbox) -> None:
        self._reaped += 1
        self._forget(mailbox)
        mailbox.close()

    def _forget(self, mailbox: Mailbox) -> None:
        self._starting.pop(mailbox, None)
        if self._registry.get(mailbox.spec.key) is mailbox:
            del self._registry[mailbox.spec.key]

    # ------------------------------------------------------------ the task of an actor

    async def _supervise(self, mailbox: Mailbox) -> None:
        """Run an actor, and again after a crash, until its mailbox is closed."""
        key = mailbox.spec.key
        try:
            while mailbox.is_open:
                try:
                    await self._incarnate(mailbox)
                except RunnerError as error:
                    self._forget(mailbox)
                    mailbox.close(error)
                except Exception as crash:  # noqa: BLE001 - the barrier: siblings are untouched
                    mailbox.pause(crash)
                    await self._after_crash(mailbox, crash)
        finally:
            # one synchronous block: nobody may find the mailbox between these
            self._forget(mailbox)
            mailbox.close(self._shut_down() if self._closing else None)
            mailbox.place.part()
            del self._actors[key]
            self._wake.set()
            if self._all_gone is not None and not self._actors:
                self._all_gone.set()

    async def _incarnate(self, mailbox: Mailbox) -> None:
        async with mailbox.spec.open() as handle:
            self._started += 1
            mailbox.serve(handle)
            self._watch(mailbox)
            crash = None
            try:
                crash = await mailbox.wait_ended()
            finally:
                mailbox.pause(crash)
                # What the callers do must have been put down before the resources go: they have
                # been cancelled, or were asked for before the mailbox closed.
                with trio.CancelScope(shield=True):
                    await mailbox.wait_quiet()
            if crash is not None:
                raise crash

    async def _after_crash(self, mailbox: Mailbox, crash: Exception) -> None:
        """Count the crash, and give the actor up or wait before its restart."""
        self._crashed += 1
        spec = mailbox.spec
        window = self._windows.get(spec.key)
        if window is None:
            window = RestartWindow(spec.max_restarts, spec.period, spec.backoff)
            self._windows[spec.key] = window
        restart = window.crashed(trio.current_time())
        log.error(
            "actor %r crashed, %s",
            spec.key,
            "restarting" if restart else "giving it up",
            exc_info=crash,
        )
        if restart:
            await trio.sleep(window.delay())
        else:
            self._gave_up += 1
            self._forget(mailbox)
            mailbox.close(self._given_up(spec.key))

    def _check_window(self, key: Hashable) -> None:
        window = self._windows.get(key)
        if window is None:
            return
        now = trio.current_time()
        if window.is_clean(now):
            del self._windows[key]
        elif window.has_given_up(now):
            raise self._given_up(key)

    def _given_up(self, key: Hashable) -> ActorGaveUp:
        window = self._windows[key]
        msg = (
            f"{key!r} crashed more than {window.max_restarts} times within {window.period:g} s;"
            " it is tried again after that time"
        )
        return ActorGaveUp(msg)


@asynccontextmanager
async def open_supervisor(
    *, name: str = "actors", grace: float = 5.0, max_children: int | None = None
) -> AsyncGenerator[Supervisor, None]:
    """A supervisor with its nursery.

    Leaving the block drains for `grace` seconds, then cancels; leaving it by an error or by a
    cancellation cancels at once. An error of the block leaves it bare, not in a group.

    Args:
        name: what it supervises, for messages.
        grace: seconds for what is queued and running to come to its end.
        max_children: how many actors there may be; then the longest idle one is reaped, and if
            all are busy, askers wait. None = no limit.
    """
    failure: Exception | None = None
    async with trio.open_nursery() as nursery:
        supervisor = Supervisor(nursery, grace, max_children, name)
        nursery.start_soon(supervisor._run, name=f"supervisor of {name}")  # noqa: SLF001
        try:
            yield supervisor
            await supervisor.shutdown()
        except Exception as exc:  # noqa: BLE001 - raised again below, outside of the nursery
            failure = exc
        finally:
            supervisor._close_all()  # noqa: SLF001
            nursery.cancel_scope.cancel(reason=f"{name} is left")
    if failure is not None:
        raise failure
