"""`runner session record`: carry out turns, and keep all that was said, for the agent `replay`."""

from __future__ import annotations

import click
import trio

from runner.cli import options
from runner.cli.carrying import main
from runner.cli.order import Order, choose_agent, existing, read_prompt, read_seconds
from runner.config import RunnerConfig, load_record
from runner.watching.patterns import DEFAULT_IGNORE


@click.command(epilog=options.CODES)
@click.argument("file", metavar="FILE")
@click.argument("prompts", metavar="PROMPT...", nargs=-1, required=True)
@click.option(
    "-a", "--agent", "name", metavar="AGENT", help="claude, codex, shell, or an agent's TOML file."
)
@click.option(
    "-w", "--workspace", "directory", metavar="DIR", default=".", help="Where it works.  [.]"
)
@options.agent
@options.limits
@options.changes
@options.config
@options.json
def record(
    *,
    file: str,
    prompts: tuple[str, ...],
    name: str | None,
    directory: str,
    sandbox: str | None,
    model: str | None,
    billing: str | None,
    timeout: str | None,
    silence: str | None,
    max_park: str | None,
    ignore: tuple[str, ...],
    watch: bool,
    config_file: str | None,
    as_json: bool,
) -> int:
    """Carry out a turn for each PROMPT, in one session, and record it into FILE.

    FILE is made, and must not be there. It has all that the session and the agent's program say to
    each other, with its timing; what its environment holds of secrets is taken out. An agent of
    kind "replay" plays it back, without the program and without a key. PROMPT - reads the prompt
    from standard input. Turns that fail are recorded as well; one that is interrupted is the last.
    """
    config = load_record(config_file, RunnerConfig) if config_file else RunnerConfig()
    order = Order(
        prompts=tuple(map(read_prompt, prompts)),
        agent=choose_agent(name, config, sandbox, model, billing),
        directory=existing(directory),
        verify=(),
        timeout=read_seconds("--timeout", timeout),
        silence=read_seconds("--silence", silence),
        max_park=read_seconds("--max-park", max_park),
        ignore=ignore or DEFAULT_IGNORE,
        watch=watch,
        as_json=as_json,
        recording=file,
    )
    return trio.run(main, config, order)
