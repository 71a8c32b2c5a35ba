"""`runner session record`: carry out turns, and keep all that was said, for the agent `replay`."""

from __future__ import annotations

from typing import Unpack

import click
import trio

from runner.cli import options
from runner.cli.carrying import main
from runner.cli.order import Given, make_order, read_config


@click.command(epilog=options.CODES)
@click.argument("file", metavar="FILE")
@click.argument("prompts", metavar="PROMPT...", nargs=-1, required=True)
@options.session
def record(*, file: str, prompts: tuple[str, ...], **given: Unpack[Given]) -> int:
    """Carry out a turn for each PROMPT, in one session, and record it into FILE.

    FILE is made, and must not be there. It has all that the session and the agent's program say to
    each other, with its timing; what its environment holds of secrets is taken out. An agent of
    kind "replay" plays it back, without the program and without a key. PROMPT - reads the prompt
    from standard input. Turns that fail are recorded as well; one that is interrupted is the last.
    """
    config = read_config(given["config_file"])
    return trio.run(main, config, make_order(given, config, prompts, recording=file))
