"""`runner check`: everything that is wrong with a batch file, and what its jobs come to.

It reads and renders what a run would, says what would hold the programs here, and creates nothing.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator

import click
import trio

from runner.agents.driver import agent_name
from runner.cli import options, words
from runner.cli.exits import Exit
from runner.cli.session_finding import read_config
from runner.cli.streams import put
from runner.jobs.batch import find_isolation
from runner.jobs.plan import Plan, PlannedJob, Rendered
from runner.jobs.prepare import prepare
from runner.jobs.revisions import find_revision
from runner.messages import InForce
from runner.runner import projects_of
from runner.runtime import open_runner


@click.command()
@options.batch_file
@options.overrides
@options.select
@click.option("--show", is_flag=True, help="Show all prompts and commands as they will be.")
@options.config
def check(
    file: str, overrides: tuple[str, ...], select: str | None, show: bool, config_file: str | None
) -> Exit:
    """Say everything that is wrong with a batch file.

    Each problem is a line: file:line: key: what. With a problem the exit code is 2.
    """
    config = read_config(config_file)
    plan = prepare(
        file,
        overrides,
        select,
        default_agent=config.default_agent,
        projects=projects_of(config, config.state),
    )
    held = check_machine(plan)
    if show:
        put("\n".join(shown(plan)))
    if held is not None:
        put(words.held(held))
    put(f"{file}: {described(plan)}: all is well")
    return Exit.OK


def check_machine(plan: Plan) -> InForce | None:
    """Let git find the ref that the workspaces begin at, and find out what would hold programs.

    Raises:
        ConfigError: git does not, or cannot reach the repository; or the isolation that is required
            cannot be had.
    """

    async def find() -> InForce | None:
        with tempfile.TemporaryDirectory(prefix="runner-check-") as state:
            async with open_runner(state=state) as runner:
                await find_revision(plan, runner)
                return await find_isolation(plan, runner)

    if plan.source.kind == "repo" or plan.isolation is not None:
        return trio.run(find)
    return None


def described(plan: Plan) -> str:
    """How many jobs of which kind."""
    selected, jobs = len(plan.selected), len(plan.jobs)
    count = f"{jobs} job{'s' * (jobs != 1)}"
    if selected < jobs:
        count = f"{selected} of {count}"
    return f"batch {plan.batch.name!r}, {count}, agent {agent_name(plan.agent)}"


def shown(plan: Plan) -> Iterator[str]:
    """The texts of all selected jobs; those of later attempts where they differ."""
    for job in plan.jobs:
        if job.id not in plan.selected:
            continue
        yield f"=== {job.id}"
        yield from _texts(job.first)
        yield from _later(plan, job)
        yield ""


def _later(plan: Plan, job: PlannedJob) -> Iterator[str]:
    last = job.first
    for attempt in range(2, plan.batch.max_attempts + 1):
        texts = plan.rendered(job, attempt)
        if texts != last:
            yield f"=== {job.id}, attempt {attempt}"
            yield from _texts(texts)
        last = texts


def _texts(texts: Rendered) -> Iterator[str]:
    for command in texts.setup:
        yield f"--- setup: {command}"
    for number, prompt in enumerate(texts.prompts, 1):
        yield "--- prompt" if len(texts.prompts) == 1 else f"--- prompt {number}"
        yield prompt.rstrip("\n")
    for command in texts.verify:
        yield f"--- verify: {command}"
