"""`runner session new`: a session that is kept, and its first turn."""

from __future__ import annotations

import uuid
from typing import Unpack

import click
import trio

from runner.cli import options
from runner.cli.carrying import main
from runner.cli.order import Given, make_order
from runner.cli.session_finding import all_of, open_ledger, read_config
from runner.cli.streams import complain
from runner.errors import ConfigError


@click.command(epilog=options.CODES)
@click.argument("prompt")
@click.option("--id", "own", metavar="ID", help="Its id.  [a new one]")
@options.session
def new(*, prompt: str, own: str | None, **given: Unpack[Given]) -> int:
    """Begin a session that is kept, with a first turn; then say its id.

    PROMPT - reads it from standard input. Go on with it by `runner session send`.
    """
    config = read_config(given["config_file"])
    session = str(uuid.uuid4()) if own is None else own
    ledger = open_ledger(config)
    if any(each.id == session and each.turns for each in all_of(ledger)):
        raise ConfigError(f"there is a session {session!r} already: runner session send")
    code = trio.run(main, config, make_order(given, config, [prompt], session=session))
    if ledger.is_there and ledger.load(session) is not None:
        complain(f"session: {session}")
    return code
