"""`runner snapshot create | restore | rm`."""

from __future__ import annotations

import json
from typing import Unpack

import click

from runner.cli import options
from runner.cli.exits import Exit
from runner.cli.projects import Given, about, on_project, workspace_name
from runner.cli.snapshot_finding import SNAPSHOT, Found, find, snapshot_name
from runner.cli.streams import complain, put
from runner.cli.workspace_records import as_snapshot, path_text
from runner.workspaces.project import Project
from runner.workspaces.records import SnapshotRecord


@click.command(epilog=options.CODES)
@workspace_name
@click.argument("snapshot", metavar="[NAME]", required=False)
@click.option("-m", "--description", metavar="TEXT", default="", help="What it is.")
@click.option("--verify", is_flag=True, help="Look into every file, whatever hints say.")
@about
def create(
    *, name: str, snapshot: str | None, description: str, verify: bool, **given: Unpack[Given]
) -> int:
    """Take a snapshot of a workspace, and print its name.

    Without NAME it gets one with the time in it.
    """

    async def work(project: Project) -> SnapshotRecord:
        workspace = await project.get(name)
        return await workspace.snapshots.create(snapshot, description=description, verify=verify)

    taken = on_project(given, work)
    for path in taken.unstable:
        complain(f"written to all the while, and kept as it was read: {path_text(path)}")
    for path, why in taken.skipped:
        complain(f"left out: {path_text(path)}: {why}")
    if given["as_json"]:
        put(json.dumps(as_snapshot(taken, {taken.workspace: name})))
    else:
        put(f"{name}/{taken.name}")
    return Exit.OK


@click.command(epilog=options.CODES)
@snapshot_name
@click.option("--into", metavar="WS", help="Another workspace becomes that.  [the snapshot's own]")
@click.option("-f", "--force", is_flag=True, help="Also over changes that are in no snapshot.")
@about
def restore(*, snapshot: str, into: str | None, force: bool, **given: Unpack[Given]) -> int:
    """Make a workspace exactly what a snapshot has.

    What was there before is kept in an undo snapshot, whose name is said. Changes that are in no
    snapshot and no commit are not replaced (exit code 11) without --force.
    """

    async def work(project: Project) -> tuple[Found, str, SnapshotRecord | None]:
        found = await find(project, snapshot)
        target = into or found.workspace
        workspace = await project.get(target)
        undo = await workspace.snapshots.restore(found.reference, force=force)
        return found, target, undo

    found, target, undo = on_project(given, work)
    if given["as_json"]:
        kept = None if undo is None else as_snapshot(undo, {undo.workspace: target})
        record = {"schema": "runner.restored/1", "workspace": target, "undo": kept}
        put(json.dumps({**record, "snapshot": found.reference}))
    elif undo is None:
        complain(f"{target} is {found.reference} already")
    else:
        complain(f"{target} is {found.reference} now; what it was is {target}/{undo.name}")
    return Exit.OK


@click.command(epilog=options.CODES)
@click.argument("snapshots", metavar=f"{SNAPSHOT}...", nargs=-1, required=True)
@about
def rm(*, snapshots: tuple[str, ...], **given: Unpack[Given]) -> int:
    """Remove snapshots for good; if one of several is not there, none is.

    The space of what only they had is given back by `runner gc`.
    """

    async def work(project: Project) -> list[Found]:
        found = {each: await find(project, each) for each in snapshots}
        once = {each.record.id: each for each in found.values()}
        for each in once.values():
            workspace = await project.get(each.workspace)
            await workspace.snapshots.delete(each.record.name)
        return [*once.values()]

    for each in on_project(given, work):
        if given["as_json"]:
            names = {each.record.workspace: each.workspace}
            removed = as_snapshot(each.record, names)
            put(json.dumps({**removed, "schema": "runner.snapshot_removed/1"}))
        else:
            complain(f"removed: {each.reference}")
    return Exit.OK
