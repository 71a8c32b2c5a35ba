"""Carries a plan out, from an output directory that is there or not to a report.

    plan ──► output directory (claimed) ──► ledger (locked) ──► scheduler ──► results ──► report

Nothing is created before it is known what a repository's ref means, that what is to hold the
programs can be had, and that the directory is ours.
The same plan on the same directory goes on where the last run ended, however it ended. What the
caller cancels is put down: the attempts that ran are queued again, and the results of the jobs that
are finished are written.
"""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Iterator, Mapping

import trio

from runner.errors import ConfigError, ExecFailed, LedgerError, Problem, WorkspaceError
from runner.jobs.attempt import Tools
from runner.jobs.bench import Bench
from runner.jobs.directories import Directories
from runner.jobs.ledger import Ledger, PastJob, open_ledger
from runner.jobs.output import Output, write_file
from runner.jobs.patch import Patches
from runner.jobs.plan import Plan, PlannedJob
from runner.jobs.programs import Programs
from runner.jobs.progress import BatchDone, BatchStarted, Control, Observer, Progress, Report
from runner.jobs.results import (
    EXIT_INTERRUPTED,
    SUMMARY,
    Totals,
    parse_build,
    parse_record,
    to_json,
    worst,
    write_results,
)
from runner.jobs.revisions import find_revision
from runner.jobs.scheduler import Scheduler
from runner.jobs.statements import FINAL
from runner.jobs.telling import Pending, wall_clock
from runner.jobs.workplace import Stays, Workplaces
from runner.jobs.workspaces import Workspaces
from runner.messages import InForce

REFRESH = 1.0  # seconds between two refreshes of results.jsonl, at least
STATES = ("ok", "failed", "unverified", "infra", "cancelled", "queued")
LAST_WRITE = 10.0  # seconds for the results when the batch is cancelled


async def run_plan(
    plan: Plan,
    bench: Bench,
    output: str | os.PathLike[str],
    *,
    observer: Observer | None = None,
    control: Control | None = None,
    follow: bool = False,
) -> Report:
    """Carry a batch out, or go on with it.

    Args:
        plan: what `prepare` made.
        bench: where scopes and sessions come from.
        output: the output directory; made if need be.
        observer: told what happens.
        control: ends the batch early.
        follow: whether the observer is told the agents' events as well.

    Raises:
        ConfigError: the output directory or the repository cannot be used, or the isolation
            that is required cannot be had; nothing was created. Or the agent's program is another
            one than in the attempts before; no other was begun.
        LedgerError: another process is at work in the output directory, or its ledger cannot be
            read or written.

    Cancellation: everything that runs is put down, and the results so far are written.
    """
    place = Output.at(output)
    revision = await _check(plan, bench, place)
    await _check_project(plan, bench)
    held = await find_isolation(plan, bench)
    _claim(place, plan)
    began = trio.current_time()
    async with open_ledger(place, plan.identity, wall_clock().isoformat()) as ledger:
        revision = ledger.revision or revision or await find_revision(plan, bench)
        if revision is not None and ledger.revision is None:
            await ledger.set_revision(revision)
        patches = Patches(place, bench)
        programs = Programs(plan, bench, place.root)
        programs.remember(parse_build(each) for each in ledger.programs())
        await programs.look()
        tools = Tools(
            plan=plan,
            bench=bench,
            workplaces=_workplaces(plan, place, bench, patches, ledger),
            patches=patches,
            programs=programs,
        )
        run = _Run(plan, place, ledger, control or Control(), observer)
        return await run.carry_out(tools, began, held, follow=follow)


def _workplaces(
    plan: Plan, place: Output, bench: Bench, patches: Patches, ledger: Ledger
) -> Workplaces:
    if plan.source.has_history:
        return Workspaces(plan, bench, patches, ledger.revision, ledger.mark)
    return Directories(plan, place, bench, patches, ledger.revision)


async def find_isolation(plan: Plan, bench: Bench) -> InForce | None:
    """What holds the programs of a batch, found out by running one; None if nothing is to.

    Raises:
        ConfigError: it is required and cannot be had, or a path of it cannot be shown.
    """
    if plan.isolation is None:
        return None
    try:
        return await bench.try_isolation(plan.isolation)
    except ExecFailed as exc:
        hint = f"; {exc.hint}" if exc.hint else ""
        raise ConfigError(plan.document.problem(("isolation",), exc.reason + hint)) from None


async def _check(plan: Plan, bench: Bench, place: Output) -> str | None:
    """Whether all is there, before anything is created; a new batch's revision."""
    obstacle = place.obstacle(plan.identity)
    if obstacle is not None:
        raise ConfigError(Problem(place.root, None, "", obstacle))
    return await find_revision(plan, bench) if place.is_new() else None


async def _check_project(plan: Plan, bench: Bench) -> None:
    """Whether there can be workspaces of the source, where it has a history."""
    if not plan.source.has_history:
        return
    try:
        held = plan.isolation is not None
        await bench.project(plan.source.path).try_making(is_held=held)
    except (ConfigError, WorkspaceError) as exc:
        key = "copy" if plan.source.kind == "copy" else "repo"
        raise ConfigError(plan.document.problem(("workspace", key), str(exc))) from None


def _claim(place: Output, plan: Plan) -> None:
    try:
        place.claim(plan.identity)
    except OSError as exc:
        what = f"it cannot be made: {exc.strerror}"
        raise ConfigError(Problem(place.root, None, "", what)) from None


class _Run:
    """One run of a batch, from an open ledger to the report."""

    def __init__(
        self, plan: Plan, place: Output, ledger: Ledger, control: Control, observer: Observer | None
    ) -> None:
        self._plan = plan
        self._place = place
        self._ledger = ledger
        self._control = control
        self._observer = observer
        self._threads = trio.CapacityLimiter(1)  # so that two never write the results at once

    async def carry_out(
        self, tools: Tools, began: float, held: InForce | None, *, follow: bool
    ) -> Report:
        """Carry out what is not finished."""
        past = {job.number: job for job in self._ledger.past}
        selected = [job for job in self._plan.jobs if job.id in self._plan.selected]
        pending = [_pending(job, past[job.number]) for job in selected if not _is_over(past, job)]
        await tools.workplaces.sweep(self._stays(past))
        scheduler = Scheduler(
            tools, self._place, self._ledger, self._control, self._observer, follows=follow
        )
        started = BatchStarted(
            batch=self._plan.batch.name,
            output=self._place.root,
            jobs=len(selected),
            finished=len(selected) - len(pending),
            concurrency=self._plan.concurrency,
            isolation=held,
        )
        self._tell(started)
        totals: Totals | None = None
        try:
            refresh = functools.partial(self._refresh, scheduler)
            await scheduler.run(pending, self._plan.concurrency, refresh)
        finally:
            tools.workplaces.close()
            with trio.move_on_after(LAST_WRITE, shield=True):
                totals = await self._write_results()
        if totals is None:
            raise LedgerError(f"the results in {self._place.root!r} could not be written in time")
        report = self._report(totals, scheduler, len(selected), trio.current_time() - began)
        write_file(self._place.summary, (to_json(_summary(report)) + "\n").encode())
        self._tell(BatchDone(report=report))
        return report

    def _tell(self, told: Progress) -> None:
        if self._observer is not None:
            self._observer(told)

    def _stays(self, past: Mapping[int, PastJob]) -> Stays:
        """Which attempts' files stay that a run before this one has left."""
        kept = {result["id"]: result["workspace"] for result in map(json.loads, self._results())}
        jobs = {job.id: past[job.number] for job in self._plan.jobs}

        def stays(job: str, attempt: int) -> bool:
            known = jobs.get(job)
            if known is None or known.state in FINAL:
                return known is None or kept[job] is not None
            ended = [each.attempt for each in known.attempts]
            return self._plan.batch.keep == "always" and attempt in ended

        return stays

    def _results(self) -> Iterator[str]:
        return self._ledger.results()

    async def _refresh(self, scheduler: Scheduler) -> None:
        """Write the results of the jobs finished so far, now and then: it takes all of them."""
        pause = REFRESH
        while True:
            await trio.sleep(pause)
            if scheduler.takes_stale():
                began = trio.current_time()
                await self._write_results()
                pause = max(REFRESH, 20 * (trio.current_time() - began))

    async def _write_results(self) -> Totals:
        def write() -> Totals:
            return write_results(self._place, self._results(), self._plan.selected)

        return await trio.to_thread.run_sync(write, limiter=self._threads)

    def _report(
        self, totals: Totals, scheduler: Scheduler, selected: int, duration: float
    ) -> Report:
        rest = selected - sum(totals.counts.values())
        counts = {**totals.counts, "cancelled": scheduler.cut, "queued": rest - scheduler.cut}
        interrupted = {EXIT_INTERRUPTED} if rest else set()
        return Report(
            batch=self._plan.batch.name,
            output=self._place.root,
            results=self._place.results,
            summary=self._place.summary,
            counts={state: counts[state] for state in STATES if counts.get(state)},
            exit_code=worst({*totals.exit_codes, *interrupted}),
            jobs=selected,
            finished=scheduler.finished,
            duration=duration,
            usage=totals.usage,
            cost_usd=totals.cost_usd,
        )


def _is_over(past: Mapping[int, PastJob], job: PlannedJob) -> bool:
    return past[job.number].state in FINAL


def _pending(job: PlannedJob, past: PastJob) -> Pending:
    """A job's next attempt, after those that the ledger knows."""
    earlier = tuple(parse_record(each.record) for each in past.attempts)
    return Pending(job, len(earlier) + 1, earlier)


def _summary(report: Report) -> dict[str, object]:
    return {
        "schema": SUMMARY,
        "batch": report.batch,
        "jobs": report.jobs,
        "counts": report.counts,
        "exit": report.exit_code,
        "usage": report.usage,
        "cost_usd": report.cost_usd,
        "duration": report.duration,
        "finished_by_this_run": report.finished,
    }
