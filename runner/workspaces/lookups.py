"""Rows of a project's store, looked up and changed by what people call them. Synchronous.

Each function is one transaction, or none is needed; what is not there is an error that names what
may have been meant. What is done to a workspace as a whole has its row of the audit in the same
transaction; `who` is None where nothing is audited.
"""

from __future__ import annotations

import os
import time
import uuid
from contextlib import nullcontext
from datetime import UTC, datetime
from typing import Any

import attrs

from runner.errors import SnapshotExists, SnapshotNotFound, WorkspaceExists, WorkspaceNotFound
from runner.scopes.who import Who
from runner.workspaces.audit_rows import append, row
from runner.workspaces.capturing import Captured
from runner.workspaces.collecting import Collected
from runner.workspaces.names import LONGEST, near, split_snapshot
from runner.workspaces.records import Json, SnapshotKind, SnapshotRecord, WorkspaceRecord
from runner.workspaces.retaining import Retention, expired
from runner.workspaces.store import Store


def new_id() -> str:
    """An id that nothing else has."""
    return uuid.uuid4().hex


def stamped(prefix: str) -> str:
    """A name with the time in it, for what nobody has named."""
    stamp = datetime.now(UTC).strftime("-%Y%m%dT%H%M%S.%f")
    room = LONGEST - len(stamp)
    return prefix.encode()[:room].decode(errors="ignore") + stamp


def tell(store: Store, workspace: str, operation: str, who: Who | None, **details: Json) -> None:
    """Say in the audit what is done to a workspace, in the caller's transaction."""
    if who is not None:
        append(store, row(workspace, operation, who, details=details))


# ---------------------------------------------------------------- workspaces


def workspaces(store: Store) -> list[WorkspaceRecord]:
    """Those that are whole, by name."""
    return [each for each in store.workspaces.list() if each.state == "ready"]


def find_workspace(store: Store, name: str) -> WorkspaceRecord:
    """The workspace of a name.

    Raises:
        WorkspaceNotFound: there is none that is whole.
    """
    for each in (whole := workspaces(store)):
        if each.name == name:
            return each
    raise WorkspaceNotFound(name, near(name, [each.name for each in whole]))


def require_free(store: Store, name: str) -> None:
    """Raise WorkspaceExists if a name is taken, also by one that is half made or half deleted."""
    if any(each.name == name for each in store.workspaces.list()):
        raise WorkspaceExists(name)


def change_workspace(store: Store, id_: str, **changes: Any) -> WorkspaceRecord:
    """Change a workspace's record; as it is then.

    Raises:
        WorkspaceNotFound: it is gone.
        WorkspaceExists: it is to have a name that another one has.
    """
    with store.transaction():
        record = store.workspaces.get(id_)
        changed = attrs.evolve(record, changed_ns=time.time_ns(), **changes)
        store.workspaces.change(changed)
    return changed


def rename_workspace(store: Store, id_: str, name: str, who: Who | None) -> WorkspaceRecord:
    """Give a workspace another name; as it is then.

    Raises:
        WorkspaceNotFound: it is gone.
        WorkspaceExists: another one has that name.
    """
    with store.transaction():
        before = store.workspaces.get(id_).name
        changed = change_workspace(store, id_, name=name)
        tell(store, id_, "rename", who, name=name, before=before)
    return changed


# ---------------------------------------------------------------- snapshots


def add_snapshot(
    store: Store,
    workspace: str,
    workspace_name: str,
    name: str,
    captured: Captured,
    *,
    description: str = "",
    kind: SnapshotKind = "user",
    session: str = "",
    turn: int = 0,
    who: Who | None = None,
) -> SnapshotRecord:
    """Add a snapshot of what was captured.

    Raises:
        SnapshotExists: the workspace has one of that name.
        ObjectMissing: something of it was dropped meanwhile; it is to be captured anew.
    """
    with store.transaction():
        store.require_whole(captured.root, captured.since)
        before = store.snapshots.list(workspace)
        if any(each.name == name for each in before):
            raise SnapshotExists(name, workspace_name)
        snapshot = SnapshotRecord(
            id=new_id(),
            workspace=workspace,
            name=name,
            description=description,
            root=captured.root,
            parent=before[-1].root if before else None,
            created_ns=time.time_ns(),
            kind=kind,
            session=session,
            turn=turn,
            unstable=tuple(os.fsdecode(each) for each in captured.unstable),
            skipped=tuple((os.fsdecode(each.path), each.why) for each in captured.skipped),
        )
        store.snapshots.add(snapshot)
        change_workspace(store, workspace, root=captured.root)
        told = who and who.within(Who(session=session))
        about: dict[str, Json] = {"name": name, "kind": kind, "root": captured.root.hex()}
        if turn:
            about["turn"] = turn
        tell(store, workspace, "snapshot", told, **about)
    return snapshot


def remove_snapshot(
    store: Store, snapshot: SnapshotRecord, who: Who | None, *, why: str = ""
) -> None:
    """Remove a snapshot; `why` is for the audit, if nobody asked for it.

    Raises:
        SnapshotNotFound: it is gone.
    """
    with store.transaction():
        store.snapshots.remove(snapshot.id)
        about: dict[str, Json] = {"name": snapshot.name, "root": snapshot.root.hex()}
        if why:
            about["why"] = why
        tell(store, snapshot.workspace, "snapshot_delete", who, **about)


def collect(store: Store, rule: Retention, who: Who | None, *, dry_run: bool) -> Collected:
    """Remove the snapshots that are kept no longer, and then what nothing names any more."""
    with nullcontext() if dry_run else store.transaction():
        ids = {each.id for each in store.workspaces.list()}
        found = expired(store.snapshots.list(), ids, rule, time.time_ns())
        if not dry_run:
            for each in found:
                remove_snapshot(store, each.snapshot, who, why=each.why)
    collected = store.collect(dry_run=dry_run, without={each.snapshot.id for each in found})
    return attrs.evolve(collected, snapshots=found)


def find_snapshot(
    store: Store, reference: str, workspace: WorkspaceRecord | None = None
) -> SnapshotRecord:
    """The snapshot that is meant by "ws/snap", or by a name.

    Args:
        store: of the project.
        reference: what the caller wrote.
        workspace: where a bare name is looked for; None = in all workspaces, first in those that
            are there, then in those that were deleted.

    Raises:
        SnapshotNotFound: there is none, or there are several.
        WorkspaceNotFound: there is no such workspace.
    """
    where, name = split_snapshot(reference)
    if where is not None:
        workspace = find_workspace(store, where)
    if workspace is not None:
        mine = store.snapshots.list(workspace.id)
        for each in mine:
            if each.name == name:
                return each
        known = [each.name for each in mine]
        raise SnapshotNotFound(name, workspace.name, near(name, known))
    names = {each.id: each.name for each in workspaces(store)}
    found: list[SnapshotRecord] = store.snapshots.find(name)
    living = [each for each in found if each.workspace in names]
    chosen = living or found
    if len(chosen) == 1:
        return chosen[0]
    if not chosen:
        raise SnapshotNotFound(name, near=_near_snapshots(store, name, names))
    candidates = [f"{names.get(each.workspace, each.workspace)}/{each.name}" for each in chosen]
    raise SnapshotNotFound(name, candidates=sorted(candidates))


def _near_snapshots(store: Store, name: str, workspaces_by_id: dict[str, str]) -> tuple[str, ...]:
    known = [each.name for id_ in workspaces_by_id for each in store.snapshots.list(id_)]
    return near(name, dict.fromkeys(known))
