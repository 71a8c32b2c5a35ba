"""`runner sync enable | config | resolve | disable`."""

from __future__ import annotations

from typing import Unpack

import click

from runner.agents.secret import Secret
from runner.cli import options
from runner.cli.exits import Exit
from runner.cli.order import read_seconds
from runner.cli.projects import Given, about, on_project, workspace_name
from runner.cli.streams import complain
from runner.cli.sync_show import tell
from runner.errors import ConfigError, Problem
from runner.workspaces.project import Project
from runner.workspaces.sync.settings import INTERVAL, MODES, SIDES, STRATEGIES, Mode, Side, Strategy
from runner.workspaces.sync.sync import SyncStatus

MODE = click.option(
    "--mode",
    type=click.Choice(MODES),
    help="What is done unasked, as long as a program has the workspace open.  [manual: nothing]",
)
EVERY = click.option("--interval", metavar="TIME", help="Between two of these.  [5m]")
STRATEGY = click.option(
    "--strategy",
    type=click.Choice(STRATEGIES),
    help="What becomes of a path that both sides changed.  [manual: you decide]",
)


@click.command(epilog=options.CODES)
@workspace_name
@click.argument("url")
@click.option("--token", metavar="REF", help="Where it is: env:NAME or file:PATH.")
@MODE
@EVERY
@STRATEGY
@click.option("--under", metavar="NAME", help="What it is called there.  [the same]")
@about
def enable(
    *,
    name: str,
    url: str,
    token: str | None,
    mode: Mode | None,
    interval: str | None,
    strategy: Strategy | None,
    under: str | None,
    **given: Unpack[Given],
) -> int:
    """Sync a workspace with a remote from now on, once it was seen to be usable.

    URL is file:///directory, git+ssh://… (or +https, +file), libsql://… (or https, http: a Turso
    database), or s3://bucket/prefix. A token is never kept, only where it is to be found.
    """
    secret = _secret(token)
    seconds = read_seconds("--interval", interval)

    async def work(project: Project) -> SyncStatus:
        workspace = await project.get(name)
        await workspace.sync.enable(
            url,
            token="" if secret is None else secret,
            mode=mode or "manual",
            interval=INTERVAL if seconds is None else seconds,
            strategy=strategy or "manual",
            under=under,
        )
        return await workspace.sync.status()

    tell(name, on_project(given, work), as_json=given["as_json"])
    return Exit.OK


def _secret(token: str | None) -> Secret | None:
    if token is None:
        return None
    kind, _, where = token.partition(":")
    if kind not in {"env", "file"} or not where:  # and what it is, is not repeated
        what = "env:NAME or file:PATH; a token itself does not belong on a command line"
        raise ConfigError(Problem("--token", None, "", what))
    return Secret(env=where) if kind == "env" else Secret(file=where)


@click.command(epilog=options.CODES)
@workspace_name
@MODE
@EVERY
@STRATEGY
@about
def config(
    *,
    name: str,
    mode: Mode | None,
    interval: str | None,
    strategy: Strategy | None,
    **given: Unpack[Given],
) -> int:
    """Sync a workspace in another way from now on; what is not given stays as it is."""
    seconds = read_seconds("--interval", interval)
    if mode is None and seconds is None and strategy is None:
        raise ConfigError("config: nothing is to be another: --mode, --interval or --strategy")

    async def work(project: Project) -> SyncStatus:
        workspace = await project.get(name)
        await workspace.sync.config(mode=mode, interval=seconds, strategy=strategy)
        return await workspace.sync.status()

    tell(name, on_project(given, work), as_json=given["as_json"])
    return Exit.OK


@click.command(epilog=options.CODES)
@workspace_name
@click.argument("paths", metavar="[PATH]...", nargs=-1)
@click.option("--use", type=click.Choice(SIDES), required=True, help="Which side's.")
@click.option("--all", "is_all", is_flag=True, help="All of them.")
@about
def resolve(
    *, name: str, paths: tuple[str, ...], use: Side, is_all: bool, **given: Unpack[Given]
) -> int:
    """Decide conflicts; the next push or pull is done so.

    To have something of both, write it into the workspace, and use the local one.
    """
    if bool(paths) == is_all:
        raise ConfigError("resolve: name the paths, or say --all")

    async def work(project: Project) -> SyncStatus:
        workspace = await project.get(name)
        await workspace.sync.resolve(*paths, use=use)
        return await workspace.sync.status()

    tell(name, on_project(given, work), as_json=given["as_json"])
    return Exit.OK


@click.command(epilog=options.CODES)
@workspace_name
@about
def disable(*, name: str, **given: Unpack[Given]) -> int:
    """Sync a workspace no more. What is on the remote stays there."""

    async def work(project: Project) -> SyncStatus:
        workspace = await project.get(name)
        await workspace.sync.disable()
        return await workspace.sync.status()

    found = on_project(given, work)
    if given["as_json"]:
        tell(name, found, as_json=True)
    else:
        complain(f"{name} is synced no more")
    return Exit.OK
