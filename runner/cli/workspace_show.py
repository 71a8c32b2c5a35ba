"""`runner workspace ls | show`: from the store; a workspace that another process has is shown."""

from __future__ import annotations

import fnmatch
import json
from typing import Unpack

import attrs
import click

from runner.cli import options, words
from runner.cli.columns import columns, facts, when
from runner.cli.exits import Exit
from runner.cli.projects import Given, about, on_project, workspace_name
from runner.cli.streams import complain, put
from runner.cli.workspace_records import (
    as_commit,
    as_snapshot,
    as_workspace,
    base_text,
    path_text,
    place_of,
)
from runner.workspaces.project import Project
from runner.workspaces.records import CommitRecord, SnapshotRecord, WorkspaceRecord
from runner.workspaces.sync.sync import SyncConflict
from runner.workspaces.workspace import Workspace


@click.command(epilog=options.CODES)
@click.argument("pattern", required=False)
@click.option("--tag", metavar="TAG", help="Only those that have it.")
@about
def ls(*, pattern: str | None, tag: str | None, **given: Unpack[Given]) -> int:
    """List the workspaces of the project, by name.

    PATTERN is for names, such as 'fix-*'.
    """

    async def work(project: Project) -> list[WorkspaceRecord]:
        return [
            each
            for each in await project.list()
            if (pattern is None or fnmatch.fnmatchcase(each.name, pattern))
            and (tag is None or tag in each.tags)
        ]

    found = on_project(given, work)
    if given["as_json"]:
        for each in found:
            put(json.dumps(as_workspace(each)))
    elif found:
        put(columns([_row(each) for each in found]))
    else:
        complain("there are no such workspaces" if pattern or tag else "there are no workspaces")
    return Exit.OK


def _row(record: WorkspaceRecord) -> dict[str, str]:
    return {
        "workspace": record.name,
        "way": record.way,
        "created": when(record.created_ns),
        "base": base_text(record.base),
        "tags": words.printable(",".join(record.tags)),
        "description": words.one_line(words.printable(record.description), 60),
    }


@attrs.frozen(kw_only=True)
class Shown:
    """What `show` shows.

    Attributes:
        workspace: the handle, for what is written down of it.
        snapshots: its own.
        commits: what was brought to its base.
        conflicts: of that.
    """

    workspace: Workspace
    snapshots: list[SnapshotRecord]
    commits: list[CommitRecord]
    conflicts: tuple[SyncConflict, ...]


@click.command(epilog=options.CODES)
@workspace_name
@about
def show(*, name: str, **given: Unpack[Given]) -> int:
    """Show a workspace, its snapshots and commits.

    What it has changed is said by `runner workspace status` and `diff`.
    """

    async def work(project: Project) -> Shown:
        found = await project.get(name)
        return Shown(
            workspace=found,
            snapshots=await found.snapshots.list(),
            commits=await found.commits(),
            conflicts=await found.sync.conflicts(),
        )

    shown = on_project(given, work)
    record = shown.workspace.record
    names = {record.id: record.name}
    if given["as_json"]:
        snapshots = [as_snapshot(each, names) for each in shown.snapshots]
        commits = [as_commit(each, record.name) for each in shown.commits]
        lists = {"snapshots": snapshots, "commits": commits}
        put(json.dumps({**as_workspace(record), **lists}))
        return Exit.OK
    put(_described(record, shown))
    if shown.snapshots:
        put("\n" + columns([snapshot_row(each) for each in shown.snapshots]))
    if shown.commits:
        put("\n" + columns([_commit_row(each) for each in shown.commits]))
    return Exit.OK


def _commit_row(record: CommitRecord) -> dict[str, str]:
    return {
        "commit": record.git_commit[:12] or record.id[:12],
        "created": when(record.created_ns),
        "branch": words.printable(record.branch),
        "paths": str(len(record.paths)),
        "author": words.printable(record.author),
        "message": words.one_line(words.printable(record.message), 60),
    }


def _described(record: WorkspaceRecord, shown: Shown) -> str:
    return facts(
        {
            "workspace": record.name,
            "description": words.printable(record.description),
            "tags": words.printable(", ".join(record.tags)),
            "base": base_text(record.base),
            "way": record.way + (", read only" if record.read_only else ""),
            "files": place_of(record),
            "created": when(record.created_ns),
            "for": words.printable(record.agent_id),
            "conflicts": words.some(path_text(each.path) for each in shown.conflicts),
            "id": record.id,
        }
    )


def snapshot_row(record: SnapshotRecord, workspace: str = "") -> dict[str, str]:
    """A line about a snapshot."""
    return {
        "workspace": workspace,
        "snapshot": record.name,
        "kind": record.kind + (f" {record.turn}" if record.turn else ""),
        "created": when(record.created_ns),
        "description": words.one_line(words.printable(record.description), 60),
    }
