"""What is told of a running batch: to people lines or a live picture, to programs records.

`Reporter.observe` is the batch's observer: it takes in, never blocks, and writes nothing itself but
through writers. With `--json` standard output has records only, and people read standard error.

    runner.launch/1     first: what is about to be carried out
    runner.result/1     for each job that ends, its line of results.jsonl
    runner.done/1       last: the counts, and where the results are
"""

from __future__ import annotations

import os

import attrs
import trio

from runner.cli import words
from runner.cli.board import Board
from runner.cli.live import LiveView
from runner.cli.writer import Writer
from runner.jobs.progress import (
    AttemptEnded,
    BatchStarted,
    JobCut,
    JobFinished,
    Progress,
    Report,
)
from runner.jobs.results import in_force, to_json

LAUNCH = "runner.launch/1"
DONE = "runner.done/1"
STATES = ("ok", "failed", "unverified", "infra", "cancelled", "queued")
SIGN_OF_LIFE = 60.0  # seconds; a log that says nothing for ten minutes is taken for dead


@attrs.define(eq=False, kw_only=True)
class Reporter:
    """Tells what happens.

    Attributes:
        people: where people read.
        records: where programs read; None = nobody does.
        live: the picture; None = plain lines.
        board: what is known.
    """

    people: Writer
    records: Writer | None
    live: LiveView | None
    board: Board

    def observe(self, progress: Progress) -> None:
        """Take in what has happened, and tell it."""
        now = trio.current_time()
        self.board.take(progress, now)
        match progress:
            case BatchStarted():
                self._start(progress)
            case AttemptEnded():
                self.say(_again(progress), progress.state)
            case JobCut():
                self.say(f"put down    {progress.id}: it is queued again")
            case JobFinished():
                self._finish(progress)
            case _:
                pass

    def say(self, line: str, state: str = "") -> None:
        """Tell people a line."""
        if self.live is not None:
            self.live.say(line, state)
        else:
            self.people.put_line(line)

    async def run(self) -> None:
        """Keep the picture up to date, or give a sign of life now and then, until cancelled."""
        if self.live is not None:
            await self.live.run()
        while True:
            await trio.sleep(SIGN_OF_LIFE)
            self.say(_sign_of_life(self.board, trio.current_time()))

    def done(self, report: Report, code: int) -> None:
        """Give programs the last record."""
        counts = {state: report.counts.get(state, 0) for state in STATES}
        self._record(
            {
                "schema": DONE,
                "batch": report.batch,
                **counts,
                "jobs": report.jobs,
                "finished": report.finished,
                "exit": code,
                "duration": report.duration,
                "usage": report.usage,
                "cost_usd": report.cost_usd,
                "results": report.results,
                "summary": report.summary,
            }
        )

    def _start(self, started: BatchStarted) -> None:
        self._record(
            {
                "schema": LAUNCH,
                "batch": started.batch,
                "pid": os.getpid(),
                "output": started.output,
                "jobs": started.jobs,
                "finished": started.finished,
                "concurrency": started.concurrency,
                "isolation": in_force(started.isolation),
            }
        )
        jobs, place = words.plural(started.jobs, "job"), words.place(started.output)
        line = f"{started.batch}: {jobs}, {started.concurrency} at a time, into {place}"
        if started.finished == started.jobs:
            line += "; all of them were finished before"
        elif started.finished:
            line += f"; resuming: {started.finished} of them were finished before"
        self.say(line)
        if started.isolation is not None:
            self.say(words.held(started.isolation))

    def _finish(self, job: JobFinished) -> None:
        if self.records is not None:
            self._record(job.result)
        attempts = f" in {job.attempts} attempts" if job.attempts > 1 else ""
        why = f": {words.one_line(_why(job))}" if job.state != "ok" else ""
        count = f"[{self.board.finished}/{self.board.jobs}]"
        time = words.span(job.duration)
        self.say(f"{job.state:<10}  {job.id}{attempts}, {time} {count}{why}", job.state)

    def _record(self, record: object) -> None:
        if self.records is not None:
            self.records.put_line(to_json(record))


def _why(job: JobFinished) -> str:
    return words.because(job.state, job.error, job.result["error_text"])


def _again(ended: AttemptEnded) -> str:
    when = f"in {words.span(ended.delay)}" if ended.delay else "at once"
    why = words.one_line(words.because(ended.state, ended.error, ended.error_text))
    return f"{ended.state:<10}  {ended.id}: {why}; attempt {ended.attempt + 1} {when}"


def _sign_of_life(board: Board, now: float) -> str:
    longest = sorted(board.running.values(), key=lambda job: job.heard)[:3]
    silent = ", ".join(
        f"{job.id} ({job.phase}, idle {words.clock(now - job.heard)})" for job in longest
    )
    time = words.clock(now - board.began)
    return (
        f"{time}  {board.finished} of {words.plural(board.jobs, 'job')} finished, "
        f"{len(board.running)} running{': ' if silent else ''}{silent}"
    )
