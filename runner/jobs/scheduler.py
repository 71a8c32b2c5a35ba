"""Which attempt is carried out when, and what it means for its job.

    waiting ──claim (durable)──► claimed ──slot──► running ──► final
       ▲                                             │
       └──────────── another attempt, later ◄────────┘

1. An attempt is in the ledger as begun before it begins. Attempts are claimed some at a time, ahead
   of the slots, so that no slot waits for the disk: twice as many from the moment that one did.
2. No slot waits for its outcome to be durable either.
3. An attempt that is cut (interrupt, kill, cancellation, SIGKILL) does not count: the job is queued
   again under the same attempt number.
4. An error of ours ends the batch: it is raised when all slots have put down what they do.

Everything that changes what is waiting, claimed or running lives here. What an attempt does is
`attempt`'s business, whether there is another `outcome`'s, what is written and told `telling`'s.
"""

from __future__ import annotations

import functools
import heapq
import math
import uuid
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

import trio

from runner.errors import ConfigError, RunnerError
from runner.jobs import statements as changes
from runner.jobs.attempt import Attempt, Cut, Tools
from runner.jobs.ledger import Ledger
from runner.jobs.outcome import Outcome, delay_before_next, is_kept
from runner.jobs.output import Output
from runner.jobs.plan import PlannedJob
from runner.jobs.progress import AgentSaid, Control, JobCut, Observer
from runner.jobs.results import record_of
from runner.jobs.statements import Statement
from runner.jobs.telling import Pending, Telling, Told, wall_clock
from runner.sessions.session import Session

MOST_AHEAD = 128  # attempts that are claimed at a time


class Scheduler:
    """Carries out the attempts of one batch."""

    def __init__(
        self,
        tools: Tools,
        output: Output,
        ledger: Ledger,
        control: Control,
        observer: Observer | None,
        *,
        follows: bool = False,
    ) -> None:
        """Begin with nothing to do; `follows` is whether the observer is told agents' events."""
        self._tools = tools
        self._plan = tools.plan
        self._output = output
        self._ledger = ledger
        self._control = control
        self._telling = Telling(tools.plan, output, ledger, observer, self._fail)
        self._follows = follows and observer is not None
        self._waiting: list[tuple[float, int, Pending]] = []
        self._claimed: deque[Pending] = deque()
        self._claiming = 0
        self._ahead = 1  # how many attempts are claimed at a time
        self._idle = 0  # slots without an attempt
        self._running: set[Attempt] = set()  # of a job there may be two: one is being taken away
        self._changed = trio.Event()
        self._outer: trio.Nursery | None = None
        self._nursery: trio.Nursery | None = None  # of the slots; ends when they do
        self._failure: Exception | None = None
        self.cut = 0

    async def run(
        self,
        pending: Sequence[Pending],
        concurrency: int,
        beside: Callable[[], Awaitable[None]],
    ) -> None:
        """Carry out what is pending, and what comes of it.

        Args:
            pending: the first attempts.
            concurrency: how many are carried out at a time.
            beside: goes on for as long as there is something to do.

        Raises:
            LedgerError: the ledger cannot be written.
            ConfigError: the agent's program is another one than in the attempts before; those that
                had begun came to their end.
        """
        now = trio.current_time()
        self._waiting = [(now, each.job.number, each) for each in pending]
        heapq.heapify(self._waiting)
        self._ahead = min(concurrency, MOST_AHEAD)
        here = trio.lowlevel.current_trio_token()
        self._control.listen(functools.partial(self._hear_control, here))
        try:
            async with trio.open_nursery() as nursery:
                self._outer = nursery
                nursery.start_soon(self._guarded, beside)
                async with trio.open_nursery() as slots:
                    self._nursery = slots
                    for _ in range(min(concurrency, len(pending))):
                        slots.start_soon(self._guarded, self._slot)
                nursery.cancel_scope.cancel()  # the rest is beside
        finally:
            self._nursery = self._outer = None
            self._give_back()
        if self._failure is None or isinstance(self._failure, ConfigError):
            await self._ledger.write()  # what was posted is told now, and told can fail, too
        if self._failure is not None:
            raise self._failure

    @property
    def finished(self) -> int:
        """How many jobs have got their final state."""
        return self._telling.finished

    def takes_stale(self) -> bool:
        """Whether a job has been finished since this was asked."""
        was, self._telling.is_stale = self._telling.is_stale, False
        return was

    def _fail(self, exc: Exception) -> None:
        self._failure = self._failure or exc
        if self._outer is not None:
            self._outer.cancel_scope.cancel()

    # ------------------------------------------------------------ the agents' events

    async def _follow(self, pending: Pending, session: Session) -> None:
        """Tell the observer what an agent says, until its session is closed."""
        if self._follows and self._nursery is not None:
            follows = trio.Event()
            self._nursery.start_soon(self._tell_events, pending, session, follows)
            await follows.wait()

    async def _tell_events(self, pending: Pending, session: Session, follows: trio.Event) -> None:
        async with session.events() as follower:
            follows.set()
            async for event in follower:
                said = AgentSaid(id=pending.job.id, attempt=pending.number, event=event.event)
                self._telling.tell(said)

    # ------------------------------------------------------------ which attempt when

    async def _guarded(self, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        except Exception as exc:  # noqa: BLE001  # raised bare by `run`
            self._fail(exc)

    async def _slot(self) -> None:
        while (pending := await self._next()) is not None:
            await self._carry_out(pending)

    async def _next(self) -> Pending | None:
        """The next attempt; None when there is, and will be, none."""
        while not self._control.is_draining and self._failure is None:
            self._claim()
            if self._claimed:
                return self._claimed.popleft()
            if not (self._waiting or self._claiming or self._running):
                self._wake()
                return None
            due = self._waiting[0][0] if self._waiting and not self._claiming else math.inf
            self._idle += 1
            try:
                with trio.move_on_at(due):
                    await self._changed.wait()
            finally:
                self._idle -= 1
        return None

    def _wake(self) -> None:
        self._changed.set()
        self._changed = trio.Event()

    def _claim(self) -> None:
        """Have due attempts written down as begun, well before the slots run out of them."""
        if len(self._claimed) + self._claiming > self._ahead // 2:
            return
        now, written = trio.current_time(), wall_clock().isoformat()
        chunk: list[Pending] = []
        statements: list[Statement] = []
        while self._waiting and self._waiting[0][0] <= now and len(chunk) < self._ahead:
            pending = heapq.heappop(self._waiting)[2]
            pending.session = str(uuid.uuid4())
            chunk.append(pending)
            statements += changes.attempt_began(
                pending.job.number, pending.number, pending.session, written
            )
        if chunk:
            self._claiming += len(chunk)
            then = functools.partial(self._on_claimed, chunk)
            self._ledger.post(statements, then, at_once=True)

    def _on_claimed(self, chunk: Sequence[Pending]) -> None:
        self._claiming -= len(chunk)
        if self._idle and not self._claimed:
            self._ahead = min(2 * self._ahead, MOST_AHEAD)
        self._claimed += chunk
        self._wake()

    def _give_back(self) -> None:
        """What was claimed and not begun is queued again."""
        for pending in self._claimed:
            self._telling.cut(pending)
        self._claimed.clear()

    def _hear_control(self, here: trio.lowlevel.TrioToken) -> None:
        """The control has changed, in whichever thread it is used."""
        if trio.lowlevel.in_trio_run() and trio.lowlevel.current_trio_token() is here:
            self._on_control()
            return
        with suppress(trio.RunFinishedError):
            here.run_sync_soon(self._on_control)

    def _on_control(self) -> None:
        self._wake()
        for attempt in list(self._running):
            if self._control.is_killing:
                attempt.kill()
            elif self._control.is_interrupting and self._nursery is not None:
                self._nursery.start_soon(self._interrupt, attempt)

    async def _interrupt(self, attempt: Attempt) -> None:
        try:
            await attempt.interrupt()
        except Exception:  # noqa: BLE001  # a session that is just ending: nothing is left to end
            attempt.kill()

    # ------------------------------------------------------------ one attempt

    async def _carry_out(self, pending: Pending) -> None:
        job = pending.job
        told = Told(self._telling, pending, self._follow)
        if pending.deadline is None:
            timeout = self._plan.batch.limits.job_timeout or math.inf
            pending.deadline = trio.current_time() + timeout
        attempt = Attempt(self._tools, job, pending.number, pending.session, told, pending.deadline)
        self._running.add(attempt)
        try:
            pending.program = await self._tools.programs.look()
            self._telling.started(pending)
            outcome = await attempt.carry_out()
        except ConfigError as exc:  # it would be another program's: no more are begun
            self._failure = self._failure or exc
            self._telling.cut(pending)
        except Cut:
            self._control.drain()  # it was interrupted, or the layers below are closing
            self.cut += 1
            self._telling.cut(pending, JobCut(id=job.id, attempt=pending.number))
            await self._drop(job, pending.number)
        except BaseException:
            self._telling.cut(pending)
            raise
        else:
            await self._ended(pending, outcome, told)
        finally:
            self._running.discard(attempt)
            self._wake()

    async def _drop(self, job: PlannedJob, attempt: int) -> None:
        with suppress(OSError, RunnerError):  # what cannot be removed is in nobody's way
            await self._tools.workplaces.drop(job.id, attempt)

    async def _ended(self, pending: Pending, outcome: Outcome, told: Told) -> None:
        """An attempt has an outcome: another attempt, or the job's final state."""
        batch, job, workplaces = self._plan.batch, pending.job, self._tools.workplaces
        record = record_of(outcome, pending.program)
        written = self._telling.ended(pending, record, told.said)
        states = [each.state for each in pending.earlier]
        delay = delay_before_next(batch.retry, outcome, states, wall_clock())
        attempts = (*pending.earlier, record)
        keeps = batch.keep == "always" or (delay is None and is_kept(batch.keep, outcome))
        kept = await workplaces.keep(job.id, pending.number) if keeps else None
        if delay is not None:
            self._telling.tries_again(pending, outcome, delay, written)
            following = Pending(job, pending.number + 1, attempts, pending.deadline)
            heapq.heappush(self._waiting, (trio.current_time() + delay, job.number, following))
        else:
            self._telling.finish(pending, attempts, outcome, written, kept=kept)
        if not keeps:
            await self._drop(job, pending.number)
