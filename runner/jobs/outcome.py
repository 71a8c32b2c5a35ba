"""What an attempt came to, and whether there is to be another: pure rules.

    state        what happened                                            another attempt?
    ok           the agent's turns are good, and every verify command is  no
    unverified   the agent's turns are good, a verify command is not      `retry.verify`
    failed       a turn is not good, by the agent's own fault             `retry.agent`
    infra        provider, network, a crash, a workspace, setup           `retry.infra`, later

A refused key, a bad request, a spent budget, a conversation that is too long, a refusal, a missing
program and a spent job timeout are `failed` for good: another attempt would come to the same.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import datetime
from pathlib import PurePosixPath
from typing import Literal, TypeAlias

import attrs

from runner.agents.events import ErrorClass, Usage
from runner.jobs.spec import Keep, Retry
from runner.messages import InForce, Limit, NetworkDecision
from runner.sessions.turn import Turn

State: TypeAlias = Literal["ok", "failed", "unverified", "infra"]
Verdict: TypeAlias = Literal["verified", "unverified", "none"]

INFRA_ERRORS = frozenset(
    {
        ErrorClass.RATE_LIMITED,
        ErrorClass.OVERLOADED,
        ErrorClass.NETWORK,
        ErrorClass.CRASHED,
        ErrorClass.PROTOCOL,
        ErrorClass.STALLED,
    }
)
# Words for what is no turn's error: the phase that failed, or what was missing or used up.
UNAVAILABLE = "unavailable"
JOB_TIMEOUT = "job_timeout"
FOR_GOOD = frozenset(
    {
        ErrorClass.AUTH.value,
        ErrorClass.BAD_REQUEST.value,
        ErrorClass.BUDGET.value,
        ErrorClass.CONTEXT_OVERFLOW.value,
        ErrorClass.REFUSED.value,
        UNAVAILABLE,
        JOB_TIMEOUT,
    }
)


@attrs.frozen(kw_only=True)
class Check:
    """A setup or verify command that was run.

    Attributes:
        exit_code: 0 to 255, or minus a signal's number.
        output: the end of what it wrote, both streams.
        isolation: what held it; None = nothing was asked for.
        limit_exceeded: which limit ended it, or one of its processes.
    """

    command: str
    ok: bool
    exit_code: int
    outcome: str
    duration: float
    output: str
    isolation: InForce | None = None
    limit_exceeded: Limit | None = None

    @property
    def failure(self) -> str:
        """How it failed, as a sentence."""
        how = f"exit code {self.exit_code}" if self.outcome == "exited" else self.outcome
        if self.limit_exceeded is not None:
            how += f", its limit on {self.limit_exceeded} was exceeded"
        return f"{self.command}: {how}"


@attrs.frozen(kw_only=True)
class Files:
    """What all turns of an attempt together did to the files; paths are sorted."""

    created: tuple[str, ...] = ()
    modified: tuple[str, ...] = ()
    deleted: tuple[str, ...] = ()
    renamed: tuple[tuple[str, str], ...] = ()


@attrs.frozen(kw_only=True)
class Outcome:
    """What an attempt came to.

    Attributes:
        error: why it is not ok: a turn's error class, or the name of the phase that failed.
        checks: the verify commands that were run; for a failed setup, the one that failed.
        durations: seconds, by phase.
        has_patch: whether a patch was written.
        patch_error: why there is none although files were changed.
        reached: what programs asked the network's proxy for, and its answers, each once.
    """

    state: State
    verdict: Verdict = "none"
    error: str | None = None
    error_text: str = ""
    resets_at: datetime | None = None
    turns: tuple[Turn, ...] = ()
    checks: tuple[Check, ...] = ()
    durations: dict[str, float] = attrs.field(factory=dict)
    has_patch: bool = False
    patch_error: str = ""
    reached: tuple[NetworkDecision, ...] = ()

    @property
    def isolation(self) -> InForce | None:
        """What held its programs; None = nothing was asked for, or none ran."""
        held = [turn.isolation for turn in self.turns] + [each.isolation for each in self.checks]
        return next((each for each in held if each is not None), None)

    @property
    def limit_exceeded(self) -> Limit | None:
        """The first limit that one of its programs exceeded."""
        passed = [turn.limit_exceeded for turn in self.turns]
        passed += [check.limit_exceeded for check in self.checks]
        return next((each for each in passed if each is not None), None)

    @property
    def usage(self) -> Usage:
        """Tokens of all turns."""
        return sum((turn.usage for turn in self.turns), Usage())

    @property
    def cost_usd(self) -> float | None:
        """Of all turns; None if nobody says it of any."""
        costs = [turn.cost_usd for turn in self.turns if turn.cost_usd is not None]
        return sum(costs) if costs else None


def of_turns(turns: Sequence[Turn]) -> Outcome | None:
    """The outcome if the last turn decides it; None if it is good."""
    if not turns or turns[-1].ok:
        return None
    last = turns[-1]
    error = last.error or ErrorClass.FAILED
    return Outcome(
        state="infra" if error in INFRA_ERRORS else "failed",
        error=error.value,
        error_text=last.error_text,
        resets_at=last.resets_at,
        turns=tuple(turns),
    )


def delay_before_next(
    retry: Retry, outcome: Outcome, earlier: Sequence[str], now: datetime
) -> float | None:
    """Seconds until the next attempt; None if there is none.

    Args:
        retry: the batch's rules.
        outcome: of the last attempt.
        earlier: the states of the attempts before it.
        now: wall-clock time, aware.
    """
    allowed = {
        "ok": 0,
        "failed": 0 if outcome.error in FOR_GOOD else retry.agent,
        "unverified": retry.verify,
        "infra": retry.infra,
    }[outcome.state]
    used = list(earlier).count(outcome.state)
    if used >= allowed:
        return None
    if outcome.state != "infra":
        return 0.0
    delay: float = min(retry.backoff * 2**used, retry.max_backoff)
    if outcome.resets_at is not None:
        until = (outcome.resets_at - now).total_seconds()
        if until > retry.max_wait:
            return None
        delay = max(delay, until)
    # Later only, so that those whom a provider sent away together do not come back together.
    return delay * random.uniform(1.0, 1.25)  # noqa: S311  # no secret


def is_kept(keep: Keep, outcome: Outcome) -> bool:
    """Whether the files of a job's last attempt are kept, by the batch's rule.

    They are in any case where a patch of them could not be made: nobody else has them then.
    """
    return {
        "always": True,
        "changed": bool(touched(outcome.turns)),
        "failed": outcome.state != "ok",
        "never": False,
    }[keep] or bool(outcome.patch_error)


def files_of(turns: Sequence[Turn]) -> Files:
    """What turns did together: a file made in one and removed in a later one was never there."""
    tracks = _Tracks()
    for turn in turns:
        moved = [(str(new), tracks.take(str(old))) for old, new in turn.files_renamed]
        for path in turn.files_deleted:
            tracks.take(str(path))
        for new, track in moved:
            tracks.now[new] = track
        for path in turn.files_created:
            tracks.now[str(path)] = (None, False)
        for path in turn.files_modified:
            tracks.now[str(path)] = (tracks.take(str(path))[0], True)
    return tracks.files()


@attrs.define
class _Tracks:
    """Where each file came from: (its path before the first turn, or None; whether it changed).

    Attributes:
        now: of the paths that were touched and are there.
        left: paths from before the first turn that are not there, or not what they were.
    """

    now: dict[str, tuple[str | None, bool]] = attrs.field(factory=dict)
    left: set[str] = attrs.field(factory=set)

    def take(self, path: str) -> tuple[str | None, bool]:
        """The file's track, taken off its path."""
        if path in self.now:
            return self.now.pop(path)
        self.left.add(path)
        return path, False

    def files(self) -> Files:
        if not (self.now or self.left):
            return Files()
        origins = {origin for origin, _ in self.now.values()}
        lost = self.left - origins
        created = {path for path, (origin, _) in self.now.items() if origin is None} - lost
        replaced = {path for path, (origin, _) in self.now.items() if origin is None} & lost
        changed = {path for path, (origin, changed) in self.now.items() if changed and origin}
        renamed = [(origin, path) for path, (origin, _) in self.now.items() if origin]
        return Files(
            created=tuple(sorted(created)),
            modified=tuple(sorted(changed | replaced)),
            deleted=tuple(sorted(lost - self.now.keys())),
            renamed=tuple(sorted((old, new) for old, new in renamed if old != new)),
        )


def touched(turns: Sequence[Turn]) -> set[str]:
    """Every path that turns say they did something to."""
    paths: set[str] = set()
    for turn in turns:
        for group in (turn.files_created, turn.files_modified, turn.files_deleted):
            paths.update(_names(group))
        for pair in turn.files_renamed:
            paths.update(_names(pair))
    return paths


def _names(paths: Sequence[PurePosixPath]) -> list[str]:
    return [str(path) for path in paths]
