"""Deleting a workspace: its hooks, what its actor does (actor.py), and that there is none then.

One whose tree cannot be had any more is taken away by `force` all the same: nothing of it can be
rescued. What only needs room, or another process to end, is no such case: nothing is done then.
"""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

import trio

from runner.errors import (
    ObjectMissing,
    RunnerError,
    StoreDamaged,
    StoreError,
    UncommittedChanges,
    WorkspaceBusy,
    WorkspaceError,
    WorkspaceNotFound,
)
from runner.scopes.who import Who
from runner.workspaces.messages import Delete
from runner.workspaces.records import SnapshotRecord, WorkspaceRecord
from runner.workspaces.sync.wiring import clear_caches

if TYPE_CHECKING:
    from runner.workspaces.shared import Shared

LEAVING = 30.0  # seconds to take away what nobody is to have
_IN_VAIN = UncommittedChanges, WorkspaceBusy, WorkspaceNotFound


async def delete(
    shared: Shared, record: WorkspaceRecord, handle: object, message: Delete
) -> SnapshotRecord | None:
    """Take a workspace away; see `Project.delete`. The handle is for hooks."""
    await shared.before("delete", record, handle)
    rescue = await _take_away(shared, record, message)
    await shared.end(record)
    await shared.means.in_thread(partial(clear_caches, shared.directory, record.id))
    await shared.after("delete", record, handle)
    shared.forget(record)
    return rescue


async def take_back(shared: Shared, record: WorkspaceRecord, who: Who) -> None:
    """Take away a workspace that was made just now, and that nobody has got."""
    with trio.move_on_after(LEAVING, shield=True), suppress(RunnerError):
        await _take_away(shared, record, Delete(force=True, rescue=False, who=who))
        await shared.end(record)
        shared.forget(record)


async def _take_away(
    shared: Shared, record: WorkspaceRecord, message: Delete
) -> SnapshotRecord | None:
    try:
        return await shared.ask(record, message)
    except WorkspaceError as error:
        is_broken = isinstance(error, StoreDamaged | ObjectMissing)
        in_vain = isinstance(error, _IN_VAIN) or (isinstance(error, StoreError) and not is_broken)
        if in_vain or not message.force:
            raise
        await shared.discard(record, message.who)
        return None
