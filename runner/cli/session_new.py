"""`runner session new`: a session that is kept, and its first turn."""

from __future__ import annotations

import uuid

import click
import trio

from runner.cli import options
from runner.cli.carrying import main
from runner.cli.order import Order, choose_agent, existing, read_prompt, read_seconds
from runner.cli.session_finding import all_of, open_ledger, read_config
from runner.cli.streams import complain
from runner.errors import ConfigError
from runner.watching.patterns import DEFAULT_IGNORE


@click.command(epilog=options.CODES)
@click.argument("prompt")
@click.option(
    "-a", "--agent", "name", metavar="AGENT", help="claude, codex, shell, or an agent's TOML file."
)
@click.option(
    "-w", "--workspace", "directory", metavar="DIR", default=".", help="Where it works.  [.]"
)
@click.option("--id", "given", metavar="ID", help="Its id.  [a new one]")
@options.agent
@options.limits
@options.changes
@options.config
@options.json
def new(
    *,
    prompt: str,
    name: str | None,
    directory: str,
    given: str | None,
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
    """Begin a session that is kept, with a first turn; then say its id.

    PROMPT - reads it from standard input. Go on with it by `runner session send`.
    """
    text = read_prompt(prompt)
    config = read_config(config_file)
    session = str(uuid.uuid4()) if given is None else given
    ledger = open_ledger(config)
    if any(each.id == session and each.turns for each in all_of(ledger)):
        raise ConfigError(f"there is a session {session!r} already: runner session send")
    order = Order(
        prompts=(text,),
        agent=choose_agent(name, config, sandbox, model, billing),
        directory=existing(directory),
        verify=(),
        timeout=read_seconds("--timeout", timeout),
        silence=read_seconds("--silence", silence),
        max_park=read_seconds("--max-park", max_park),
        ignore=ignore or DEFAULT_IGNORE,
        watch=watch,
        as_json=as_json,
        session=session,
    )
    code = trio.run(main, config, order)
    if ledger.is_there and ledger.load(session) is not None:
        complain(f"session: {session}")
    return code
