"""`runner workspace create | rename | unmount | rm`."""

from __future__ import annotations

import json
import os
from typing import Unpack

import click

from runner.cli import options
from runner.cli.exits import Exit
from runner.cli.projects import Given, about, on_project, workspace_name
from runner.cli.session_finding import read_config
from runner.cli.streams import complain, put
from runner.cli.workspace_records import as_snapshot, as_workspace, place_of
from runner.errors import ConfigError, WorkspaceNotFound
from runner.workspaces.names import near
from runner.workspaces.project import Project
from runner.workspaces.records import SnapshotRecord, WayName, WorkspaceRecord
from runner.workspaces.wanting import WAYS
from runner.workspaces.workspace import Workspace


@click.command(epilog=options.CODES)
@workspace_name
@click.option("-m", "--description", metavar="TEXT", default="", help="What it is for.")
@click.option("--tag", "tags", metavar="TAG", multiple=True, help="May be repeated.")
@click.option("--base", metavar="DIR", help='Made from it; "empty" = from nothing.  [the project]')
@click.option("--ref", metavar="REF", help="Made from a git ref of the base.")
@click.option("--snapshot", metavar="[WS/]SNAP", help="Made from a snapshot.")
@click.option("--workspace", metavar="WS", help="Made from another workspace, as it is now.")
@click.option("--way", type=click.Choice(WAYS), help="How its tree is made.  [plain]")
@click.option("--read-only", is_flag=True, help="Nothing is changed or run in it.")
@click.option("--agent-id", metavar="ID", default="", help="On whose behalf.")
@about
def create(
    *,
    name: str,
    description: str,
    tags: tuple[str, ...],
    base: str | None,
    ref: str | None,
    snapshot: str | None,
    workspace: str | None,
    way: WayName | None,
    read_only: bool,
    agent_id: str,
    **given: Unpack[Given],
) -> int:
    """Make a workspace, print its name, and say where its files are.

    Without more it is made from the files of the project as they are; those stay as they are,
    whatever is done in it. If there is no project here or above, this directory becomes one. Every
    program sees its files. Without root that is not so of an overlay: it is made at once, whatever
    the size, but only `runner workspace exec` leads into it; so it has to be asked for.
    """
    configured = read_config(given["config_file"]).workspace.way
    where = base if base in (None, "empty") else os.path.abspath(base)

    async def work(project: Project) -> Workspace:
        return await project.create(
            name,
            description=description,
            tags=tags,
            base=where,
            ref=ref,
            snapshot=snapshot,
            workspace=workspace,
            way=way or ("plain" if configured == "auto" else configured),
            read_only=read_only,
            agent_id=agent_id,
        )

    made = on_project(given, work, makes=True)
    if given["as_json"]:
        put(json.dumps(as_workspace(made.record)))
    else:
        put(name)
        complain(f"made by {made.way}: {place_of(made.record)}")
    return Exit.OK


@click.command(epilog=options.CODES)
@workspace_name
@click.argument("new", metavar="NEW")
@about
def rename(*, name: str, new: str, **given: Unpack[Given]) -> int:
    """Give a workspace another name; its files stay where they are."""

    async def work(project: Project) -> Workspace:
        await project.rename(name, new)
        return await project.get(new)

    renamed = on_project(given, work)
    if given["as_json"]:
        put(json.dumps(as_workspace(renamed.record)))
    else:
        complain(f"renamed: {name} is {new} now")
    return Exit.OK


@click.command(epilog=options.CODES)
@click.argument("names", metavar="[WORKSPACE...]", nargs=-1)
@about
def unmount(*, names: tuple[str, ...], **given: Unpack[Given]) -> int:
    """Unmount the trees of overlays; without a name those of all workspaces.

    Nothing is lost: what is done with a workspace next mounts it again. It is for who moves, backs
    up or removes the directory in which workspaces are, or unmounts the disk of the project. One
    that a program uses is refused, and the program said.
    """

    async def work(project: Project) -> list[WorkspaceRecord]:
        for name in dict.fromkeys(names) or [None]:
            await project.unmount(name)
        return [each for each in await project.list() if not names or each.name in names]

    if any(not name for name in names):
        raise ConfigError("unmount: a name is empty")
    for each in on_project(given, work):
        if given["as_json"]:
            put(json.dumps(as_workspace(each)))
    return Exit.OK


@click.command(epilog=options.CODES)
@click.argument("names", metavar="WORKSPACE...", nargs=-1, required=True)
@click.option("-f", "--force", is_flag=True, help="Also with changes that are in no commit.")
@about
def rm(*, names: tuple[str, ...], force: bool, **given: Unpack[Given]) -> int:
    """Take workspaces away; their snapshots stay.

    One with changes that are in no commit is refused (exit code 11) without --force. What it was is
    kept in a rescue snapshot in any case, whose name is said; `runner workspace create NAME
    --snapshot RESCUE` brings it back. If one of several is not there, none is taken away.
    """

    async def work(project: Project) -> list[tuple[str, SnapshotRecord | None]]:
        known = [each.name for each in await project.list()]
        for name in names:
            if name not in known:
                raise WorkspaceNotFound(name, near(name, known))
        done: list[tuple[str, SnapshotRecord | None]] = []
        for name in dict.fromkeys(names):
            rescue = await project.delete(name, force=force)
            done.append((name, rescue))
            _say(given, name, rescue)
        return done

    if any(not name for name in names):
        raise ConfigError("rm: a name is empty")
    on_project(given, work)
    return Exit.OK


def _say(given: Given, name: str, rescue: SnapshotRecord | None) -> None:
    """At once: of several, the next may be refused."""
    if given["as_json"]:
        kept = None if rescue is None else as_snapshot(rescue, {})
        put(json.dumps({"schema": "runner.workspace_removed/1", "name": name, "rescue": kept}))
    elif rescue is None:
        complain(f"removed: {name}")
    else:
        complain(f"removed: {name}; its changes are in the snapshot {rescue.name}")
