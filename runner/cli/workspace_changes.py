"""`runner workspace status | diff`: what a workspace has changed."""

from __future__ import annotations

import json
from typing import Unpack

import attrs
import click

from runner.cli import diffs, options, words
from runner.cli.colours import has_colours
from runner.cli.exits import Exit
from runner.cli.projects import Given, about, on_project, workspace_name
from runner.cli.streams import complain, put
from runner.cli.workspace_records import as_changes, base_text, change_text, path_text
from runner.errors import ConfigError, SnapshotNotFound
from runner.workspaces.comparing import Status
from runner.workspaces.names import near
from runner.workspaces.project import Project
from runner.workspaces.records import Base
from runner.workspaces.workspace import Workspace

STATUS = "runner.workspace_status/1"
VERIFY = click.option("--verify", is_flag=True, help="Look into every file, whatever hints say.")


@attrs.frozen(kw_only=True)
class Found:
    """What `status` has found."""

    name: str
    base: Base
    status: Status


@click.command(epilog=options.CODES)
@workspace_name
@click.option("--porcelain", is_flag=True, help="A line for each path, for scripts: `M  path`.")
@VERIFY
@click.option("--exit-code", is_flag=True, help="1 if there are changes.")
@about
def status(
    *, name: str, porcelain: bool, verify: bool, exit_code: bool, **given: Unpack[Given]
) -> int:
    """Say which files a workspace has changed, against what it was made from.

    A added, M modified, D deleted, R renamed.
    """

    async def work(project: Project) -> Found:
        workspace = await project.get(name)
        found = await workspace.status(verify=verify)
        return Found(name=workspace.name, base=workspace.base, status=found)

    found = on_project(given, work)
    changed = found.status.has_changes
    if given["as_json"]:
        record = {"schema": STATUS, "workspace": found.name, "has_changes": changed}
        unsure = [path_text(each) for each in found.status.unsure]
        put(json.dumps({**record, **as_changes(found.status), "unsure": unsure}))
    elif porcelain:
        for each in found.status.changes:
            put(f"{diffs.letter(each, is_coloured=False)}  {change_text(each)}")
    else:
        _tell(found)
    return Exit.FAILED if changed and exit_code else Exit.OK


def _tell(found: Found) -> None:
    changes = found.status.changes
    said = words.plural(len(changes), "change") if changes else "no changes"
    complain(f"{found.name}, from {base_text(found.base)}: {said}")
    is_coloured = has_colours()
    for each in changes:
        put(f"{diffs.letter(each, is_coloured=is_coloured)}  {change_text(each)}")
    for path in found.status.unsure:
        complain(f"changed in the base as it was made, so that may be more: {path_text(path)}")


@click.command(epilog=options.CODES)
@workspace_name
@click.argument("against", metavar="[[WS/]SNAP]", required=False)
@click.option("-w", "--workspace", "other", metavar="WS", help="Against another workspace.")
@VERIFY
@diffs.form
@about
def diff(
    *,
    name: str,
    against: str | None,
    other: str | None,
    verify: bool,
    directory: str | None,
    config_file: str | None,
    as_json: bool,
    **form: Unpack[diffs.Form],
) -> int:
    """Show what a workspace has changed: since it was made, or since a snapshot.

    SNAP is one of its own, or WS/SNAP another's; a workspace's name stands for that workspace, as
    it is now. What is shown leads from there to WORKSPACE as it is now.
    """
    given = Given(directory=directory, config_file=config_file, as_json=as_json)
    diffs.require_one(form)
    if against is not None and other is not None:
        raise ConfigError("diff: against a snapshot or against a workspace, not against both")

    async def work(project: Project) -> diffs.Made:
        workspace = await project.get(name)
        what = await _against(project, workspace, against, other)
        found = await workspace.diff(what, verify=verify)
        record = {"workspace": name, "against": other if against is None else against}
        return await diffs.make(found, form, record if as_json else None)

    made = on_project(given, work)
    diffs.show(made, form, as_json=as_json)
    return Exit.FAILED if form["exit_code"] and not made.is_empty else Exit.OK


async def _against(
    project: Project, workspace: Workspace, against: str | None, other: str | None
) -> str | Workspace | None:
    """What is meant: a snapshot comes first, as it is what one mostly compares with."""
    if other is not None:
        return await project.get(other)
    if against is None or "/" in against:
        return against
    snapshots = [each.name for each in await workspace.snapshots.list()]
    known = [each.name for each in await project.list()]
    if against in snapshots:
        return against
    if against in known:
        return await project.get(against)
    raise SnapshotNotFound(against, workspace.name, near(against, [*snapshots, *known]))
