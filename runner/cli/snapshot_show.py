"""`runner snapshot ls | show | diff`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Unpack

import attrs
import click

from runner.cli import diffs, options, words
from runner.cli.columns import columns, facts, when
from runner.cli.exits import Exit
from runner.cli.projects import Given, about, on_project
from runner.cli.snapshot_finding import SNAPSHOT, Found, find, names_of, snapshot_name
from runner.cli.streams import complain, put
from runner.cli.workspace_records import as_snapshot, path_text
from runner.cli.workspace_show import snapshot_row
from runner.errors import WorkspaceNotFound
from runner.workspaces.names import near
from runner.workspaces.project import Project
from runner.workspaces.records import SnapshotRecord

GONE = "(removed)"


@attrs.frozen(kw_only=True)
class Listed:
    """Snapshots, and the names of the workspaces that are there."""

    snapshots: Sequence[SnapshotRecord]
    names: dict[str, str]


@click.command(epilog=options.CODES)
@click.argument("name", metavar="[WORKSPACE]", required=False)
@about
def ls(*, name: str | None, **given: Unpack[Given]) -> int:
    """List the snapshots of a workspace, the oldest first; or all of the project.

    Also those that were taken before a restore (undo), and of workspaces that were removed
    (rescue): `runner workspace create NAME --snapshot SNAP` makes a workspace of any.
    """

    async def work(project: Project) -> Listed:
        names = await names_of(project)
        if name is not None and name not in names.values():
            raise WorkspaceNotFound(name, near(name, names.values()))
        every = await project.snapshots()
        chosen = [each for each in every if name is None or names.get(each.workspace) == name]
        return Listed(snapshots=chosen, names=names)

    listed = on_project(given, work)
    if given["as_json"]:
        for each in listed.snapshots:
            put(json.dumps(as_snapshot(each, listed.names)))
    elif listed.snapshots:
        rows = [
            snapshot_row(each, "" if name else listed.names.get(each.workspace, GONE))
            for each in listed.snapshots
        ]
        put(columns(rows))
    else:
        complain("there are no snapshots")
    return Exit.OK


@click.command(epilog=options.CODES)
@snapshot_name
@about
def show(*, snapshot: str, **given: Unpack[Given]) -> int:
    """Show a snapshot: when and why it was taken, and what is not in it."""

    async def work(project: Project) -> Found:
        return await find(project, snapshot)

    found = on_project(given, work)
    record = found.record
    if given["as_json"]:
        put(json.dumps(as_snapshot(record, {record.workspace: found.workspace})))
    else:
        put("\n".join([facts(_facts(found)), *_lacking(record)]))
    return Exit.OK


def _facts(found: Found) -> dict[str, str]:
    record = found.record
    return {
        "snapshot": found.reference,
        "description": words.printable(record.description),
        "kind": record.kind,
        "turn": f"{record.turn} of session {record.session}" if record.session else "",
        "created": when(record.created_ns),
        "root": record.root.hex(),
    }


def _lacking(record: SnapshotRecord) -> list[str]:
    unstable = [f"as it was read: {path_text(each)}" for each in record.unstable]
    return [*unstable, *(f"left out: {path_text(path)}: {why}" for path, why in record.skipped)]


@click.command(epilog=options.CODES)
@click.argument("before", metavar=SNAPSHOT)
@click.argument("after", metavar=f"[{SNAPSHOT}]", required=False)
@diffs.form
@about
def diff(
    *,
    before: str,
    after: str | None,
    directory: str | None,
    config_file: str | None,
    as_json: bool,
    **form: Unpack[diffs.Form],
) -> int:
    """Show what differs between two snapshots; or between one and its workspace as it is now."""
    given = Given(directory=directory, config_file=config_file, as_json=as_json)
    diffs.require_one(form)

    async def work(project: Project) -> diffs.Made:
        one = await find(project, before)
        workspace = await project.get(one.workspace)
        if after is None:
            name, found = one.workspace, await workspace.diff(one.record.name)
        else:
            other = await find(project, after)
            name = other.reference
            found = await workspace.snapshots.diff(one.reference, name)
        record: dict[str, object] = {"before": one.reference, "after": name}
        return await diffs.make(found, form, record if as_json else None)

    made = on_project(given, work)
    diffs.show(made, form, as_json=as_json)
    return Exit.FAILED if form["exit_code"] and not made.is_empty else Exit.OK
