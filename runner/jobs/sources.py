"""Where a batch's workspaces come from, and what is in the way of it. It only reads."""

from __future__ import annotations

import os
import shutil
from typing import TypeAlias

import attrs

from runner.jobs.plan import Source
from runner.jobs.spec import Workspace

Found: TypeAlias = list[tuple[str, str]]  # what is wrong: the key of the table, and a sentence


def find_source(workspace: Workspace, base: str) -> tuple[Source, Found]:
    """The source, and what is wrong with it.

    Args:
        workspace: the table.
        base: the directory that its paths are relative to.
    """
    if workspace.copy is not None:
        source = Source(kind="copy", path=os.path.normpath(os.path.join(base, workspace.copy)))
    elif workspace.in_place is not None:
        path = os.path.normpath(os.path.join(base, workspace.in_place))
        source = Source(kind="in_place", path=path)
    elif workspace.repo is not None:
        source = Source(kind="repo", path=workspace.repo, ref=workspace.ref)
        if not source.is_url:
            path = os.path.normpath(os.path.join(base, workspace.repo))
            source = attrs.evolve(source, path=path)
    else:
        return Source(kind="empty"), []
    has_history = workspace.isolation == "workspace"
    return attrs.evolve(source, has_history=has_history), _obstacles(source)


def _obstacles(source: Source) -> Found:
    path, found = source.path, Found()
    if source.kind != "repo":
        return [] if os.path.isdir(path) else [(source.kind, f"there is no directory {path!r}")]
    if not source.is_url and not _is_repository(path):
        found.append(("repo", f"there is no git repository at {path!r}"))
    if shutil.which("git") is None:
        found.append(("repo", "the program 'git' is not installed"))
    return found


def project_obstacles(
    source: Source,
    output: str | os.PathLike[str] | None,
    projects: str | os.PathLike[str] | None,
) -> Found:
    """Why there can be no workspaces of a source.

    Args:
        source: a directory or a repository that is there.
        output: the output directory; None = it is not known.
        projects: where projects are kept, likewise.
    """
    if source.is_url and source.kind == "repo":
        how = 'clone it first, or leave isolation = "workspace" away'
        return [("repo", f"a workspace is of a repository on this machine, not of a URL: {how}")]
    found, base = Found(), os.path.realpath(source.path)
    if projects is not None and _is_in(projects, base):
        how = "name another place: `state`, or `workspace.place`, of the runner's options"
        what = f"workspaces would be kept in what they are made of, in {os.fspath(projects)!r}"
        found.append((source.kind, f"{what}: {how}"))
    if output is not None and source.kind == "copy" and _is_in(output, base):
        what = f"the output directory {os.fspath(output)!r} would lie in what workspaces are made"
        found.append(("copy", f"{what} of, and change it: name one outside, such as -o ../out"))
    return found


def _is_in(path: str | os.PathLike[str], directory: str) -> bool:
    return (os.path.realpath(path) + "/").startswith(directory.rstrip("/") + "/")


def _is_repository(path: str) -> bool:
    if os.path.exists(os.path.join(path, ".git")):  # a directory, or a worktree's file
        return True
    return all(os.path.exists(os.path.join(path, name)) for name in ("HEAD", "objects", "refs"))
