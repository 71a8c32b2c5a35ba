"""Workspaces that are many and short: put away when nobody works in them, dropped with all of them.

put away   its tree is unmounted, its lock is free; the next use has it there again
dropped    it is gone with its snapshots, and no rescue is kept: whoever drops it knows the rule
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from runner.errors import WorkspaceBusy, WorkspaceError, WorkspaceNotFound
from runner.scopes.who import Who
from runner.workspaces.deleting import delete
from runner.workspaces.lookups import remove_snapshot
from runner.workspaces.messages import Attach, Delete
from runner.workspaces.records import WorkspaceRecord
from runner.workspaces.store import Store

if TYPE_CHECKING:
    from runner.workspaces.shared import Shared
    from runner.workspaces.workspace import Workspace


async def put_away(shared: Shared, record: WorkspaceRecord) -> None:
    """Hold a workspace no more; see `Project.put_away`."""
    await shared.unmount(record)
    await shared.end(record)
    shared.forget(record)


async def drop(shared: Shared, workspace: Workspace, who: Who) -> None:
    """Take a workspace away with its snapshots; see `Project.drop`."""
    record = workspace.record
    try:
        await shared.ask(record, Attach())  # from here on it is nobody else's
    except (WorkspaceBusy, WorkspaceNotFound):
        raise
    except WorkspaceError:
        pass  # its tree cannot be had any more: it goes all the same
    whose = shared.whose(record, who)
    # First, for who is killed between the two: a workspace is found again, its snapshots are not.
    await shared.do(partial(_remove_snapshots, workspace=record.id, who=whose))
    await delete(shared, record, workspace, Delete(force=True, rescue=False, who=who))


def _remove_snapshots(store: Store, *, workspace: str, who: Who | None) -> None:
    with store.transaction():
        for each in store.snapshots.list(workspace):
            remove_snapshot(store, each, who, why="its workspace is dropped")
