"""`runner run`: one prompt, here and now, in a directory as it is; nothing is kept."""

from __future__ import annotations

from typing import Unpack

import click
import trio

from runner.cli import options
from runner.cli.carrying import main
from runner.cli.order import Given, make_order, read_config


@click.command(epilog=options.CODES)
@click.argument("prompt")
@click.option(
    "--verify", metavar="CMD", multiple=True, help="A command that must exit with 0 afterwards."
)
@options.session
def run(*, prompt: str, verify: tuple[str, ...], **given: Unpack[Given]) -> int:
    """Run one prompt, here and now, in a directory as it is.

    PROMPT - reads it from standard input. The agent's output goes to standard output.
    """
    config = read_config(given["config_file"])
    return trio.run(main, config, make_order(given, config, [prompt], verify=verify))
