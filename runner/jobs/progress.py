"""What happens in a batch, as values, for whoever shows or follows it; and how to end it early.

An observer is called in trio's thread, in order, and must not block. What it is told about jobs,
attempts and turns is durable already; a phase and an agent's events are told as they come.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal, TypeAlias

import attrs

from runner.agents.events import Event, Usage
from runner.messages import InForce
from runner.sessions.turn import Turn

Phase: TypeAlias = Literal["workspace", "setup", "turns", "patch", "verify"]


@attrs.frozen(kw_only=True)
class BatchStarted:
    """The batch is about to be carried out.

    Attributes:
        jobs: how many are selected; `finished` of them were finished before.
        isolation: what holds the jobs' programs; None = nothing was asked for.
    """

    batch: str
    output: str
    jobs: int
    finished: int
    concurrency: int
    isolation: InForce | None = None


@attrs.frozen(kw_only=True)
class JobStarted:
    """An attempt of a job is about to be carried out."""

    id: str
    number: int
    attempt: int


@attrs.frozen(kw_only=True)
class PhaseChanged:
    """An attempt has come to another phase."""

    id: str
    attempt: int
    phase: Phase


@attrs.frozen(kw_only=True)
class AgentSaid:
    """An event of an agent's conversation; only told to those who ask to follow them."""

    id: str
    attempt: int
    event: Event


@attrs.frozen(kw_only=True)
class TurnEnded:
    """A turn has come to an end."""

    id: str
    attempt: int
    turn: Turn


@attrs.frozen(kw_only=True)
class AttemptEnded:
    """An attempt has come to an end that is not the job's; the next begins in `delay` seconds."""

    id: str
    attempt: int
    state: str
    error: str | None
    error_text: str
    delay: float


@attrs.frozen(kw_only=True)
class JobCut:
    """An attempt was put down by an interrupt; the job is queued, for when the batch goes on."""

    id: str
    attempt: int


@attrs.frozen(kw_only=True)
class JobFinished:
    """A job has come to its final state.

    Attributes:
        result: its line in `results.jsonl`.
    """

    id: str
    number: int
    state: str
    verdict: str
    attempts: int
    duration: float
    error: str | None
    usage: Usage
    cost_usd: float | None
    result: Mapping[str, object]


@attrs.frozen(kw_only=True)
class Report:
    """What a batch came to.

    Attributes:
        counts: the selected jobs by state: the final ones, `cancelled` (put down by an interrupt;
            they go on when the batch does) and `queued` (not begun). Only states that occur.
        exit_code: the worst job's class, as documented for the command line.
        jobs: how many are selected.
        finished: how many of them were finished by this run.
        duration: seconds of this run.
        usage: of all finished jobs that are selected, with all their attempts.
    """

    batch: str
    output: str
    results: str
    summary: str
    counts: Mapping[str, int]
    exit_code: int
    jobs: int
    finished: int
    duration: float
    usage: Usage
    cost_usd: float | None

    @property
    def is_complete(self) -> bool:
        """Whether every selected job has its final state."""
        return not ({"cancelled", "queued"} & self.counts.keys())


@attrs.frozen(kw_only=True)
class BatchDone:
    """The batch's results are written."""

    report: Report


Progress: TypeAlias = (
    BatchStarted
    | JobStarted
    | PhaseChanged
    | AgentSaid
    | TurnEnded
    | AttemptEnded
    | JobCut
    | JobFinished
    | BatchDone
)
Observer: TypeAlias = Callable[[Progress], object]


class Control:
    """Ends a batch early: each verb is stronger than the one before, and none is taken back.

    Its methods may be called in any thread.
    """

    def __init__(self) -> None:
        self._level = 0
        self._listeners: list[Callable[[], None]] = []

    def drain(self) -> None:
        """Begin no more attempts; those that run come to their end."""
        self._raise_to(1)

    def interrupt(self) -> None:
        """Also interrupt turns and end commands; their jobs are queued again."""
        self._raise_to(2)

    def kill(self) -> None:
        """Also put everything down at once."""
        self._raise_to(3)

    @property
    def is_draining(self) -> bool:
        """Whether no more attempts begin."""
        return self._level >= 1

    @property
    def is_interrupting(self) -> bool:
        """Whether turns are interrupted."""
        return self._level >= 2

    @property
    def is_killing(self) -> bool:
        """Whether everything is put down."""
        return self._level >= 3

    def listen(self, listener: Callable[[], None]) -> None:
        """Have a function called after every change, in the thread that makes it."""
        self._listeners.append(listener)

    def _raise_to(self, level: int) -> None:
        if level > self._level:
            self._level = level
            for listener in self._listeners:
                listener()
