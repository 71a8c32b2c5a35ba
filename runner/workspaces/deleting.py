"""Deleting a workspace: its hooks, what its actor does (actor.py), and that there is none then."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runner.errors import UncommittedChanges, WorkspaceBusy, WorkspaceError, WorkspaceNotFound
from runner.workspaces.messages import Delete
from runner.workspaces.records import SnapshotRecord, WorkspaceRecord

if TYPE_CHECKING:
    from runner.workspaces.shared import Shared


async def delete(
    shared: Shared, record: WorkspaceRecord, handle: object, message: Delete
) -> SnapshotRecord | None:
    """Take a workspace away; see `Project.delete`. The handle is for hooks."""
    await shared.before("delete", record, handle)
    try:
        rescue = await shared.ask(record, message)
    except (UncommittedChanges, WorkspaceBusy, WorkspaceNotFound):
        raise
    except WorkspaceError:
        if not message.force:
            raise
        await shared.discard(record, message.who)
        rescue = None
    await shared.end(record)
    await shared.after("delete", record, handle)
    shared.forget(record)
    return rescue
