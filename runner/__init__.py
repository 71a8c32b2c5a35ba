"""Run many coding-agent sessions safely, fast and unattended; or embed the same in a trio app.

The public names, in groups; no logic. They are imported when first used, so that `import runner`
costs nothing and the command line starts fast. What stands here is pinned by a test.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runner.agents.driver import AcpAgent as AcpAgent
    from runner.agents.driver import Agent as Agent
    from runner.agents.driver import ClaudeAgent as ClaudeAgent
    from runner.agents.driver import CodexAgent as CodexAgent
    from runner.agents.driver import CommandAgent as CommandAgent
    from runner.agents.driver import PluginAgent as PluginAgent
    from runner.agents.driver import ReplayAgent as ReplayAgent
    from runner.agents.driver import ShellAgent as ShellAgent
    from runner.agents.events import ApprovalAsked as ApprovalAsked
    from runner.agents.events import ErrorClass as ErrorClass
    from runner.agents.events import Rewound as Rewound
    from runner.agents.events import Usage as Usage
    from runner.agents.secret import Secret as Secret
    from runner.agents.servers import McpServer as McpServer
    from runner.backends.composite import CompositeBackend as CompositeBackend
    from runner.backends.local import LocalBackend as LocalBackend
    from runner.backends.memory import MemoryBackend as MemoryBackend
    from runner.backends.memory import MemoryLimits as MemoryLimits
    from runner.backends.read_only import ReadOnlyBackend as ReadOnlyBackend
    from runner.config import RunnerConfig as RunnerConfig
    from runner.config import SessionConfig as SessionConfig
    from runner.errors import ActorCrashed as ActorCrashed
    from runner.errors import ActorError as ActorError
    from runner.errors import ActorGaveUp as ActorGaveUp
    from runner.errors import AgentError as AgentError
    from runner.errors import AgentUnavailable as AgentUnavailable
    from runner.errors import AlreadyExists as AlreadyExists
    from runner.errors import CommitError as CommitError
    from runner.errors import ConfigError as ConfigError
    from runner.errors import ConversationLost as ConversationLost
    from runner.errors import DangerousCommand as DangerousCommand
    from runner.errors import DecodeFailed as DecodeFailed
    from runner.errors import Denied as Denied
    from runner.errors import Destroyed as Destroyed
    from runner.errors import EditFailed as EditFailed
    from runner.errors import ExecFailed as ExecFailed
    from runner.errors import FileChanged as FileChanged
    from runner.errors import HookVeto as HookVeto
    from runner.errors import InvalidArgument as InvalidArgument
    from runner.errors import InvalidName as InvalidName
    from runner.errors import InvalidPath as InvalidPath
    from runner.errors import InvalidPattern as InvalidPattern
    from runner.errors import LedgerBusy as LedgerBusy
    from runner.errors import LedgerError as LedgerError
    from runner.errors import NoSpace as NoSpace
    from runner.errors import NotEmpty as NotEmpty
    from runner.errors import NotFound as NotFound
    from runner.errors import ObjectMissing as ObjectMissing
    from runner.errors import OperationError as OperationError
    from runner.errors import PathEscapes as PathEscapes
    from runner.errors import PermissionDenied as PermissionDenied
    from runner.errors import PoolClosed as PoolClosed
    from runner.errors import PoolError as PoolError
    from runner.errors import PoolFull as PoolFull
    from runner.errors import Problem as Problem
    from runner.errors import ReadOnly as ReadOnly
    from runner.errors import RunnerError as RunnerError
    from runner.errors import SessionBusy as SessionBusy
    from runner.errors import SessionClosed as SessionClosed
    from runner.errors import SessionOwned as SessionOwned
    from runner.errors import SnapshotExists as SnapshotExists
    from runner.errors import SnapshotNotFound as SnapshotNotFound
    from runner.errors import StoreDamaged as StoreDamaged
    from runner.errors import StoreError as StoreError
    from runner.errors import SupervisorClosed as SupervisorClosed
    from runner.errors import SyncError as SyncError
    from runner.errors import UncommittedChanges as UncommittedChanges
    from runner.errors import WorkspaceBusy as WorkspaceBusy
    from runner.errors import WorkspaceError as WorkspaceError
    from runner.errors import WorkspaceExists as WorkspaceExists
    from runner.errors import WorkspaceNotFound as WorkspaceNotFound
    from runner.errors import WrongType as WrongType
    from runner.jobs.progress import Control as Control
    from runner.jobs.progress import Report as Report
    from runner.jobs.spec import Batch as Batch
    from runner.messages import Downloaded as Downloaded
    from runner.messages import Drawing as Drawing
    from runner.messages import Entry as Entry
    from runner.messages import Failure as Failure
    from runner.messages import FileMatches as FileMatches
    from runner.messages import FileStat as FileStat
    from runner.messages import Found as Found
    from runner.messages import InForce as InForce
    from runner.messages import Isolation as Isolation
    from runner.messages import Limits as Limits
    from runner.messages import LineChange as LineChange
    from runner.messages import Lines as Lines
    from runner.messages import Listing as Listing
    from runner.messages import Match as Match
    from runner.messages import Matches as Matches
    from runner.messages import NetworkDecision as NetworkDecision
    from runner.messages import Outcome as Outcome
    from runner.messages import ProcessInfo as ProcessInfo
    from runner.messages import Replacement as Replacement
    from runner.messages import Stored as Stored
    from runner.operations import Background as Background
    from runner.operations import Done as Done
    from runner.operations import Follower as Follower
    from runner.operations import Fresh as Fresh
    from runner.operations import Line as Line
    from runner.operations import ReadingStream as ReadingStream
    from runner.operations import WritingStream as WritingStream
    from runner.operations import line_hash as line_hash
    from runner.operations import with_hashes as with_hashes
    from runner.operations.status import Status as Status
    from runner.operations.status import StatusChange as StatusChange
    from runner.runner import Runner as Runner
    from runner.runtime import open_runner as open_runner
    from runner.scopes.log_sinks import Console as Console
    from runner.scopes.log_sinks import JsonLines as JsonLines
    from runner.scopes.operation_log import LogEntry as LogEntry
    from runner.scopes.operation_log import OperationLog as OperationLog
    from runner.scopes.operation_log import asking_as as asking_as
    from runner.scopes.permissions import Decision as Decision
    from runner.scopes.permissions import Permissions as Permissions
    from runner.scopes.permissions import Question as Question
    from runner.scopes.permissions import Rule as Rule
    from runner.scopes.permissions import Rules as Rules
    from runner.scopes.permissions import Ruleset as Ruleset
    from runner.scopes.permitted import PermittedBackend as PermittedBackend
    from runner.scopes.pool import BackendPool as BackendPool
    from runner.scopes.presets import PRESETS as PRESETS
    from runner.scopes.presets import create_ruleset as create_ruleset
    from runner.scopes.safety import Danger as Danger
    from runner.scopes.safety import Lint as Lint
    from runner.scopes.safety import find_danger as find_danger
    from runner.scopes.scope import Scope as Scope
    from runner.scopes.who import Who as Who
    from runner.selection import make_session as make_session
    from runner.selection import pick_agent as pick_agent
    from runner.sessions.approving import Approvals as Approvals
    from runner.sessions.session import Session as Session
    from runner.sessions.turn import Turn as Turn
    from runner.workspaces.audit import Audit as Audit
    from runner.workspaces.comparing import Change as Change
    from runner.workspaces.diff import Diff as Diff
    from runner.workspaces.hooks import Hooks as Hooks
    from runner.workspaces.processing import Processed as Processed
    from runner.workspaces.project import Project as Project
    from runner.workspaces.records import AuditRecord as AuditRecord
    from runner.workspaces.records import CommitRecord as CommitRecord
    from runner.workspaces.records import SnapshotRecord as SnapshotRecord
    from runner.workspaces.records import WorkspaceRecord as WorkspaceRecord
    from runner.workspaces.snapshots import Snapshots as Snapshots
    from runner.workspaces.workspace import Workspace as Workspace

_HOMES = {
    # the way in
    "runner.runner": ("Runner",),
    "runner.runtime": ("open_runner",),
    "runner.config": ("RunnerConfig", "SessionConfig"),
    "runner.selection": ("make_session", "pick_agent"),
    # scopes
    "runner.scopes.scope": ("Scope",),
    "runner.operations": (
        "Background",
        "Done",
        "Follower",
        "Fresh",
        "Line",
        "ReadingStream",
        "WritingStream",
        "line_hash",
        "with_hashes",
    ),
    "runner.messages": (
        "Downloaded",
        "Drawing",
        "Entry",
        "Failure",
        "FileMatches",
        "FileStat",
        "Found",
        "InForce",
        "Isolation",
        "Limits",
        "LineChange",
        "Lines",
        "Listing",
        "Match",
        "Matches",
        "NetworkDecision",
        "Outcome",
        "ProcessInfo",
        "Replacement",
        "Stored",
    ),
    # permissions and the lint
    "runner.scopes.permissions": (
        "Decision",
        "Permissions",
        "Question",
        "Rule",
        "Rules",
        "Ruleset",
    ),
    "runner.scopes.presets": (
        "PRESETS",
        "create_ruleset",
    ),
    "runner.scopes.safety": (
        "Danger",
        "Lint",
        "find_danger",
    ),
    "runner.scopes.permitted": ("PermittedBackend",),
    "runner.backends.read_only": ("ReadOnlyBackend",),
    # backends, pools, logs
    "runner.backends.composite": ("CompositeBackend",),
    "runner.backends.local": ("LocalBackend",),
    "runner.backends.memory": ("MemoryBackend", "MemoryLimits"),
    "runner.operations.status": ("Status", "StatusChange"),
    "runner.scopes.log_sinks": ("Console", "JsonLines"),
    "runner.scopes.operation_log": ("LogEntry", "OperationLog", "asking_as"),
    "runner.scopes.pool": ("BackendPool",),
    "runner.scopes.who": ("Who",),
    # sessions and agents
    "runner.sessions.session": ("Session",),
    "runner.sessions.approving": ("Approvals",),
    "runner.sessions.turn": ("Turn",),
    # workspaces
    "runner.workspaces.project": ("Project",),
    "runner.workspaces.workspace": ("Workspace",),
    "runner.workspaces.snapshots": ("Snapshots",),
    "runner.workspaces.processing": ("Processed",),
    "runner.workspaces.audit": ("Audit",),
    "runner.workspaces.diff": ("Diff",),
    "runner.workspaces.comparing": ("Change",),
    "runner.workspaces.hooks": ("Hooks",),
    "runner.workspaces.records": (
        "AuditRecord",
        "CommitRecord",
        "SnapshotRecord",
        "WorkspaceRecord",
    ),
    # batches
    "runner.jobs.spec": ("Batch",),
    "runner.jobs.progress": ("Control", "Report"),
    "runner.agents.driver": (
        "AcpAgent",
        "Agent",
        "ClaudeAgent",
        "CodexAgent",
        "CommandAgent",
        "PluginAgent",
        "ReplayAgent",
        "ShellAgent",
    ),
    "runner.agents.events": ("ApprovalAsked", "ErrorClass", "Rewound", "Usage"),
    "runner.agents.secret": ("Secret",),
    "runner.agents.servers": ("McpServer",),
    # errors
    "runner.errors": (
        "ActorCrashed",
        "ActorError",
        "ActorGaveUp",
        "AgentError",
        "AgentUnavailable",
        "AlreadyExists",
        "ConfigError",
        "DangerousCommand",
        "DecodeFailed",
        "Denied",
        "Destroyed",
        "EditFailed",
        "ExecFailed",
        "FileChanged",
        "InvalidArgument",
        "InvalidPath",
        "InvalidPattern",
        "LedgerBusy",
        "LedgerError",
        "NoSpace",
        "NotEmpty",
        "NotFound",
        "OperationError",
        "PathEscapes",
        "PermissionDenied",
        "PoolClosed",
        "PoolError",
        "PoolFull",
        "Problem",
        "ReadOnly",
        "RunnerError",
        "ConversationLost",
        "SessionBusy",
        "SessionClosed",
        "SessionOwned",
        "SupervisorClosed",
        "WrongType",
        # of workspaces
        "CommitError",
        "HookVeto",
        "InvalidName",
        "ObjectMissing",
        "SnapshotExists",
        "SnapshotNotFound",
        "StoreDamaged",
        "StoreError",
        "SyncError",
        "UncommittedChanges",
        "WorkspaceBusy",
        "WorkspaceError",
        "WorkspaceExists",
        "WorkspaceNotFound",
    ),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = sorted(_HOME_OF)  # noqa: PLE0605 - a list of names; made from the table above


def __getattr__(name: str) -> object:
    home = _HOME_OF.get(name)
    if home is None:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    value = globals()[name] = getattr(import_module(home), name)
    return value


def __dir__() -> list[str]:
    return [*globals(), *__all__]
