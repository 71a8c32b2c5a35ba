"""What the actor of a workspace's sync has of its project: the live tree, and ways to remotes."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from runner.credentials import look_up
from runner.errors import AgentUnavailable, RemoteRefused
from runner.workspaces.messages import Attach, Look, Restore
from runner.workspaces.sync.actor import SyncActor
from runner.workspaces.sync.opening import make_remote

if TYPE_CHECKING:
    from runner.workspaces.objects import ObjectId
    from runner.workspaces.records import WorkspaceRecord
    from runner.workspaces.shared import Shared
    from runner.workspaces.store import Store
    from runner.workspaces.sync.remote import Remote
    from runner.workspaces.sync.settings import Settings

CACHES = "sync"


def clear_caches(directory: str, workspace: str) -> None:
    """Take away what remotes keep beside the store of a project for a workspace."""
    shutil.rmtree(os.path.join(directory, CACHES, workspace), ignore_errors=True)


def tidy_caches(directory: str, store: Store) -> None:
    """Take away what is of no workspace any more, as its deleter was killed."""
    with suppress(FileNotFoundError):
        names = os.listdir(os.path.join(directory, CACHES))
        known = {each.id for each in store.workspaces.list()}  # each was there before its caches
        for name in names:
            if name not in known:
                clear_caches(directory, name)


def make_sync_actor(shared: Shared, record: WorkspaceRecord) -> SyncActor:
    """The actor of a workspace's sync; nothing happens before it is asked."""

    async def look() -> ObjectId:
        return (await shared.ask(record, Look())).root

    async def apply(before: ObjectId, after: ObjectId) -> None:
        message = Restore(root=after, what="what was pulled", force=True, expect=before)
        await shared.ask(record, message)

    async def connect(settings: Settings, token: str) -> Remote:
        await shared.ask(record, Attach())  # or another process has it
        if settings.token is not None:
            name = "the token of its sync"
            try:
                token = (await look_up({name: settings.token}, shared.means.host))[name]
            except AgentUnavailable as exc:
                raise RemoteRefused(f"{settings.url}: {exc}") from None
        caches = os.path.join(shared.directory, CACHES, record.id)
        return make_remote(settings.url, token=token, host=shared.means.host, caches=caches)

    return SyncActor(
        store=shared.store,
        record=record,
        look=look,
        apply=apply,
        connect=connect,
        acting=partial(shared.acting, record, "sync"),
        clear=partial(clear_caches, shared.directory, record.id),
        in_thread=shared.means.in_thread,
    )
