"""What is written in the ledger, and told to the observer, about attempts as they go on.

    attempt ──► changes ──► ledger ──commit──► observer

Everything that writes an attempt into the ledger after it was claimed lives here. Whoever follows
the batch is told by the ledger's callback, after the commit, in order; nobody waits for that. An
observer that raises is told nothing more, and its error is handed to the scheduler.

What is not decided here: which attempt is carried out when, and whether there is another.
"""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime

import attrs

from runner.errors import LedgerError
from runner.jobs import statements as changes
from runner.jobs.ledger import Ledger
from runner.jobs.outcome import Outcome
from runner.jobs.output import Output
from runner.jobs.plan import Plan, PlannedJob
from runner.jobs.progress import (
    AttemptEnded,
    JobCut,
    JobFinished,
    JobStarted,
    Observer,
    Phase,
    PhaseChanged,
    Progress,
    TurnEnded,
)
from runner.jobs.results import AttemptRecord, make_result, to_json, write_transcript
from runner.jobs.statements import Change
from runner.jobs.workplace import Kept
from runner.sessions.builds import Build
from runner.sessions.session import Session
from runner.sessions.turn import Turn

EARLIEST = datetime.min.replace(tzinfo=UTC)


def wall_clock() -> datetime:
    """The time of records."""
    return datetime.now(UTC)


@attrs.define(eq=False)
class Pending:
    """An attempt that is to be carried out.

    Attributes:
        earlier: what came of the attempts before it.
        deadline: of the job, on trio's clock; set when its first attempt of this run begins.
        program: the build of the agent's program that carries it out; None if it is not known.
    """

    job: PlannedJob
    number: int
    earlier: tuple[AttemptRecord, ...] = ()
    deadline: float | None = None
    session: str = ""
    started: datetime = EARLIEST
    program: Build | None = None


@attrs.define(eq=False)
class Telling:
    """Tells the ledger, and then the observer.

    Attributes:
        failed: gets the error of the observer.
        finished: how many jobs have got their final state.
        is_stale: whether a job has been finished since the results were written.
    """

    plan: Plan
    output: Output
    ledger: Ledger
    observer: Observer | None
    failed: Callable[[Exception], None]
    finished: int = 0
    is_stale: bool = False

    def post(self, written: Sequence[Change], *told: Progress) -> None:
        """Write changes, and tell the observer about them once they are durable."""
        then = functools.partial(self.tell, *told) if self.observer is not None else None
        self.ledger.post(written, then)

    def tell(self, *told: Progress) -> None:
        """In trio's thread, also from outside of any task: nothing may be raised here."""
        for each in told:
            try:
                if self.observer is not None:
                    self.observer(each)
            except Exception as exc:  # noqa: BLE001  # raised by the scheduler's `run`
                self.observer = None
                self.failed(exc)

    def started(self, pending: Pending) -> None:
        """An attempt begins; the ledger knows since it was claimed."""
        pending.started = wall_clock()
        job = pending.job
        self.tell(JobStarted(id=job.id, number=job.number, attempt=pending.number))

    def cut(self, pending: Pending, *told: JobCut) -> None:
        """An attempt was put down, or is not carried out after all: its job is queued again."""
        with suppress(LedgerError):  # the next one to open the ledger sees that it was cut
            self.post(changes.attempt_cut(pending.job.number, pending.number), *told)

    # ------------------------------------------------------------ the end of an attempt

    def ended(
        self, pending: Pending, record: AttemptRecord, said: Sequence[tuple[str, Turn]]
    ) -> list[Change]:
        """The changes that come with an attempt's end, whatever comes of its job."""
        job, attempt = pending.job, pending.number
        now = wall_clock().isoformat()
        return [
            functools.partial(write_transcript, self.output, job.id, attempt, said),
            *changes.attempt_ended(job.number, attempt, record.state, to_json(record), now),
        ]

    def tries_again(
        self, pending: Pending, outcome: Outcome, delay: float, written: list[Change]
    ) -> None:
        """An attempt has ended, and there is to be another."""
        ended = AttemptEnded(
            id=pending.job.id,
            attempt=pending.number,
            state=outcome.state,
            error=outcome.error,
            error_text=outcome.error_text,
            delay=delay,
        )
        self.post(written, ended)

    def finish(
        self,
        pending: Pending,
        attempts: Sequence[AttemptRecord],
        outcome: Outcome,
        written: list[Change],
        *,
        kept: Kept | None,
    ) -> None:
        """An attempt has ended, and with it its job; `kept` is where its files stay, if they do."""
        job, now = pending.job, wall_clock()
        result = make_result(
            self.plan,
            self.output,
            job,
            outcome,
            attempts,
            kept=kept,
            started=pending.started,
            ended=now,
        )
        written += changes.job_finished(job.number, outcome.state, to_json(result), now.isoformat())
        finished = JobFinished(
            id=job.id,
            number=job.number,
            state=outcome.state,
            verdict=outcome.verdict,
            attempts=len(attempts),
            duration=sum(each.seconds for each in attempts),
            error=outcome.error,
            usage=outcome.usage,
            cost_usd=outcome.cost_usd,
            result=result,
        )
        self.finished += 1
        self.ledger.post(written, functools.partial(self._on_finished, finished))

    def _on_finished(self, finished: JobFinished) -> None:
        self.is_stale = True
        self.tell(finished)


@attrs.define(eq=False)
class Told:
    """The teller of one attempt.

    Attributes:
        follow: begins to follow a session that is about to get its first prompt.
        said: the turns, with their prompts.
    """

    telling: Telling
    pending: Pending
    follow: Callable[[Pending, Session], Awaitable[None]]
    said: list[tuple[str, Turn]] = attrs.field(factory=list)

    def entered(self, phase: Phase) -> None:
        """The attempt has come to another phase."""
        job, attempt = self.pending.job, self.pending.number
        self.telling.post(
            changes.phase_entered(job.number, attempt, phase),
            PhaseChanged(id=job.id, attempt=attempt, phase=phase),
        )

    async def opened(self, session: Session) -> None:
        """The session is about to get its first prompt."""
        await self.follow(self.pending, session)

    def took_turn(self, prompt: str, turn: Turn) -> None:
        """A turn has come to an end."""
        self.said.append((prompt, turn))
        job, attempt = self.pending.job, self.pending.number
        record = {
            "ok": turn.ok,
            "error": turn.error,
            "stop": turn.stop,
            "duration": turn.duration,
            "usage": turn.usage,
            "cost_usd": turn.cost_usd,
            "conversation": turn.conversation,
        }
        self.telling.post(
            changes.turn_ended(job.number, attempt, len(self.said), to_json(record)),
            TurnEnded(id=job.id, attempt=attempt, turn=turn),
        )
