"""The board: what is known of a running batch, from what its observer is told.

Everything that is shown while a batch runs comes from here: who runs since when, in which phase,
silent for how long; what is finished; how long it may still take. Values and rules only: the time
is given, nothing is written, and taking something in costs the same with 5 jobs and with 5,000.
"""

from __future__ import annotations

from collections import Counter

import attrs

from runner.agents.events import Usage, UsageChanged
from runner.jobs.progress import (
    AgentSaid,
    AttemptEnded,
    BatchStarted,
    JobCut,
    JobFinished,
    JobStarted,
    PhaseChanged,
    Progress,
    TurnEnded,
)


@attrs.define(eq=False, kw_only=True)
class Running:
    """A job whose attempt is being carried out.

    Attributes:
        began: when the attempt began; like all times here, in seconds on one clock.
        heard: when it was last heard of.
        turns: that have ended in this attempt.
        ended: tokens of those.
        now: tokens of the turn in flight, as far as the agent says them.
    """

    id: str
    attempt: int
    began: float
    heard: float
    phase: str = "starting"
    turns: int = 0
    ended: Usage = attrs.field(factory=Usage)
    now: Usage = attrs.field(factory=Usage)

    @property
    def tokens(self) -> int:
        """Of this attempt so far."""
        return tokens_of(self.ended) + tokens_of(self.now)


@attrs.define(eq=False)
class Board:
    """A batch as it is known now.

    Attributes:
        started: what was said at the beginning.
        running: by id, in the order in which they began.
        waiting: ids of jobs that wait for another attempt, and until when.
        counts: finished jobs of this run by state.
        cut: how many jobs were put down.
        usage: tokens of the jobs finished in this run.
        cost_usd: of them; None as long as nobody says it.
    """

    started: BatchStarted | None = None
    began: float = 0.0
    running: dict[str, Running] = attrs.field(factory=dict)
    waiting: dict[str, float] = attrs.field(factory=dict)
    counts: Counter[str] = attrs.field(factory=Counter)
    cut: int = 0
    usage: Usage = attrs.field(factory=Usage)
    cost_usd: float | None = None

    def take(self, progress: Progress, now: float) -> None:
        """Take in what has happened."""
        match progress:
            case BatchStarted():
                self.started = progress
                self.began = now
            case JobStarted():
                self.waiting.pop(progress.id, None)
                self.running[progress.id] = Running(
                    id=progress.id, attempt=progress.attempt, began=now, heard=now
                )
            case AttemptEnded():
                self.running.pop(progress.id, None)
                self.waiting[progress.id] = now + progress.delay
            case JobCut():
                self.running.pop(progress.id, None)
                self.cut += 1
            case JobFinished():
                self._finish(progress)
            case PhaseChanged() | TurnEnded() | AgentSaid():
                self._hear(progress, now)
            case _:
                pass

    def _finish(self, job: JobFinished) -> None:
        self.running.pop(job.id, None)
        self.waiting.pop(job.id, None)
        self.counts[job.state] += 1
        self.usage += job.usage
        if job.cost_usd is not None:
            self.cost_usd = (self.cost_usd or 0.0) + job.cost_usd

    def _hear(self, progress: PhaseChanged | TurnEnded | AgentSaid, now: float) -> None:
        running = self.running.get(progress.id)
        if running is None:
            return
        running.heard = now
        match progress:
            case PhaseChanged():
                running.phase = progress.phase
            case TurnEnded():
                running.turns += 1
                running.ended += progress.turn.usage
                running.now = Usage()
            case AgentSaid(event=UsageChanged(usage=usage)):
                running.now = usage
            case _:
                pass

    # ------------------------------------------------------------ what it comes to

    @property
    def jobs(self) -> int:
        """How many are to be carried out, those of earlier runs with them."""
        return self.started.jobs if self.started is not None else 0

    @property
    def finished(self) -> int:
        """How many are finished, those of earlier runs with them."""
        before = self.started.finished if self.started is not None else 0
        return before + self.counts.total()

    @property
    def tokens(self) -> int:
        """Of this run so far."""
        return tokens_of(self.usage) + sum(each.tokens for each in self.running.values())

    def remaining(self, now: float) -> float | None:
        """Seconds that it may still take, by what it took so far; None if nobody can know."""
        done = self.counts.total()
        if not done:
            return None
        return (now - self.began) / done * (self.jobs - self.finished)


def tokens_of(usage: Usage) -> int:
    """All tokens, whatever they were for."""
    return usage.input_tokens + usage.cached_tokens + usage.cache_write_tokens + usage.output_tokens
