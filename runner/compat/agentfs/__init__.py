"""AgentFS's names on top of ours: `from runner.compat.agentfs import AgentFS, …`.

    afs = AgentFS("/path/to/project")
    workspace = afs.workspace.create("my-workspace")
    result = workspace.run("echo Hello")
    await workspace.write_file_async("/file.txt", "content")     # under asyncio

Every method waits, and has a twin whose name ends in `_async`, for asyncio; blocks are for `with`
and `async with`. (Programs of trio's have runner itself.) What AgentFS's page leaves open is so:

| | here |
|---|---|
| paths | begin at the workspace's root, with or without "/"; what leads out is an error. `FileInfo` and `AuditEntry` give them with "/", changes without, as git does |
| files | real ones, in `workspace.path`; text is UTF-8, `encoding=None` gives bytes |
| `run` | no shell variables but an allow-list and `env`; `timeout` raises `CommandTimeoutError`, whose `result` has the output so far; lines such as `rm -rf /` are refused |
| `run_stream` | lines of both outputs; leaving it early ends the program |
| `copy`, `move` | replace what is there, unless `overwrite=False` |
| `snapshot.restore` | replaces changes that are in no snapshot, after it took one of them, and gives that; `force=False` refuses instead |
| `workspace.delete` | refuses if something was not committed, unless `force=True` |
| `temp` | a name that is taken gets the time added |
| audit | "run", "delete", "rename" are ours "exec", "remove", "move" |
| errors | are runner's own, which AgentFS's names are for: all of them are an `AgentFSError` |
| configuration | see `runner.compat.agentfs.config`, which says what has an effect |
| `workspace.config` | see `runner.compat.agentfs.rules`: sandbox, network, limits; `freeze` and `unfreeze`. Not here: templates, `quarantine`, `share`, `expires`, owners |
| events | `hooks.on("workspaceCreate", f)`, `once`, `off`, as in its TypeScript, too |
| where it is kept | in the state directory of runner, so `runner.project(path)` has the same workspaces; `storage.database_path` names another directory |
| Python | 3.11 or newer |

And agentfs-sdk's (0.6.4): `AgentFS.open(AgentFSOptions(id=…))` with `fs`, `kv` and `tools`, which
every `AgentFS` has. What it opens is a directory, not a file; where agentfs-sdk has a file already,
what is in that is taken over once, into a directory beside it.
"""

# ruff: noqa: E501 - a table
from __future__ import annotations

from runner.compat.agentfs.auditing import Audit
from runner.compat.agentfs.config import Config, ConfigWarning
from runner.compat.agentfs.hooks import Hooks
from runner.compat.agentfs.project import AgentFS, Workspaces
from runner.compat.agentfs.sdk import (
    S_IFDIR,
    S_IFLNK,
    S_IFMT,
    S_IFREG,
    AgentFSOptions,
    ErrnoException,
    FsErrorCode,
    FsSyscall,
    Stats,
)
from runner.compat.agentfs.sdk_files import Filesystem
from runner.compat.agentfs.sdk_rows import KvStore, ToolCall, ToolCalls, ToolCallStats
from runner.compat.agentfs.words import (
    AgentFSError,
    AuditDetails,
    AuditEntry,
    BatchError,
    BatchResult,
    Change,
    CommandResult,
    CommandTimeoutError,
    CommitError,
    ConfigError,
    FileInfo,
    HookVeto,
    InvalidNameError,
    InvalidPath,
    PermissionDenied,
    Snapshot,
    SnapshotExistsError,
    SnapshotNotFoundError,
    SyncConflictError,
    SyncError,
    SyncStatus,
    UncommittedChangesError,
    WorkspaceBusyError,
    WorkspaceExistsError,
    WorkspaceNotFoundError,
    WorkspaceStatus,
)
from runner.compat.agentfs.workspace import Workspace

__all__ = [
    "S_IFDIR",
    "S_IFLNK",
    "S_IFMT",
    "S_IFREG",
    "AgentFS",
    "AgentFSError",
    "AgentFSOptions",
    "Audit",
    "AuditDetails",
    "AuditEntry",
    "BatchError",
    "BatchResult",
    "Change",
    "CommandResult",
    "CommandTimeoutError",
    "CommitError",
    "Config",
    "ConfigError",
    "ConfigWarning",
    "ErrnoException",
    "FileInfo",
    "Filesystem",
    "FsErrorCode",
    "FsSyscall",
    "HookVeto",
    "Hooks",
    "InvalidNameError",
    "InvalidPath",
    "KvStore",
    "PermissionDenied",
    "Snapshot",
    "SnapshotExistsError",
    "SnapshotNotFoundError",
    "Stats",
    "SyncConflictError",
    "SyncError",
    "SyncStatus",
    "ToolCall",
    "ToolCallStats",
    "ToolCalls",
    "UncommittedChangesError",
    "Workspace",
    "WorkspaceBusyError",
    "WorkspaceExistsError",
    "WorkspaceNotFoundError",
    "WorkspaceStatus",
    "Workspaces",
]
