"""`runner gc`: what nothing names any more is dropped from the project's store."""

from __future__ import annotations

import json
from typing import Unpack

import click

from runner.cli import options, words
from runner.cli.exits import Exit
from runner.cli.projects import Given, about, on_project
from runner.cli.streams import complain, put
from runner.workspaces.collecting import Checked, Collected, Sizes
from runner.workspaces.project import Project

SCHEMA = "runner.gc/1"


@click.command(epilog=options.CODES)
@click.option("-n", "--dry-run", is_flag=True, help="Only say what would be dropped.")
@click.option("--check", "is_checked", is_flag=True, help="See first that the store is whole.")
@about
def gc(*, dry_run: bool, is_checked: bool, **given: Unpack[Given]) -> int:
    """Give back the space of what no snapshot, workspace or commit of the project needs.

    What was stored within the last hour stays: somebody may be about to name it. Before that,
    snapshots go that no person made and that are kept no longer (`keep_…` in the table `workspace`
    of runner.toml); each is named with the reason. With --check and a store that is not whole,
    nothing is dropped (exit code 8).
    """

    async def work(project: Project) -> tuple[Checked | None, Collected | None, Sizes]:
        checked = await project.check() if is_checked else None
        if checked is not None and not checked.ok:
            return checked, None, await project.sizes()
        collected = await project.collect(dry_run=dry_run)
        return checked, collected, await project.sizes()

    checked, collected, sizes = on_project(given, work)
    problems = () if checked is None else checked.problems
    for problem in problems:
        complain(words.printable(problem))
    objects, size = (0, 0) if collected is None else (collected.objects, collected.bytes)
    snapshots = () if collected is None else collected.snapshots
    if given["as_json"]:
        record = {"schema": SCHEMA, "dry_run": dry_run, "objects": objects, "bytes": size}
        kept = {"kept_objects": sizes.objects, "file_bytes": sizes.file}
        listed = [
            {"name": each.snapshot.name, "id": each.snapshot.id, "why": each.why}
            for each in snapshots
        ]
        put(json.dumps({**record, **kept, "snapshots": listed, "problems": [*problems]}))
    elif collected is None:
        complain("nothing was dropped: the store is not whole")
    else:
        done = "would be dropped" if dry_run else "dropped"
        for each in snapshots:
            name = words.printable(each.snapshot.name)
            put(f"the snapshot {name} {done}: {each.why}")
        put(f"{words.plural(objects, 'object')} {done}, {words.size(size)}")
        put(f"the store has {words.plural(sizes.objects, 'object')} in {words.size(sizes.file)}")
    return Exit.INFRA if problems else Exit.OK
