"""`runner audit`: what was done in workspaces, by whom and when; followed, exported, verified."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import Unpack

import attrs
import click

from runner.cli import options, words
from runner.cli.audit_filters import Filters, Which, filters, row_text, which
from runner.cli.colours import has_colours
from runner.cli.exits import Exit
from runner.cli.pager import page
from runner.cli.projects import Given, about, on_project
from runner.cli.snapshot_finding import names_of
from runner.cli.streams import complain, put
from runner.cli.workspace_records import path_text
from runner.errors import ConfigError, WorkspaceNotFound
from runner.workspaces.audit import Audit
from runner.workspaces.audit_export import FORMATS, Format, plain
from runner.workspaces.chain import Verified
from runner.workspaces.names import near
from runner.workspaces.project import Project
from runner.workspaces.records import AuditRecord

ROW = "runner.audit/1"


@click.command(epilog=options.CODES)
@click.argument("workspace", required=False)
@filters
@click.option("-n", "--limit", metavar="N", type=click.IntRange(0), help="Only the last N.")
@click.option("-f", "--follow", is_flag=True, help="Go on with what is done, until Ctrl-C.")
@click.option("--export", "file", metavar="FILE", help="Write them to a file.")
@click.option("--format", "form", type=click.Choice(FORMATS), help="Of that.  [by its name]")
@click.option("--verify", is_flag=True, help="See whether a row was edited or is missing.")
@click.option("--noted", metavar="MARK", help="With --verify: what it said before must be there.")
@click.option("--no-pager", is_flag=True, help="On a terminal: without a pager.")
@about
def audit(
    *,
    workspace: str | None,
    limit: int | None,
    follow: bool,
    file: str | None,
    form: Format | None,
    verify: bool,
    noted: str | None,
    no_pager: bool,
    directory: str | None,
    config_file: str | None,
    as_json: bool,
    **given: Unpack[Filters],
) -> int:
    """Say what was done in the workspaces of a project, the oldest first; or in one of them.

    It may be one that was removed: the last of that name, if there is none now.

    With --verify (of the whole project) the exit code is 1 if a row was changed or is missing.
    Note the mark that it prints elsewhere: with --noted one also knows that not all was made anew.
    """
    about_it = Given(directory=directory, config_file=config_file, as_json=as_json)
    rows = which(given)
    several = [name for name, is_it in _ways(follow, file, verify).items() if is_it]
    if len(several) > 1:
        raise ConfigError(f"{' and '.join(several)} cannot both be had")
    if verify:
        _refuse(rows, "--verify is about all rows of the project", workspace, limit)
        return _verify(about_it, noted)
    if noted is not None:
        raise ConfigError("--noted goes with --verify")
    if file is not None:
        _refuse(None, "--export writes all that are meant", limit)
        return _export(about_it, workspace, file, form or _format(file), rows)
    if form is not None:
        raise ConfigError("--format goes with --export")
    if follow:
        return _follow(about_it, workspace, rows, limit)
    return _list(about_it, workspace, rows, limit, no_pager=no_pager)


def _ways(follow: bool, file: str | None, verify: bool) -> dict[str, bool]:
    return {"--follow": follow, "--export": file is not None, "--verify": verify}


def _refuse(rows: Which | None, why: str, *others: object) -> None:
    if any(each is not None for each in others) or (rows and any(rows.values())):
        raise ConfigError(f"{why}: no other choice goes with it")


def _format(file: str) -> Format:
    ending = os.path.splitext(file)[1].removeprefix(".")
    return next((each for each in FORMATS if each == ending), "json")


async def _audit(project: Project, workspace: str | None) -> Audit:
    """The audit that is meant; the workspace itself is not opened, so that others may have it."""
    if workspace is None:
        return project.audit
    ids = {name: id_ for id_, name in (await _names(project)).items()}
    if workspace not in ids:
        raise WorkspaceNotFound(workspace, near(workspace, ids))
    return attrs.evolve(project.audit, workspace=ids[workspace])


async def _names(project: Project) -> dict[str, str]:
    """The names of the workspaces, by id; first those that are gone, as they were called last."""
    there = await names_of(project)
    named = await project.audit.logs(operation=["create", "rename"])
    gone = {each.workspace: str(each.details.get("name", "")) for each in named}
    return {id_: name for id_, name in gone.items() if name and id_ not in there} | there


def _row(record: AuditRecord, names: dict[str, str]) -> str:
    name = names.get(record.workspace)
    return json.dumps({"schema": ROW, "workspace_name": name, **plain(record)})


# ---------------------------------------------------------------- listed


@attrs.frozen(kw_only=True)
class _Listed:
    rows: Sequence[AuditRecord]
    names: dict[str, str]


def _list(
    given: Given, workspace: str | None, rows: Which, limit: int | None, *, no_pager: bool
) -> Exit:
    async def work(project: Project) -> _Listed:
        found = await _last(await _audit(project, workspace), rows, limit)
        return _Listed(rows=found, names=await _names(project))

    listed = on_project(given, work)
    if given["as_json"]:
        for each in listed.rows:
            put(_row(each, listed.names))
    elif listed.rows:
        is_coloured = has_colours()
        lines = (
            row_text(each, listed.names, is_coloured=is_coloured) + "\n" for each in listed.rows
        )
        page(lines, is_wanted=not no_pager)
    else:
        complain("there are no such rows")
    return Exit.OK


async def _last(audit: Audit, rows: Which, limit: int | None) -> Sequence[AuditRecord]:
    """The last ones, the oldest first."""
    if limit is None:
        return await audit.logs(**rows)
    return (await audit.logs(**rows, limit=limit, newest_first=True))[::-1]


# ---------------------------------------------------------------- followed


def _follow(given: Given, workspace: str | None, rows: Which, limit: int | None) -> Exit:
    async def work(project: Project) -> None:
        names: dict[str, str] = {}
        audit = await _audit(project, workspace)

        async def tell(each: AuditRecord) -> None:
            if each.workspace not in names:
                names.update(await _names(project))
            is_coloured = has_colours()
            text = row_text(each, names, is_coloured=is_coloured)
            put(_row(each, names) if given["as_json"] else text)

        async with audit.stream(**rows) as coming:  # before the rest is read: none falls in between
            last = 0
            for each in await _last(audit, rows, limit):
                last = each.seq
                await tell(each)
            async for each in coming:
                if each.seq > last:
                    await tell(each)

    on_project(given, work, is_quiet=True)
    return Exit.OK  # pragma: no cover - it goes on until a signal ends it


# ---------------------------------------------------------------- exported, verified


def _export(given: Given, workspace: str | None, file: str, form: Format, rows: Which) -> Exit:
    path = os.path.abspath(file)

    async def work(project: Project) -> int:
        return await (await _audit(project, workspace)).export(path, form, **rows)

    count = on_project(given, work)
    if given["as_json"]:
        put(
            json.dumps(
                {"schema": "runner.audit_exported/1", "file": path_text(file), "rows": count}
            )
        )
    else:
        complain(f"{words.plural(count, 'row')} in {path_text(file)}")
    return Exit.OK


def _verify(given: Given, noted: str | None) -> Exit:
    async def work(project: Project) -> Verified:
        return await project.audit.verify(noted=noted or "")

    found = on_project(given, work)
    if given["as_json"]:
        record = {"ok": found.ok, "rows": found.rows, "mark": found.head.mark}
        problems = [*found.problems]
        put(json.dumps({"schema": "runner.audit_verified/1", **record, "problems": problems}))
    else:
        for each in found.problems:
            put(words.printable(each))
        said = "as they were written" if found.ok else "not as they were written"
        put(f"{words.plural(found.rows, 'row')}, {said}; mark {found.head.mark}")
    return Exit.OK if found.ok else Exit.FAILED
