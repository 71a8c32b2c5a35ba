"""`runner workspace commit | merge | export`: what was changed in it, brought elsewhere."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from typing import Literal, TypeVar, Unpack

import click

from runner.cli import options, words
from runner.cli.exits import Exit
from runner.cli.projects import Given, Work, about, on_project, workspace_name
from runner.cli.streams import complain, put
from runner.cli.workspace_records import as_changes, as_commit, change_text, path_text
from runner.errors import CommitError, ConfigError, Problem
from runner.workspaces.comparing import Change, Status
from runner.workspaces.exporting import Exported
from runner.workspaces.git_index import Strategy
from runner.workspaces.ordering import STRATEGIES
from runner.workspaces.project import Project
from runner.workspaces.records import CommitRecord
from runner.workspaces.sending import FORMATS

T = TypeVar("T")
STRATEGY = click.option(
    "--strategy",
    type=click.Choice(STRATEGIES),
    default="manual",
    help="What becomes of a path that was changed there, too.  [manual: nothing is done]",
)


@click.command(epilog=options.CODES)
@workspace_name
@click.option("-m", "--message", metavar="TEXT", help="Why.")
@click.option("--author", metavar="'NAME <ADDRESS>'", help="[nobody, or as git is configured]")
@click.option("--include", metavar="GLOB", multiple=True, help="Only these, such as 'docs/**'.")
@click.option("--exclude", metavar="GLOB", multiple=True, help="Not these; may be repeated.")
@click.option("-n", "--dry-run", is_flag=True, help="Only say what, and whether it can be.")
@click.option("--branch", metavar="NAME", help="Of git; made if there is none.")
@click.option("--update", is_flag=True, help="Bring work trees along that have the branch.")
@STRATEGY
@about
def commit(
    *,
    name: str,
    message: str | None,
    author: str | None,
    include: tuple[str, ...],
    exclude: tuple[str, ...],
    dry_run: bool,
    branch: str | None,
    update: bool,
    strategy: Strategy,
    **given: Unpack[Given],
) -> int:
    """Bring what was changed in a workspace to what it was made from: all of it, or nothing.

    Into the files of a directory; onto a branch, as a commit of git's, if it was made with --ref or
    --branch is given; or into the workspace that it was made from. If both changed the same, the
    exit code is 10, and nothing was changed.
    """
    if message is None and not dry_run:
        raise ConfigError("commit: say why, with -m TEXT")

    async def work(project: Project) -> CommitRecord | list[Change]:
        workspace = await project.get(name)
        return await workspace.commit(
            message or "-",
            author=author,
            include=include,
            exclude=exclude,
            dry_run=dry_run,
            branch=branch,
            strategy=strategy,
            update=update,
        )

    done = _carry_out(given, work)
    if isinstance(done, CommitRecord):
        _tell(name, done, as_json=given["as_json"])
    elif given["as_json"]:
        changes = as_changes(Status.of(done))
        put(json.dumps({"schema": "runner.commit_plan/1", "workspace": name, **changes}))
    else:
        _put_changes(done)
        complain(f"would be committed: {words.plural(len(done), 'change')}")
    return Exit.OK


def _carry_out(given: Given, work: Work[T]) -> T:
    """As `on_project`; all conflicts are said, where the message has only some of them."""
    try:
        return on_project(given, work)
    except CommitError as exc:
        for each in exc.conflicts:
            complain(f"C  {words.printable(str(each))}")
        raise


def _put_changes(changes: Iterable[Change]) -> None:
    for each in changes:
        put(f"{str(each)[0]}  {change_text(each)}")


def _tell(name: str, done: CommitRecord, *, as_json: bool) -> None:
    if as_json:
        put(json.dumps(as_commit(done, name)))
        return
    for path, why in done.left_out:
        complain(f"left out: {path_text(path)}: {why}")
    for path in done.behind:
        complain(f"left as it was, though the branch is checked out there: {path_text(path)}")
    where = f" on {words.printable(done.branch)}, {done.git_commit[:12]}" if done.branch else ""
    put(f"committed: {words.plural(len(done.paths), 'path')}{where}")


@click.command(epilog=options.CODES)
@workspace_name
@click.argument("source")
@STRATEGY
@about
def merge(*, name: str, source: str, strategy: Strategy, **given: Unpack[Given]) -> int:
    """Bring what was changed in the workspace SOURCE into WORKSPACE.

    What that was is kept in an undo snapshot; SOURCE stays as it is. If both changed the same, the
    exit code is 10, and nothing was changed.
    """

    async def work(project: Project) -> tuple[Change, ...]:
        target, other = await project.get(name), await project.get(source)
        return (await target.merge(other, strategy=strategy)).changes

    changes = _carry_out(given, work)
    if given["as_json"]:
        record = {"schema": "runner.merged/1", "workspace": name, "source": source}
        put(json.dumps({**record, **as_changes(Status.of(changes))}))
    else:
        _put_changes(changes)
        complain(f"merged {source} into {name}: {words.plural(len(changes), 'change')}")
    return Exit.OK


@click.command(epilog=options.CODES)
@workspace_name
@click.argument("file", metavar="FILE")
@click.option("--format", "form", type=click.Choice(FORMATS), help="[by the end of FILE]")
@click.option("--against", metavar="[WS/]SNAP", help="What a patch begins with.  [its base]")
@click.option("-f", "--force", is_flag=True, help="Also over a file that is there.")
@about
def export(
    *,
    name: str,
    file: str,
    form: Literal["patch", "tar", "bundle", "agentfs"] | None,
    against: str | None,
    force: bool,
    **given: Unpack[Given],
) -> int:
    """Write a workspace to a file.

    patch: what was changed, for `git apply`. tar: its files (FILE ends in .tar, .tar.gz or .tgz).
    bundle: its commits, for `git fetch`. agentfs: its files, as a database of AgentFS (.db).
    """
    path = os.path.abspath(file)
    if os.path.lexists(path) and not force:
        raise ConfigError(Problem(file, None, "", "it exists already: --force writes over it"))

    async def work(project: Project) -> Exported:
        workspace = await project.get(name)
        return await workspace.export(path, format=form, against=against, overwrite=force)

    made = on_project(given, work)
    if given["as_json"]:
        left_out = [{"path": path_text(each), "why": why} for each, why in made.left_out]
        record = {"schema": "runner.exported/1", "workspace": name, "path": path_text(made.path)}
        put(json.dumps({**record, "size": made.size, "left_out": left_out}))
        return Exit.OK
    for each, why in made.left_out:
        complain(f"left out: {path_text(each)}: {why}")
    complain(f"written: {path_text(made.path)}, {words.size(made.size)}")
    return Exit.OK
