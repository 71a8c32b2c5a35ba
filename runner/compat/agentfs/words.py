"""AgentFS's records and errors; the errors are ours, so what is raised below is caught by them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Generic, TypeVar

import attrs

from runner import errors
from runner.messages import FileStat, FileType
from runner.workspaces.comparing import Change
from runner.workspaces.comparing import Status as WorkspaceStatus
from runner.workspaces.records import AuditRecord, Json, SnapshotRecord
from runner.workspaces.sync.sync import SyncConflict

AgentFSError = errors.RunnerError
WorkspaceNotFoundError = errors.WorkspaceNotFound
WorkspaceExistsError = errors.WorkspaceExists
WorkspaceBusyError = errors.WorkspaceBusy
SnapshotNotFoundError = errors.SnapshotNotFound
SnapshotExistsError = errors.SnapshotExists
UncommittedChangesError = errors.UncommittedChanges
CommitError = errors.CommitError
SyncError = errors.SyncError
InvalidNameError = errors.InvalidName
InvalidPath = errors.InvalidPath
PermissionDenied = errors.PermissionDenied
BatchError = errors.OperationError  # what a batch, or any other operation on files, fails with
HookVeto = errors.HookVeto
ConfigError = errors.ConfigError

__all__ = ["Change", "WorkspaceStatus"]

ItemT = TypeVar("ItemT")
ValueT = TypeVar("ValueT")
NOTHING: Mapping[str, Json] = MappingProxyType({})


class SyncConflictError(SyncError):
    """Both sides changed the same paths; `conflicts` says which."""


class CommandTimeoutError(AgentFSError, TimeoutError):
    """A program was ended because its time was up, with all that it had started.

    Attributes:
        result: what it said until then.
    """

    def __init__(self, result: CommandResult) -> None:
        """Keep what there is of it."""
        self.result = result
        super().__init__(f"{result.command!r} was ended after {result.duration:.1f} seconds")


@attrs.frozen(kw_only=True)
class CommandResult:
    """A program has ended.

    Attributes:
        command: as it was given.
        returncode: 0 to 255, or minus the number of the signal that ended it.
        stdout: its output; empty if it was not captured.
        stderr: likewise.
        duration: seconds.
        timed_out: whether it was ended because its time was up.
        truncated: whether some of its output was not kept.
    """

    command: str | tuple[str, ...]
    returncode: int
    stdout: str = ""
    stderr: str = ""
    duration: float = 0.0
    timed_out: bool = False
    truncated: bool = False

    @property
    def ok(self) -> bool:
        """Whether it ended by itself with 0."""
        return self.returncode == 0 and not self.timed_out


@attrs.frozen(kw_only=True)
class FileInfo:
    """What stands at a path.

    Attributes:
        name: the last part of its path.
        path: in the workspace, from "/".
        type: "file", "directory", "link" or "other".
        size: bytes; 0 for a directory.
        mode: permission bits.
        mtime: when its content last changed, in seconds since 1970.
    """

    name: str
    path: str
    type: FileType
    size: int
    mode: int
    mtime: float

    @classmethod
    def of(cls, path: str, found: FileStat) -> FileInfo:
        """From ours."""
        clean = "/" + path.strip("/")
        return cls(
            name=clean.rpartition("/")[2],
            path=clean,
            type=found.type,
            size=found.size,
            mode=found.mode,
            mtime=found.modified.timestamp(),
        )

    @property
    def modified(self) -> datetime:
        """When its content last changed, UTC."""
        return datetime.fromtimestamp(self.mtime, UTC)

    @property
    def is_file(self) -> bool:
        """Whether it is a file."""
        return self.type == "file"

    @property
    def is_dir(self) -> bool:
        """Whether it is a directory."""
        return self.type == "directory"


@attrs.frozen(kw_only=True)
class Snapshot:
    """A snapshot.

    Attributes:
        name: unique in its workspace.
        description: for people.
        created_at: when, UTC.
        id: its own, for good.
        kind: "user", "turn", "undo", "rescue" or "temporary".
    """

    name: str
    description: str
    created_at: datetime
    id: str
    kind: str

    @classmethod
    def of(cls, record: SnapshotRecord) -> Snapshot:
        """From ours."""
        return cls(
            name=record.name,
            description=record.description,
            created_at=time_of(record.created_ns),
            id=record.id,
            kind=record.kind,
        )


@attrs.frozen(kw_only=True)
class AuditDetails:
    """What there is to say of an entry.

    Attributes:
        size_before: bytes of the file before; None = there was none, or it is not known.
        size_after: bytes of it afterwards.
        checksum_before: "sha256:…" of its content; empty where there is none.
        checksum_after: of its content afterwards.
        more: whatever else there is, such as a program's exit code.
    """

    size_before: int | None = None
    size_after: int | None = None
    checksum_before: str = ""
    checksum_after: str = ""
    more: Mapping[str, Json] = NOTHING


# Ours ──► AgentFS's, where they are not the same.
OPERATIONS = {"exec": "run", "start": "run", "remove": "delete", "move": "rename"}


@attrs.frozen(kw_only=True)
class AuditEntry:
    """Something that was done.

    Attributes:
        id: its number.
        timestamp: when, UTC.
        operation: "write", "delete", "rename", "run", "snapshot", "commit", …
        path: what it was done to, from "/"; empty if that is no path.
        details: what else there is to say; None = nothing.
        ok: whether it was done; None = it was cut off, and nobody knows.
        workspace_id: where.
        session_id: who.
        agent_id: who.
    """

    id: int
    timestamp: datetime
    operation: str
    path: str
    details: AuditDetails | None
    ok: bool | None
    workspace_id: str
    session_id: str
    agent_id: str

    @classmethod
    def of(cls, row: AuditRecord) -> AuditEntry:
        """From ours."""
        details = AuditDetails(
            size_before=row.size_before,
            size_after=row.size_after,
            checksum_before=row.sha_before,
            checksum_after=row.sha_after,
            more=row.details,
        )
        return cls(
            id=row.seq,
            timestamp=time_of(row.time_ns),
            operation=OPERATIONS.get(row.operation, row.operation),
            path=f"/{row.path}" if row.path else "",
            details=None if details == AuditDetails() else details,
            ok=row.ok,
            workspace_id=row.workspace,
            session_id=row.session,
            agent_id=row.agent,
        )


@attrs.frozen(kw_only=True)
class SyncStatus:
    """How the sync of a workspace is.

    Attributes:
        enabled: whether there is one.
        url: the remote.
        mode: "real-time", "periodic" or "manual".
        state: "off", "conflicts", "trouble", "pending" or "synced".
        last_sync: when both sides had the same last, UTC; None = never yet.
        pending_changes: how many paths are not as they were then.
        conflicts: what is to be decided before anything is synced again.
        trouble: why the last try that was made unasked was none.
    """

    enabled: bool
    url: str
    mode: str
    state: str
    last_sync: datetime | None
    pending_changes: int
    conflicts: tuple[SyncConflict, ...]
    trouble: str

    @property
    def pending_conflicts(self) -> int:
        """How many conflicts there are."""
        return len(self.conflicts)


@attrs.frozen(kw_only=True)
class BatchResult(Generic[ItemT, ValueT]):
    """What came of one item.

    Attributes:
        item: as it was given.
        value: what the callback answered; None if it failed.
        error: what it failed with; None if it did not.
    """

    item: ItemT
    value: ValueT | None = None
    error: Exception | None = None

    @property
    def path(self) -> object:
        """The item's path: its own, or the item itself."""
        return getattr(self.item, "path", self.item)

    @property
    def ok(self) -> bool:
        """Whether the callback answered."""
        return self.error is None


def time_of(nanoseconds: int) -> datetime:
    """A moment, UTC."""
    return datetime.fromtimestamp(nanoseconds / 1e9, UTC)
