"""`runner sync push | pull`."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Unpack

import click

from runner.cli import options, words
from runner.cli.exits import Exit
from runner.cli.projects import Given, about, on_project, workspace_name
from runner.cli.streams import complain, put
from runner.cli.sync_show import lines
from runner.cli.workspace_records import as_changes, as_snapshot, change_text
from runner.errors import ConfigError, Problem, SyncError
from runner.workspaces.comparing import Status
from runner.workspaces.project import Project
from runner.workspaces.records import SnapshotRecord
from runner.workspaces.sync.syncing import Synced
from runner.workspaces.workspace import Workspace

SCHEMA = "runner.synced/1"
Came = Synced | SnapshotRecord | None


@click.command(epilog=options.CODES)
@workspace_name
@click.option("-f", "--force", is_flag=True, help="Whatever the remote has; it can be had still.")
@about
def push(*, name: str, force: bool, **given: Unpack[Given]) -> int:
    """Make what a workspace is now the remote's newest version.

    What the remote has more is pulled first. With conflicts (exit code 10) nothing is changed, here
    or there: see `runner sync conflicts` and `resolve`.
    """

    async def work(workspace: Workspace) -> Came:
        return await workspace.sync.push(force=force)

    return _move(name, "pushed", work, given)


@click.command(epilog=options.CODES)
@workspace_name
@click.option("--at", metavar="TIME", help="What the remote had then, exactly.")
@click.option("--version", metavar="SNAP", help="A snapshot that the remote has, exactly.")
@click.option("-f", "--force", is_flag=True, help="With these: over changes in no snapshot.")
@about
def pull(
    *, name: str, at: str | None, version: str | None, force: bool, **given: Unpack[Given]
) -> int:
    """Take over what the remote has and a workspace does not.

    With conflicts (exit code 10) nothing is changed: see `runner sync conflicts` and `resolve`.
    """
    time = _time(at)
    if time is not None and version is not None:
        raise ConfigError("pull: --at and --version cannot both be had")
    if force and time is None and version is None:
        raise ConfigError("pull: --force goes with --at or --version")

    async def work(workspace: Workspace) -> Came:
        return await workspace.sync.pull(at=time, version=version, force=force)

    return _move(name, "pulled", work, given)


def _time(text: str | None) -> datetime | None:
    try:
        return None if text is None else datetime.fromisoformat(text)
    except ValueError:
        what = f"{text!r} is no time, such as 2026-01-31T12:00"
        raise ConfigError(Problem("--at", None, "", what)) from None


def _move(name: str, done: str, act: Callable[[Workspace], Awaitable[Came]], given: Given) -> Exit:
    async def work(project: Project) -> Came:
        workspace = await project.get(name)
        try:
            return await act(workspace)
        except SyncError as exc:
            if not exc.conflicts:
                raise
            failure = exc
        complain(lines(await workspace.sync.conflicts()))
        raise failure

    came = on_project(given, work)
    if given["as_json"]:
        put(json.dumps({"schema": SCHEMA, "workspace": name, "done": done, **_record(name, came)}))
    elif isinstance(came, Synced):
        for each in came.changes:
            put(f"{str(each)[0]}  {change_text(each)}")
        changes = words.plural(len(came.changes), "change")
        objects = words.plural(came.objects, "object")
        complain(f"{done}: {changes}, {objects}; version {came.version}")
    elif came is None:
        complain(f"{name} is that already")
    else:
        complain(f"{done}; what it was is {name}/{came.name}")
    return Exit.OK


def _record(name: str, came: Came) -> dict[str, object]:
    if isinstance(came, Synced):
        changes = as_changes(Status.of(came.changes))
        return {"version": came.version, "objects": came.objects, **changes}
    return {"undo": None if came is None else as_snapshot(came, {came.workspace: name})}
