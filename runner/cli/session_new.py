"""`runner session new`: a session that is kept, and its first turn."""

from __future__ import annotations

import os
import uuid
from collections.abc import Mapping
from typing import Unpack

import attrs
import click
import trio

from runner.cli import options
from runner.cli.carrying import main
from runner.cli.order import Given, make_order
from runner.cli.projects import find_project
from runner.cli.session_finding import all_of, open_ledger, read_config
from runner.cli.streams import complain
from runner.config import RunnerConfig
from runner.errors import ConfigError


@click.command(epilog=options.CODES)
@click.argument("prompt")
@click.option("--id", "own", metavar="ID", help="Its id.  [a new one]")
@click.option(
    "--in",
    "workspace",
    metavar="NAME",
    help="The workspace in which it works, of the project here or above.  [none]",
)
@click.option(
    "--snapshots",
    metavar="WHEN",
    type=click.Choice(["turn"]),
    help="`turn`: each turn's end is a snapshot of that workspace.  [none]",
)
@options.session
def new(
    *,
    prompt: str,
    own: str | None,
    workspace: str | None,
    snapshots: str | None,
    **given: Unpack[Given],
) -> int:
    """Begin a session that is kept, with a first turn; then say its id.

    PROMPT - reads it from standard input. Go on with it by `runner session send`.
    """
    config = read_config(given["config_file"])
    found = None if workspace is None else _find(config, workspace, snapshots, given["directory"])
    if found is None and snapshots:
        raise ConfigError("--snapshots: only files in a workspace have a history: name it by --in")
    session = str(uuid.uuid4()) if own is None else own
    ledger = open_ledger(config)
    if any(each.id == session and each.turns for each in all_of(ledger)):
        raise ConfigError(f"there is a session {session!r} already: runner session send")
    order = make_order(given, config, [prompt], session=session)
    code = trio.run(main, config, attrs.evolve(order, workspace=found))
    if ledger.is_there and ledger.load(session) is not None:
        complain(f"session: {session}")
    return code


def _find(
    config: RunnerConfig, name: str, snapshots: str | None, directory: str
) -> Mapping[str, object]:
    """By what the workspace is found."""
    if directory != os.curdir:
        raise ConfigError("--in, --workspace: it works in a workspace or in a directory, not both")
    base = find_project(config, None, makes=False)
    return {"base": base, "name": name, "keeps": snapshots == "turn"}
