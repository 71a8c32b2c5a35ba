"""Arguments and options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, get_args

import click

from runner.cli.exits import epilog
from runner.messages.isolation import Mode

CODES = "\b\nExit codes:\n" + epilog()
CommandT = TypeVar("CommandT", bound=Callable[..., object])


def batch_file(command: CommandT) -> CommandT:
    """The batch file; whether it is there is the loader's to say."""
    return click.argument("file", metavar="FILE")(command)


def overrides(command: CommandT) -> CommandT:
    """Values laid over the file."""
    return click.option(
        "-c",
        "overrides",
        metavar="KEY=VALUE",
        multiple=True,
        help="Lay a value over the file's, such as -c agent.model=sonnet; may be repeated.",
    )(command)


def select(command: CommandT) -> CommandT:
    """Which jobs."""
    return click.option(
        "--select",
        metavar="EXPR",
        help="Only jobs for which it holds, such as 'row.lang == \"py\" and index <= 10'.",
    )(command)


def agent(command: CommandT) -> CommandT:
    """What of the agent's record is to be another."""
    sandbox = click.option("--sandbox", metavar="WORD", help="What it may do.  [as its file says]")
    model = click.option("--model", metavar="NAME", help="As its program calls it.  [likewise]")
    billing = click.option(
        "--billing", metavar="KIND", help="Its credential: subscription or api_key.  [likewise]"
    )
    return sandbox(model(billing(command)))


def limits(command: CommandT) -> CommandT:
    """How long a turn may take, and how long nothing may be heard of it."""
    timeout = click.option(
        "--timeout", metavar="TIME", help="For a turn, such as 90s or 30m.  [as configured]"
    )
    silence = click.option(
        "--silence",
        metavar="TIME",
        help="How long its program may give no sign of life.  [as configured]",
    )
    park = click.option(
        "--max-park",
        metavar="TIME",
        help="How long it may wait for a provider that limits it.  [as configured]",
    )
    return timeout(silence(park(command)))


def changes(command: CommandT) -> CommandT:
    """Which changes of files are told, and how they are found."""
    ignore = click.option(
        "--ignore",
        metavar="PATTERN",
        multiple=True,
        help="Files whose changes are not told; may be repeated.  [.git/**]",
    )
    watch = click.option(
        "--no-watch",
        "watch",
        is_flag=True,
        flag_value=False,
        default=True,
        help="Walk through a large directory instead of watching it.",
    )
    return ignore(watch(command))


def session(command: CommandT) -> CommandT:
    """All that is said of a session that is begun: `runner.cli.order.Given`."""
    name = click.option(
        "-a",
        "--agent",
        "name",
        metavar="AGENT",
        help="shell, claude, codex, or an agent's TOML file.  [as configured]",
    )
    directory = click.option(
        "-w", "--workspace", "directory", metavar="DIR", default=".", help="Where it works.  [.]"
    )
    isolation = click.option(
        "--isolation",
        metavar="MODE",
        type=click.Choice(get_args(Mode)),
        help="What holds its program: none, auto, bwrap or landlock.  [as configured]",
    )
    rest = agent(limits(isolation(changes(config(json(command))))))
    return name(directory(rest))


def config(command: CommandT) -> CommandT:
    """The runner's own options."""
    return click.option(
        "--config",
        "config_file",
        metavar="FILE",
        envvar="RUNNER_CONFIG",
        help="The runner's own options, as in configs/runner.toml.  [env: RUNNER_CONFIG]",
    )(command)


def json(command: CommandT) -> CommandT:
    """Records for programs."""
    return click.option(
        "--json", "as_json", is_flag=True, help="Only JSON records on standard output."
    )(command)
