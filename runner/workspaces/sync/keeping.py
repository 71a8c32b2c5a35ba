"""How a workspace is synced, and what came of it, in the project's store: a row, and trees by name.

How it is to be synced is said by whoever asks for it, in any process; what came of a round, by who
carried it out. So the one is never written over by the other.
"""

from __future__ import annotations

import time
from collections.abc import Mapping

from runner.workspaces.objects import ObjectId
from runner.workspaces.records import Ref
from runner.workspaces.store import Store
from runner.workspaces.sync.settings import ORIGIN, REF, SENT, THEIRS, Settings


def read_settings(store: Store, workspace: str) -> Settings | None:
    """How a workspace is synced; None = it is not."""
    for row in store.remotes.list(workspace):
        if row.name == ORIGIN:
            return Settings.of(row)
    return None


def say(store: Store, workspace: str, settings: Settings) -> None:
    """It is synced so from now on."""
    store.remotes.set(settings.row(workspace, time.time_ns()))


def forget(store: Store, workspace: str) -> None:
    """It is synced no more."""
    with store.transaction():
        store.remotes.remove(workspace, ORIGIN)
        for name in (REF, THEIRS, SENT):
            store.refs.remove(name, workspace)


def keep(store: Store, workspace: str, settings: Settings, refs: Mapping[str, ObjectId]) -> None:
    """Write down what came of a round; nothing if it is synced no more, or elsewhere.

    Args:
        store: of the project.
        workspace: its id.
        settings: what is known now; how it is to be synced is what is written down.
        refs: trees, by name.
    """
    with store.transaction():
        now = read_settings(store, workspace)
        if now is None or (now.url, now.under) != (settings.url, settings.under):
            return
        say(store, workspace, settings.as_wanted(now))
        for name, root in refs.items():
            ref = Ref(workspace=workspace, name=name, root=root, changed_ns=time.time_ns())
            store.refs.set(ref)
