"""Where a session works that a command opens: a directory, or the live tree of a workspace."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from runner.errors import NotFound
from runner.messages import Isolation
from runner.runner import Runner
from runner.scopes.scope import Scope
from runner.workspaces.project import Project

Found = Mapping[str, Any]


async def open_place(
    runner: Runner,
    directory: str,
    workspace: Found | None,
    *,
    env: Mapping[str, str],
    isolation: Isolation | None,
) -> Scope:
    """The scope of a session.

    Args:
        runner: the runner.
        directory: where it works, if that is in no workspace.
        workspace: by what that is found: as it is kept of the session, or its project and name.
        env: variables of the scope.
        isolation: what holds its programs.

    Raises:
        NotFound: the workspace is gone.
        WorkspaceError: it cannot be used.
    """
    if workspace is None:
        return runner.scope(directory, env=env, isolation=isolation)
    project = project_of(runner, workspace)
    name = workspace.get("name") or await name_of(project, workspace["id"])
    found = await project.get(name)
    return found.scope(workspace.get("inner", "."), env=env, isolation=isolation)


def project_of(runner: Runner, workspace: Found) -> Project:
    """The project in which it is."""
    return runner.project(workspace["base"], store=workspace.get("store"))


async def name_of(project: Project, id_: str) -> str:
    """What the workspace of an id is called now.

    Raises:
        NotFound: it is gone.
    """
    for each in await project.list():
        if each.id == id_:
            return each.name
    what = f"that in which the session worked is gone from the project {project.path!r}"
    raise NotFound("workspace", id_, what, hint="runner workspace ls")


def keeps(workspace: Found | None) -> Literal["turn"] | None:
    """Whether each end of its turns is to be a snapshot."""
    return "turn" if workspace is not None and workspace.get("keeps") else None
