"""`runner batch run`: a batch, from its file to the table of its results.

    check everything ──► carry out (signals: drain, interrupt, kill) ──► table, exit code

Nothing is created before everything was checked. The batch goes on when the reader of the standard
output leaves: what it comes to stands in the output directory.
"""

from __future__ import annotations

import os
from functools import partial

import attrs
import click
import trio

from runner.cli import options, words
from runner.cli.board import Board
from runner.cli.check import check_machine, described, shown
from runner.cli.endings import ended_by
from runner.cli.exits import Exit
from runner.cli.live import LiveView, open_console
from runner.cli.reporting import Reporter
from runner.cli.session_finding import read_config
from runner.cli.signals import Ladder, Step
from runner.cli.streams import STDERR, STDOUT, discard_output, is_terminal, put
from runner.cli.table import as_text, kept_line, read_results, results_table, summary_line
from runner.cli.writer import Writer
from runner.config import RunnerConfig
from runner.errors import ConfigError
from runner.jobs.batch import run_plan
from runner.jobs.plan import Plan
from runner.jobs.prepare import prepare
from runner.jobs.progress import Control, Report
from runner.jobs.results import in_force, to_json
from runner.jobs.template import slug
from runner.messages import InForce
from runner.runner import projects_of
from runner.runtime import open_runner

PLAN = "runner.plan/1"
PLANNED = "runner.planned/1"
DRAINING = "draining: running jobs end, no more begin; Ctrl-C again interrupts them"
INTERRUPTING = "interrupting running jobs; Ctrl-C again ends everything at once"
KILLING = "ending everything at once"
LAST_WORDS = 2.0  # seconds for what is still to be written when there was an error


@click.command(epilog=options.CODES)
@options.batch_file
@click.option(
    "-o", "--output", metavar="DIR", help="Where the results go.  [runner-out/NAME of the batch]"
)
@options.overrides
@click.option(
    "--concurrency", metavar="N", type=click.IntRange(min=1), help="Jobs carried out at a time."
)
@options.select
@click.option("--dry-run", is_flag=True, help="Check everything, show every prompt, run nothing.")
@options.config
@options.json
def run(
    *,
    file: str,
    output: str | None,
    overrides: tuple[str, ...],
    concurrency: int | None,
    select: str | None,
    dry_run: bool,
    config_file: str | None,
    as_json: bool,
) -> int:
    """Run a batch of jobs; the same command again resumes.

    Ctrl-C once lets running jobs end and begins no more; twice interrupts them; three times ends
    everything at once. SIGTERM interrupts. What was put down goes on when the batch is run again.
    """
    if output == "":
        raise ConfigError("-o needs a directory; . is the current one")
    config = read_config(config_file)
    laid = [*overrides, *([f"limits.concurrency={concurrency}"] if concurrency else [])]
    prepared = partial(
        prepare,
        file,
        laid,
        select,
        default_agent=config.default_agent,
        projects=projects_of(config, config.state),
    )
    plan, place = prepared(output=output), output
    if place is None:
        place = os.path.join("runner-out", slug(plan.batch.name) or "batch")
        plan = prepared(output=place)
    if dry_run:
        return _show(plan, file, check_machine(plan), as_json=as_json)
    return trio.run(Running(config, plan, place, as_json).main)


def _show(plan: Plan, file: str, held: InForce | None, *, as_json: bool) -> Exit:
    if not as_json:
        said = [] if held is None else [words.held(held)]
        put("\n".join([*shown(plan), *said, f"{file}: {described(plan)}: nothing was done"]))
        return Exit.OK
    put(
        to_json(
            {
                "schema": PLAN,
                "batch": plan.batch.name,
                "jobs": len(plan.selected),
                "isolation": in_force(held),
            }
        )
    )
    for job in plan.jobs:
        if job.id in plan.selected:
            texts = attrs.asdict(job.first)
            put(to_json({"schema": PLANNED, "id": job.id, "row": job.row, **texts}))
    return Exit.OK


@attrs.define(eq=False)
class Running:
    """A batch that is carried out for a command line."""

    config: RunnerConfig
    plan: Plan
    output: str
    as_json: bool

    async def main(self) -> int:
        """Carry it out; the answer is the exit code."""
        out, err = Writer(STDOUT), Writer(STDERR)
        people, descriptor = (err, STDERR) if self.as_json else (out, STDOUT)
        is_live = is_terminal(descriptor)
        board = Board()
        live = LiveView(board, people) if is_live else None
        reporter = Reporter(
            people=people, records=out if self.as_json else None, live=live, board=board
        )
        out.on_close = lambda: err.put_line(
            f"nobody reads the output any more; the batch goes on, into {self.output}"
        )
        async with trio.open_nursery() as writing:
            writing.start_soon(out.run)
            writing.start_soon(err.run)
            try:
                code, report = await self._carry_out(reporter)
                reporter.done(report, code)
                self._tell(report, people, is_live=is_live)
                await out.flushed()
                await err.flushed()
            finally:
                with trio.move_on_after(LAST_WORDS, shield=True):  # the cursor, for one
                    await out.flushed()
                    await err.flushed()
                writing.cancel_scope.cancel()
        if out.is_closed:
            discard_output()
        return code

    async def _carry_out(self, reporter: Reporter) -> tuple[int, Report]:
        control = Control()
        ladder = Ladder(
            steps=(
                Step(DRAINING, control.drain),
                Step(INTERRUPTING, control.interrupt),
                Step(KILLING, control.kill),
            ),
            say=reporter.say,
            begin_at=1,
        )
        async with trio.open_nursery() as nursery:
            await nursery.start(ladder.watch)
            nursery.start_soon(reporter.run)
            async with open_runner(self.config) as runner:
                report = await run_plan(
                    self.plan,
                    runner,
                    self.output,
                    observer=reporter.observe,
                    control=control,
                    follow=True,
                )
            nursery.cancel_scope.cancel()
        if ladder.last is not None and not report.is_complete:
            return ended_by(ladder.last), report
        return report.exit_code, report

    def _tell(self, report: Report, people: Writer, *, is_live: bool) -> None:
        console = open_console(people) if is_live else None
        results = read_results(report, self.plan.selected)
        table = results_table(results) if console is None else results_table(results, console.width)
        if table is not None and console is not None:
            console.print(table)
        elif table is not None:
            people.put_line(as_text(table))
        place = words.place(report.results)
        people.put_line(f"{self.plan.batch.name}: {summary_line(report)}; see {place}")
        kept = kept_line(results)
        if kept:
            people.put_line(kept)
        if not report.is_complete:
            people.put_line("not complete: the same command again goes on")
