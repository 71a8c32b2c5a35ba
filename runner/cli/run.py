"""`runner run`: one prompt, here and now, in a directory as it is; nothing is kept."""

from __future__ import annotations

import click
import trio

from runner.cli import options
from runner.cli.carrying import main
from runner.cli.order import Order, choose_agent, existing, read_prompt, read_seconds
from runner.config import RunnerConfig, load_record
from runner.watching.patterns import DEFAULT_IGNORE


@click.command(epilog=options.CODES)
@click.argument("prompt")
@click.option(
    "-a", "--agent", "name", metavar="AGENT", help="shell, claude, codex, or an agent's TOML file."
)
@click.option(
    "-w", "--workspace", "directory", metavar="DIR", default=".", help="Where it works.  [.]"
)
@click.option(
    "--verify", metavar="CMD", multiple=True, help="A command that must exit with 0 afterwards."
)
@options.agent
@options.limits
@options.changes
@options.config
@options.json
def run(
    *,
    prompt: str,
    name: str | None,
    directory: str,
    verify: tuple[str, ...],
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
    """Run one prompt, here and now, in a directory as it is.

    PROMPT - reads it from standard input. The agent's output goes to standard output.
    """
    config = load_record(config_file, RunnerConfig) if config_file else RunnerConfig()
    order = Order(
        prompts=(read_prompt(prompt),),
        agent=choose_agent(name, config, sandbox, model, billing),
        directory=existing(directory),
        verify=verify,
        timeout=read_seconds("--timeout", timeout),
        silence=read_seconds("--silence", silence),
        max_park=read_seconds("--max-park", max_park),
        ignore=ignore or DEFAULT_IGNORE,
        watch=watch,
        as_json=as_json,
    )
    return trio.run(main, config, order)
