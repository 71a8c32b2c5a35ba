"""`runner session send | fork`: go on with a session that nobody else has open.

The session is opened as it was made: agent, variables, isolation, from its setup in the ledger. Its
credentials are not kept: they come from the environment, or the agent's own file.
"""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import attrs
import click
import trio

from runner.agents.driver import Agent
from runner.cli import options
from runner.cli.carrying import main
from runner.cli.exits import Exit
from runner.cli.order import Order, read_agent, read_prompt, read_seconds
from runner.cli.session_finding import (
    as_record,
    find,
    open_ledger,
    read_config,
    refuse_owned,
    session_id,
)
from runner.cli.session_where import keeps, name_of, open_place, project_of
from runner.cli.streams import complain, put
from runner.config import RunnerConfig
from runner.errors import ConfigError
from runner.runner import Runner
from runner.runtime import open_runner
from runner.sessions.ledger import SessionLedger
from runner.sessions.opening import Opening, read_setup
from runner.sessions.record import Record
from runner.sessions.session import Session

AGENT_FILE = click.option(
    "-a", "--agent", "agent", metavar="FILE", help="The agent's TOML file.  [as it was made]"
)


@click.command(epilog=options.CODES)
@session_id
@click.argument("prompt")
@AGENT_FILE
@options.limits
@click.option(
    "--fresh",
    is_flag=True,
    help="Begin anew, told of the turns so far, if its program has lost the conversation.",
)
@options.config
@options.json
def send(
    *,
    name: str,
    prompt: str,
    agent: str | None,
    timeout: str | None,
    silence: str | None,
    max_park: str | None,
    fresh: bool,
    config_file: str | None,
    as_json: bool,
) -> int:
    """Send a session one more prompt; the agent's output goes to standard output.

    PROMPT - reads it from standard input. A session that another process has open is refused.
    """
    text = read_prompt(prompt)
    seconds = read_seconds("--timeout", timeout)
    quiet = read_seconds("--silence", silence)
    park = read_seconds("--max-park", max_park)
    found = reopen(name, agent, config_file)
    record, opening = found.record, found.opening
    order = Order(
        prompts=(text,),
        agent=found.agent,
        directory=record.directory,
        verify=(),
        timeout=seconds,
        silence=quiet,
        max_park=park,
        ignore=opening.ignore,
        watch=opening.watch,
        as_json=as_json,
        session=record.id,
        env=opening.env,
        isolation=opening.isolation,
        servers=opening.servers,
        on_lost="fresh" if fresh else "error",
        workspace=opening.workspace,
    )
    return trio.run(main, found.config, order)


@click.command(epilog=options.CODES)
@session_id
@click.option("--at", metavar="N", type=int, help="The last turn that it has.  [the last one]")
@click.option("-w", "--workspace", "directory", metavar="DIR", help="Where it works.  [the same]")
@click.option("--in", "workspace", metavar="NAME", help="What its new workspace is called.")
@click.option("--id", "new", metavar="ID", help="Its id.  [a new one]")
@AGENT_FILE
@options.config
@options.json
def fork(
    *,
    name: str,
    at: int | None,
    directory: str | None,
    workspace: str | None,
    new: str | None,
    agent: str | None,
    config_file: str | None,
    as_json: bool,
) -> int:
    """Make a session that goes on from a turn of another, and print its id.

    If that has snapshots of its turns, it works in a new workspace, with the files of that turn.
    """
    if directory is not None and not os.path.isdir(directory):
        raise ConfigError(f"{directory}: there is no such directory")
    found = reopen(name, agent, config_file)

    async def carry_out() -> tuple[str, str]:
        async with open_runner(found.config) as runner, opened(runner, found) as session:
            made = await session.fork(at, directory, id=new, workspace=workspace)
            await made.aclose()
            return made.id, await _workspace_of(runner, ledger, made.id)

    ledger = open_ledger(found.config)
    made, where = trio.run(carry_out)
    record = ledger.load(made)
    assert record is not None
    if where:
        complain(f"workspace: {where} ({record.directory})")
    put(json.dumps({**as_record(record, ledger), "workspace": where}) if as_json else made)
    return Exit.OK


async def _workspace_of(runner: Runner, ledger: SessionLedger, session: str) -> str:
    """What the workspace is called in which a session works; empty if it works in none."""
    record = ledger.load(session)
    found = None if record is None else json.loads(record.setup).get("workspace")
    return "" if found is None else await name_of(project_of(runner, found), found["id"])


@attrs.frozen(kw_only=True)
class Reopened:
    """A session that nobody has open, and how it is opened again."""

    config: RunnerConfig
    record: Record
    opening: Opening
    agent: Agent


@asynccontextmanager
async def opened(runner: Runner, found: Reopened) -> AsyncIterator[Session]:
    """The session, as it was made."""
    opening = found.opening
    scope = await open_place(
        runner,
        found.record.directory,
        opening.workspace,
        env=opening.env,
        isolation=opening.isolation,
    )
    async with runner.session(
        scope,
        found.agent,
        id=found.record.id,
        ignore=opening.ignore,
        watch=opening.watch,
        isolation=opening.isolation,
        servers=opening.servers,
        snapshots=keeps(opening.workspace),
    ) as session:
        yield session


def reopen(name: str, agent: str | None, config_file: str | None) -> Reopened:
    """What is known of a session, and its agent.

    Raises:
        NotFound: there is no such session, or its directory is gone.
        SessionOwned: another process has it open.
        ConfigError: it was closed, or cannot be opened with what is kept of it.
    """
    config = read_config(config_file)
    record = find(open_ledger(config), name)
    if record.standing == "closed":
        raise ConfigError(f"the session {record.id!r} was closed")
    refuse_owned(record)
    given = None if agent is None else read_agent(agent)
    environ = dict(os.environ)
    opening = read_setup(record.setup, environ, record.id, has_agent=given is not None)
    if "permissions" in opening.withheld:
        raise ConfigError(
            f"the session {record.id!r} is held by permissions of its scope, which only the program"
            " that made it knows"
        )
    chosen = given or opening.agent
    if chosen is None:
        what = ", ".join(opening.withheld)
        raise ConfigError(
            f"the agent of the session {record.id!r} is not kept ({what}): name its file with -a"
        )
    return Reopened(config=config, record=record, opening=opening, agent=chosen)
