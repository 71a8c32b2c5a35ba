"""`runner sync status | conflicts`; how a sync is, for people and for programs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Unpack

import click

from runner.cli import options, words
from runner.cli.columns import facts
from runner.cli.exits import Exit
from runner.cli.projects import Given, about, on_project, workspace_name
from runner.cli.streams import complain, put
from runner.cli.workspace_records import path_text
from runner.workspaces.project import Project
from runner.workspaces.sync.sync import SyncConflict, SyncStatus

STATUS = "runner.sync/1"
CONFLICT = "runner.conflict/1"


@click.command(epilog=options.CODES)
@workspace_name
@about
def status(*, name: str, **given: Unpack[Given]) -> int:
    """Say how a workspace's sync is; the remote is not asked."""

    async def work(project: Project) -> SyncStatus:
        return await (await project.get(name)).sync.status()

    tell(name, on_project(given, work), as_json=given["as_json"])
    return Exit.OK


@click.command(epilog=options.CODES)
@workspace_name
@about
def conflicts(*, name: str, **given: Unpack[Given]) -> int:
    """List what both sides had changed when that was tried last; exit code 10 if it is open."""

    async def work(project: Project) -> Sequence[SyncConflict]:
        return await (await project.get(name)).sync.conflicts()

    found = on_project(given, work)
    if given["as_json"]:
        for each in found:
            put(json.dumps({"schema": CONFLICT, "workspace": name, **_conflict(each)}))
    elif found:
        put(lines(found))
    else:
        complain("there are no conflicts")
    return Exit.CONFLICT if any(each.choice is None for each in found) else Exit.OK


def tell(name: str, found: SyncStatus, *, as_json: bool) -> None:
    """Say how a sync is."""
    last = found.last_sync
    if as_json:
        record = {
            "schema": STATUS,
            "workspace": name,
            "state": found.state,
            "url": found.url,
            "mode": found.mode,
            "last_sync": None if last is None else last.isoformat(timespec="milliseconds"),
            "pending_changes": found.pending_changes,
            "conflicts": [_conflict(each) for each in found.conflicts],
            "trouble": found.trouble,
        }
        put(json.dumps(record))
        return
    said = {
        "workspace": name,
        "state": found.state,
        "remote": words.printable(found.url),
        "mode": found.mode if found.url else "",
        "last sync": "" if last is None else f"{last.astimezone():%Y-%m-%d %H:%M:%S}",
        "pending": words.plural(found.pending_changes, "change") if found.url else "",
        "trouble": words.printable(found.trouble),
    }
    put(facts(said))
    if found.conflicts:
        put("\n" + lines(found.conflicts))


def lines(found: Sequence[SyncConflict]) -> str:
    """A line for each conflict."""
    return "\n".join(
        f"C  {path_text(each.path)}: {_reason(each)}"
        + ("" if each.choice is None else f" (decided: {each.choice})")
        for each in found
    )


def _reason(each: SyncConflict) -> str:
    return words.printable(each.reason.removeprefix(f"{each.path}: "))


def _conflict(each: SyncConflict) -> dict[str, object]:
    return {"path": path_text(each.path), "reason": _reason(each), "choice": each.choice}
