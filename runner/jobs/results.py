"""The results of a batch: a line for each job, transcripts, a summary.

The ledger is the truth: a job's line is written into it with the job's final state, and
`results.jsonl` is a copy of those lines in the order of the jobs, made anew whenever it is wanted
and put in place by a rename. Records carry their schema's name; fields may be added, never change
their meaning. But for durations, times and ids they do not depend on how often the batch was cut.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import PurePosixPath

import attrs
import msgspec

from runner.agents.driver import agent_name
from runner.agents.events import Usage
from runner.jobs.outcome import Check, Outcome, State, files_of
from runner.jobs.output import Output, write_file
from runner.jobs.plan import Plan, PlannedJob
from runner.jobs.workplace import Kept
from runner.messages import InForce, NetworkDecision
from runner.sessions.builds import Build
from runner.sessions.turn import Turn

RESULT = "runner.result/1"
TRANSCRIPT = "runner.transcript/1"
SUMMARY = "runner.summary/1"

# What the exit codes of the command line say of a job that is not ok, the worst first.
EXIT_INTERRUPTED = 130
EXIT_OF_ERROR = {"timeout": 3, "job_timeout": 3, "budget": 6}
EXIT_OF_STATE: dict[str, int] = {"ok": 0, "failed": 1, "infra": 8, "unverified": 9}
WORST_FIRST = (EXIT_INTERRUPTED, 1, 3, 6, 8, 9, 0)

MESSAGE = 20_000  # characters of an agent's last message that a result keeps


@attrs.frozen(kw_only=True)
class AttemptRecord:
    """What the ledger keeps of an attempt, for the job's sums.

    Attributes:
        seconds: how long it took.
        program: the build of the agent's program; None if it is not known.
    """

    state: State
    error: str | None
    seconds: float
    turns: int
    usage: Usage
    cost_usd: float | None
    program: Build | None = None


@attrs.frozen(kw_only=True)
class Totals:
    """The sums over the results of some jobs."""

    counts: Mapping[str, int]
    exit_codes: frozenset[int]
    usage: Usage
    cost_usd: float | None


class _Line(msgspec.Struct):
    """What the sums need of a result."""

    id: str
    state: str
    error: str | None
    usage: Usage
    cost_usd: float | None


def record_of(outcome: Outcome, program: Build | None) -> AttemptRecord:
    """What the ledger keeps of an attempt."""
    return AttemptRecord(
        state=outcome.state,
        error=outcome.error,
        seconds=outcome.durations.get("total", 0.0),
        turns=len(outcome.turns),
        usage=outcome.usage,
        cost_usd=outcome.cost_usd,
        program=program,
    )


def parse_build(text: str) -> Build:
    """The build of a program, as an attempt's record has it."""
    return msgspec.json.decode(text, type=Build)


def parse_record(text: str) -> AttemptRecord:
    """The record, as the ledger has it."""
    return msgspec.json.decode(text, type=AttemptRecord)


def to_json(value: object) -> str:
    """Plain values and records as one line of JSON; what is not UTF-8 in names is escaped."""
    try:
        return _ENCODER.encode(value).decode()
    except UnicodeEncodeError:  # names with surrogate escapes
        return _ENCODER.encode(
            _without_surrogates(msgspec.to_builtins(value, enc_hook=_plain))
        ).decode()


def _plain(value: object) -> object:
    if isinstance(value, PurePosixPath):
        return str(value)
    return str(value)  # dates of TOML rows, for example


_ENCODER = msgspec.json.Encoder(enc_hook=_plain)


def _without_surrogates(value: object) -> object:
    """The value with surrogates written out, as Python's `backslashreplace` does."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, Mapping):
        return {_without_surrogates(key): _without_surrogates(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_without_surrogates(each) for each in value]
    return value


def make_result(
    plan: Plan,
    output: Output,
    job: PlannedJob,
    outcome: Outcome,
    attempts: Sequence[AttemptRecord],
    *,
    kept: Kept | None,
    started: datetime,
    ended: datetime,
) -> dict[str, object]:
    """A finished job's line.

    `outcome` and `started` are of its last attempt, `attempts` all of them, the last included;
    `kept` is where the last one's files stay, if they do.
    """
    last = outcome.turns[-1] if outcome.turns else None
    costs = [each.cost_usd for each in attempts if each.cost_usd is not None]
    return {
        "schema": RESULT,
        "batch": plan.batch.name,
        "id": job.id,
        "number": job.number,
        "index": job.index,
        "repeat": job.repeat,
        "row": job.row,
        "agent": agent_name(plan.agent),
        "state": outcome.state,
        "verdict": outcome.verdict,
        "error": outcome.error,
        "error_text": outcome.error_text[:MESSAGE],
        "attempts": len(attempts),
        "attempt_states": [each.state for each in attempts],
        "turns": [_turn(turn) for turn in outcome.turns],
        "final_message": last.final_message[:MESSAGE] if last else "",
        "checks": [_check(check) for check in outcome.checks],
        "isolation": in_force(outcome.isolation),
        "limit_exceeded": outcome.limit_exceeded,
        "network": [_reached(decision) for decision in outcome.reached],
        "files": files_of(outcome.turns),
        "patch": output.relative(output.patch(job.id)) if outcome.has_patch else None,
        "patch_error": outcome.patch_error,
        "transcript": output.relative(output.transcript(job.id)),
        "workspace": None if kept is None else kept.path,
        "workspace_name": None if kept is None else kept.name,
        "project": None if kept is None else kept.project,
        "usage": sum((each.usage for each in attempts), Usage()),
        "cost_usd": sum(costs) if costs else None,
        "cost_source": last.cost_source if last else "none",
        "session_id": last.session_id if last else "",
        "conversation": last.conversation if last else "",
        "program": attempts[-1].program,
        "durations": {**outcome.durations, "attempts": sum(each.seconds for each in attempts)},
        "started": started.isoformat(),
        "ended": ended.isoformat(),
    }


def _check(check: Check) -> dict[str, object]:
    return attrs.asdict(check, recurse=False, filter=lambda field, _: field.name != "isolation")


def _reached(decision: NetworkDecision) -> dict[str, object]:
    return {name: getattr(decision, name) for name in ("host", "port", "allowed", "reason")}


def in_force(found: InForce | None) -> dict[str, object] | None:
    """What holds programs, as a record has it."""
    return None if found is None else {**attrs.asdict(found), "limits": dict(found.limits)}


def _turn(turn: Turn) -> dict[str, object]:
    return {
        "number": turn.number,
        "ok": turn.ok,
        "stop": turn.stop,
        "error": turn.error,
        "exit_code": turn.exit_code,
        "duration": turn.duration,
        "usage": turn.usage,
        "cost_usd": turn.cost_usd,
        "limit_exceeded": turn.limit_exceeded,
        "snapshot": turn.snapshot or None,
    }


def write_transcript(
    output: Output, job: str, attempt: int, said: Iterable[tuple[str, Turn]]
) -> None:
    """Write what was said in an attempt after what was said in the earlier ones.

    For the ledger's thread. It is no result: the ledger has what is summed up, so it is not waited
    for the disk.
    """
    lines = []
    path = output.transcript(job)
    if attempt > 1:
        lines = [line for line in _lines_of(path) if _attempt_of(line) < attempt]
    for prompt, turn in said:
        record = {"schema": TRANSCRIPT, "attempt": attempt, "prompt": prompt, "turn": turn}
        lines.append(to_json(record).encode())
    write_file(path, b"".join(line + b"\n" for line in lines), durable=False)


def _lines_of(path: str) -> list[bytes]:
    try:
        with open(path, "rb") as file:
            return file.read().splitlines()
    except FileNotFoundError:
        return []


def _attempt_of(line: bytes) -> int:
    attempt: int = msgspec.json.decode(line)["attempt"]
    return attempt


def write_results(output: Output, lines: Iterable[str], selected: Collection[str]) -> Totals:
    """Write `results.jsonl`, and sum the selected jobs up. For a thread."""
    counts: dict[str, int] = {}
    codes: set[int] = set()
    usage = Usage()
    costs: list[float] = []
    decoder = msgspec.json.Decoder(_Line)
    part = f"{output.results}.part"
    with open(part, "w", encoding="utf-8", newline="\n") as file:
        for line in lines:
            file.write(line)
            file.write("\n")
            found = decoder.decode(line)
            if found.id in selected:
                counts[found.state] = counts.get(found.state, 0) + 1
                codes.add(_exit_code(found))
                usage += found.usage
                costs += [found.cost_usd] if found.cost_usd is not None else []
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, output.results)
    return Totals(
        counts=counts,
        exit_codes=frozenset(codes),
        usage=usage,
        cost_usd=sum(costs) if costs else None,
    )


def _exit_code(line: _Line) -> int:
    if line.state == "failed" and line.error in EXIT_OF_ERROR:
        return EXIT_OF_ERROR[line.error]
    return EXIT_OF_STATE[line.state]


def worst(codes: Iterable[int]) -> int:
    """The exit code of a batch whose jobs have these."""
    return min({0, *codes}, key=WORST_FIRST.index)
