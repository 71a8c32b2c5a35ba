"""Workspaces, snapshots and changes as records for programs, and as words for people.

In records, paths that are not UTF-8, or have control characters, quotes or backslashes, are quoted
as git quotes them; `runner.workspaces.audit_export.path_of` reads that.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import UTC, datetime
from shlex import quote

import attrs

from runner.cli import words
from runner.workspaces.attaching import is_seen
from runner.workspaces.comparing import Change, Status
from runner.workspaces.quoting import shown
from runner.workspaces.records import Base, CommitRecord, SnapshotRecord, WorkspaceRecord

WORKSPACE = "runner.workspace/1"
SNAPSHOT = "runner.snapshot/1"
COMMIT = "runner.commit/1"
LETTERS = {"added": "A", "modified": "M", "deleted": "D", "renamed": "R"}


def path_text(path: str) -> str:
    """A path for people and for records: one line, UTF-8."""
    return shown(os.fsencode(path))


def text_of(text: str) -> str:
    """Text of somebody else's for records: UTF-8."""
    return text if _is_utf8(text) else words.printable(text)


def _is_utf8(text: str) -> bool:
    return not any("\ud800" <= each <= "\udfff" for each in text)


def iso(time_ns: int) -> str:
    """A time as records have it."""
    at = datetime.fromtimestamp(time_ns / 1e9, UTC)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


# ---------------------------------------------------------------- records


def as_workspace(record: WorkspaceRecord) -> dict[str, object]:
    """A workspace."""
    base = record.base
    return {
        "schema": WORKSPACE,
        "id": record.id,
        "name": record.name,
        "description": text_of(record.description),
        "tags": [text_of(each) for each in record.tags],
        "base": {**attrs.asdict(base), "path": path_text(base.path), "ref": text_of(base.ref)},
        "way": record.way,
        "path": path_text(record.tree),
        "visible": is_seen(record.tree, record.way),
        "created": iso(record.created_ns),
        "agent_id": text_of(record.agent_id),
        "read_only": record.read_only,
    }


def as_snapshot(record: SnapshotRecord, names: Mapping[str, str]) -> dict[str, object]:
    """A snapshot.

    Args:
        record: the snapshot.
        names: of the workspaces that are there, by id.
    """
    return {
        "schema": SNAPSHOT,
        "id": record.id,
        "workspace": names.get(record.workspace),
        "workspace_id": record.workspace,
        "name": record.name,
        "description": text_of(record.description),
        "kind": record.kind,
        "created": iso(record.created_ns),
        "root": record.root.hex(),
        "parent": record.parent.hex() if record.parent else None,
        "session": record.session,
        "turn": record.turn,
        "unstable": [path_text(each) for each in record.unstable],
        "skipped": [{"path": path_text(path), "why": why} for path, why in record.skipped],
    }


def as_commit(record: CommitRecord, workspace: str) -> dict[str, object]:
    """A commit."""
    return {
        "schema": COMMIT,
        "id": record.id,
        "workspace": workspace,
        "message": text_of(record.message),
        "author": text_of(record.author),
        "created": iso(record.created_ns),
        "git_commit": record.git_commit,
        "branch": text_of(record.branch),
        "paths": [path_text(each) for each in record.paths],
        "left_out": [{"path": path_text(path), "why": why} for path, why in record.left_out],
        "behind": [path_text(each) for each in record.behind],
    }


def as_changes(status: Status) -> dict[str, object]:
    """Paths, by what became of them."""
    return {
        "added": [path_text(each.path) for each in status.added],
        "modified": [path_text(each.path) for each in status.modified],
        "deleted": [path_text(each.path) for each in status.deleted],
        "renamed": [
            [path_text(each.old_path or ""), path_text(each.path)] for each in status.renamed
        ],
    }


# ---------------------------------------------------------------- words


def change_text(change: Change) -> str:
    """The path of a change; of a renamed file both."""
    old = "" if change.old_path is None else f"{path_text(change.old_path)} -> "
    return old + path_text(change.path)


def base_text(base: Base) -> str:
    """What a workspace was made from."""
    match base.kind:
        case "git":
            return f"{path_text(base.path)} at {words.printable(base.ref)} ({base.commit[:12]})"
        case "directory":
            return path_text(base.path)
        case "empty":
            return "nothing"
        case _:
            return f"{base.kind} {words.printable(base.ref)}"


def place_of(record: WorkspaceRecord) -> str:
    """Where its files are, and who sees them, if not everybody does."""
    path = path_text(record.tree)
    if is_seen(record.tree, record.way):
        return path
    return f"{path} (seen by what runs in it: runner workspace exec {quote(record.name)} COMMAND)"
