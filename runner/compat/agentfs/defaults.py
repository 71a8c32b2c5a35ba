"""The workspace whose files `afs.fs` has; made if need be, perhaps from agentfs-sdk's database.

What that has is taken over once; its values and calls first, so that the workspace is there when
all of it is.
"""

from __future__ import annotations

import os

import trio

from runner.compat.agentfs.houses import Place
from runner.errors import WorkspaceNotFound
from runner.workspaces.agent_rows import AgentRows, CallRow
from runner.workspaces.importing_agentfs import read_rows
from runner.workspaces.store import Store
from runner.workspaces.workspace import Workspace

NAME = "default"


async def default_workspace(place: Place, base: str | None, imported: str | None) -> Workspace:
    """The workspace "default", or AGENTFS_WORKSPACE; in trio's thread.

    Args:
        place: the project.
        base: what it is made from; None = the project's directory.
        imported: a database of agentfs-sdk's that it is made from instead.
    """
    project = await place.project()
    name = os.environ.get("AGENTFS_WORKSPACE") or NAME
    try:
        return await project.get(name)
    except WorkspaceNotFound:
        pass
    if imported is None:
        return await project.create(name, base=base)
    store = await project._shared.open()  # noqa: SLF001 - no user of ours has these rows
    await trio.to_thread.run_sync(_take_over, store, imported)
    return await project.import_agentfs(name, imported)


def _take_over(store: Store, path: str) -> None:
    values, calls = read_rows(path)
    with store.transaction():
        rows = AgentRows(store.file)
        for key, value, created in values:
            if rows.get(key) is None:
                rows.set(key, value, created)
        if not rows.since(-1, 1):
            for each in calls:
                status = "error" if each["error"] else "success"
                is_over = each["completed_at"] is not None
                call = CallRow(
                    **each,
                    status=status if is_over else "pending",
                    started_ns=int(each["started_at"]) * 10**9,
                )
                rows.add(call)
