"""Made by `python -m runner.bridge.stubs`; see there."""

# ruff: noqa

from collections.abc import Awaitable
from collections.abc import Callable
from collections.abc import Hashable
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Mapping, Sequence
from collections.abc import Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from datetime import timedelta
from runner import AcpAgent as AcpAgent
from runner import ActorCrashed as ActorCrashed
from runner import ActorError as ActorError
from runner import ActorGaveUp as ActorGaveUp
from runner import Agent as Agent
from runner import AgentError as AgentError
from runner import AgentUnavailable as AgentUnavailable
from runner import AlreadyExists as AlreadyExists
from runner import ApprovalAsked as ApprovalAsked
from runner import Approvals as Approvals
from runner import AuditRecord as AuditRecord
from runner import BackendPool as _BackendPool
from runner import Batch as Batch
from runner import Change as Change
from runner import ClaudeAgent as ClaudeAgent
from runner import CodexAgent as CodexAgent
from runner import CommandAgent as CommandAgent
from runner import CommitError as CommitError
from runner import CommitRecord as CommitRecord
from runner import ConfigError as ConfigError
from runner import Console as Console
from runner import Control as Control
from runner import ConversationLost as ConversationLost
from runner import Danger as Danger
from runner import DangerousCommand as DangerousCommand
from runner import Decision as Decision
from runner import DecodeFailed as DecodeFailed
from runner import Denied as Denied
from runner import Destroyed as Destroyed
from runner import Diff as Diff
from runner import Done as Done
from runner import Downloaded as Downloaded
from runner import Drawing as Drawing
from runner import EditFailed as EditFailed
from runner import Entry as Entry
from runner import ErrorClass as ErrorClass
from runner import ExecFailed as ExecFailed
from runner import Failure as Failure
from runner import FileChanged as FileChanged
from runner import FileMatches as FileMatches
from runner import FileStat as FileStat
from runner import Found as Found
from runner import Fresh as Fresh
from runner import HookVeto as HookVeto
from runner import InForce as InForce
from runner import InvalidArgument as InvalidArgument
from runner import InvalidName as InvalidName
from runner import InvalidPath as InvalidPath
from runner import InvalidPattern as InvalidPattern
from runner import Isolation as Isolation
from runner import JsonLines as JsonLines
from runner import LedgerBusy as LedgerBusy
from runner import LedgerError as LedgerError
from runner import Limits as Limits
from runner import Line as Line
from runner import LineChange as LineChange
from runner import Lines as Lines
from runner import Lint as Lint
from runner import Listing as Listing
from runner import LogEntry as LogEntry
from runner import Match as Match
from runner import Matches as Matches
from runner import McpServer as McpServer
from runner import MemoryLimits as MemoryLimits
from runner import NetworkDecision as NetworkDecision
from runner import NoSpace as NoSpace
from runner import NotEmpty as NotEmpty
from runner import NotFound as NotFound
from runner import ObjectMissing as ObjectMissing
from runner import OperationError as OperationError
from runner import OperationLog as OperationLog
from runner import Outcome as Outcome
from runner import PRESETS as PRESETS
from runner import PathEscapes as PathEscapes
from runner import PermissionDenied as PermissionDenied
from runner import Permissions as Permissions
from runner import PluginAgent as PluginAgent
from runner import PoolClosed as PoolClosed
from runner import PoolError as PoolError
from runner import PoolFull as PoolFull
from runner import Problem as Problem
from runner import ProcessInfo as ProcessInfo
from runner import Processed as Processed
from runner import Question as Question
from runner import ReadOnly as ReadOnly
from runner import Replacement as Replacement
from runner import ReplayAgent as ReplayAgent
from runner import Report as Report
from runner import Rewound as Rewound
from runner import Rule as Rule
from runner import Rules as Rules
from runner import Ruleset as Ruleset
from runner import RunnerConfig as RunnerConfig
from runner import RunnerError as RunnerError
from runner import Scope as _Scope
from runner import Secret as Secret
from runner import SessionBusy as SessionBusy
from runner import SessionClosed as SessionClosed
from runner import SessionConfig as SessionConfig
from runner import SessionOwned as SessionOwned
from runner import ShellAgent as ShellAgent
from runner import SnapshotExists as SnapshotExists
from runner import SnapshotNotFound as SnapshotNotFound
from runner import SnapshotRecord as SnapshotRecord
from runner import Status as Status
from runner import StatusChange as StatusChange
from runner import StoreDamaged as StoreDamaged
from runner import StoreError as StoreError
from runner import Stored as Stored
from runner import SupervisorClosed as SupervisorClosed
from runner import SyncError as SyncError
from runner import Turn as Turn
from runner import UncommittedChanges as UncommittedChanges
from runner import Usage as Usage
from runner import Who as Who
from runner import WorkspaceBusy as WorkspaceBusy
from runner import WorkspaceError as WorkspaceError
from runner import WorkspaceExists as WorkspaceExists
from runner import WorkspaceNotFound as WorkspaceNotFound
from runner import WorkspaceRecord as WorkspaceRecord
from runner import WrongType as WrongType
from runner import asking_as as asking_as
from runner import create_ruleset as create_ruleset
from runner import find_danger as find_danger
from runner import line_hash as line_hash
from runner import messages as m
from runner import pick_agent as pick_agent
from runner import with_hashes as with_hashes
from runner.actors.child_spec import ChildSpec
from runner.actors.supervisor import Supervisor
from runner.agents.billing import Billing
from runner.agents.driver import Access
from runner.agents.driver import Driver
from runner.agents.secret import Value
from runner.backends.base import Backend as _Backend
from runner.backends.base import Later
from runner.backends.beneath import Names
from runner.backends.beneath import Opener
from runner.backends.straight import Resolved
from runner.bridge.manners import Blocking
from runner.jobs.progress import Observer
from runner.messages import AnswerT
from runner.messages import FileEffect
from runner.messages import GrepOutput
from runner.messages import Leftover
from runner.messages import Message
from runner.messages import Opened
from runner.messages.isolation import Decided
from runner.operations.status import Life
from runner.operations.status import Watcher
from runner.operations.streaming import TextT
from runner.operations.texts import Decoding
from runner.operations.texts import Encoding
from runner.processes.host import ProcessHost
from runner.runner import RunnerStatistics
from runner.scopes.making import ScopeOptions
from runner.scopes.permissions import Ask
from runner.scopes.permissions import Grant
from runner.scopes.permissions import Record
from runner.scopes.pool_entry import BackendT
from runner.scopes.pool_entry import Factory
from runner.scopes.pool_statistics import PoolStatistics
from runner.scopes.presets import PresetName
from runner.scopes.safety import OnDangerous
from runner.scopes.safety import Policy
from runner.scopes.scope import Ground
from runner.sessions.builds import Build
from runner.sessions.history import History
from runner.sessions.state import OnLost
from runner.sessions.state import SessionState
from runner.sessions.state import SessionStatistics
from runner.sessions.turn import SessionEvent
from runner.sessions.turn import WhenBusy
from runner.workspaces.audit_export import Format
from runner.workspaces.chain import Verified
from runner.workspaces.collecting import Checked
from runner.workspaces.collecting import Collected
from runner.workspaces.collecting import Sizes
from runner.workspaces.exporting import Exported
from runner.workspaces.git_index import Strategy
from runner.workspaces.hook_files import HookFiles
from runner.workspaces.hook_files import Occasion
from runner.workspaces.hooks import Event
from runner.workspaces.hooks import Hook
from runner.workspaces.hooks import HookFailure
from runner.workspaces.records import Base
from runner.workspaces.records import WayName
from runner.workspaces.sending import ExportFormat
from runner.workspaces.shared import Shared
from runner.workspaces.sync.sync import Sync
from runner.workspaces.workspace import ItemT
from runner.workspaces.workspace import ValueT
from types import TracebackType
from typing import Any
from typing import Any, overload
from typing import Generic
from typing import Literal
from typing import Self
from typing import Unpack
import os
import random

class Backend:
    @property
    def name(self) -> str: ...
    def ask(self, message: Message[AnswerT], /) -> AnswerT: ...
    def start(
        self,
        command: str | Sequence[str],
        *,
        cwd: str = ...,
        env: Mapping[str, str] | None = ...,
        input: str | bytes = ...,
        writes: bool = ...,
        timeout: float | None = ...,
        silence: float | None = ...,
        max_output: int = ...,
        log: str | None = ...,
    ) -> Background: ...
    def stream(
        self,
        command: str | Sequence[str],
        *,
        cwd: str = ...,
        env: Mapping[str, str] | None = ...,
        input: str | bytes = ...,
        writes: bool = ...,
        timeout: float | None = ...,
        silence: float | None = ...,
        max_output: int = ...,
        log: str | None = ...,
    ) -> AbstractContextManager[Background]: ...
    def processes(self) -> tuple[ProcessInfo, ...]: ...
    def process(self, id: str) -> Background: ...
    @overload
    def exec(
        self,
        command: str | Sequence[str],
        *,
        cwd: str = ...,
        env: Mapping[str, str] | None = ...,
        input: str | bytes | None = ...,
        timeout: float | None = ...,
        silence: float | None = ...,
        max_output: int = ...,
        leftover: Leftover = ...,
        log: str | None = ...,
        encoding: Literal["utf-8"] = ...,
        check: bool = ...,
    ) -> Done[str]: ...
    @overload
    def exec(
        self,
        command: str | Sequence[str],
        *,
        cwd: str = ...,
        env: Mapping[str, str] | None = ...,
        input: str | bytes | None = ...,
        timeout: float | None = ...,
        silence: float | None = ...,
        max_output: int = ...,
        leftover: Leftover = ...,
        log: str | None = ...,
        encoding: None,
        check: bool = ...,
    ) -> Done[bytes]: ...
    @overload
    def open_stream(
        self, path: str, mode: Literal["rb"] = ..., *, encoding: None = ...
    ) -> AbstractContextManager[ReadingStream[bytes]]: ...
    @overload
    def open_stream(
        self, path: str, mode: Literal["rb"] = ..., *, encoding: str
    ) -> AbstractContextManager[ReadingStream[str]]: ...
    @overload
    def open_stream(
        self, path: str, mode: Literal["wb", "ab"], *, encoding: None = ..., durable: bool = ...
    ) -> AbstractContextManager[WritingStream[bytes]]: ...
    @overload
    def open_stream(
        self, path: str, mode: Literal["wb", "ab"], *, encoding: str, durable: bool = ...
    ) -> AbstractContextManager[WritingStream[str]]: ...
    def write(
        self,
        path: str,
        content: str | bytes,
        *,
        encoding: str = ...,
        durable: bool = ...,
        expected: str | None = ...,
    ) -> None: ...
    def append(self, path: str, content: str | bytes, *, encoding: str = ...) -> None: ...
    def edit(
        self,
        path: str,
        old: str | bytes,
        new: str | bytes,
        *,
        replace_all: bool = ...,
        expected: str | None = ...,
    ) -> int: ...
    def edit_many(
        self, path: str, replacements: Sequence[Replacement], *, expected: str | None = ...
    ) -> int: ...
    def edit_lines(
        self, path: str, changes: Sequence[LineChange], *, expected: str | None = ...
    ) -> int: ...
    def touch(self, path: str, *, exist_ok: bool = ...) -> None: ...
    def mkdir(self, path: str, *, exist_ok: bool = ...) -> None: ...
    def chmod(self, path: str, mode: int) -> None: ...
    def copy(self, source: str, target: str, *, overwrite: bool = ...) -> None: ...
    def move(self, source: str, target: str, *, overwrite: bool = ...) -> None: ...
    def remove(self, path: str, *, recursive: bool = ..., missing_ok: bool = ...) -> None: ...
    def upload(
        self, files: Iterable[tuple[str, str | bytes]] | Mapping[str, str | bytes]
    ) -> tuple[Stored, ...]: ...
    def batch(self) -> AbstractContextManager[EffectBatch]: ...
    @overload
    def read(
        self, path: str, *, encoding: str = ..., offset: int = ..., limit: int | None = ...
    ) -> str: ...
    @overload
    def read(
        self, path: str, *, encoding: None, offset: int = ..., limit: int | None = ...
    ) -> bytes: ...
    def read_lines(
        self,
        path: str,
        *,
        offset: int = ...,
        limit: int = ...,
        longest: int = ...,
        total: bool = ...,
    ) -> Lines: ...
    def head(self, path: str, lines: int = ...) -> Lines: ...
    def tail(self, path: str, lines: int = ..., *, total: bool = ...) -> Lines: ...
    def digest(self, path: str) -> str: ...
    def realpath(self, path: str) -> str: ...
    def download(self, paths: Iterable[str]) -> tuple[Downloaded, ...]: ...
    def list_keys(self, prefix: str = ..., *, limit: int = ...) -> Found: ...
    def tree(
        self,
        path: str = ...,
        *,
        depth: int | None = ...,
        hidden: bool = ...,
        gitignore: bool = ...,
        limit: int = ...,
    ) -> Drawing: ...
    def stat(self, path: str) -> FileStat: ...
    def exists(self, path: str) -> bool: ...
    def ls(self, path: str = ..., *, limit: int = ...) -> Listing: ...
    def glob(
        self,
        pattern: str,
        path: str = ...,
        *,
        hidden: bool = ...,
        gitignore: bool = ...,
        limit: int = ...,
    ) -> Found: ...
    def grep(
        self,
        pattern: str,
        path: str = ...,
        *,
        literal: bool = ...,
        ignore_case: bool = ...,
        glob: str | None = ...,
        types: Iterable[str] = ...,
        hidden: bool = ...,
        gitignore: bool = ...,
        multiline: bool = ...,
        context: int = ...,
        before: int | None = ...,
        after: int | None = ...,
        output: GrepOutput = ...,
        per_file: int | None = ...,
        limit: int = ...,
    ) -> Matches: ...
    def carry_out(self, message: Message[AnswerT], /) -> AnswerT: ...
    def answer_now(self, message: Message[AnswerT], /) -> AnswerT | Later: ...
    def holds(self) -> bool: ...
    def close(self) -> None: ...
    def aclose(self) -> None: ...
    def straight(self) -> Backend: ...
    def resolve(self, op: str, path: str, *, entry: bool = ...) -> Resolved: ...
    @property
    def life(self) -> Life: ...
    @property
    def status(self) -> Status: ...
    def on_status_change(self, watcher: Watcher) -> Callable[[], None]: ...
    def destroy(self) -> None: ...

class SessionFollower:
    dropped: int
    def receive(self) -> SessionEvent: ...
    def close(self) -> None: ...
    def aclose(self) -> None: ...
    def __iter__(self) -> Self: ...
    def __next__(self) -> SessionEvent: ...

class EffectBatch:
    @property
    def name(self) -> str: ...
    def ask(self, message: Message[AnswerT], /) -> AnswerT: ...
    def write(
        self,
        path: str,
        content: str | bytes,
        *,
        encoding: str = ...,
        durable: bool = ...,
        expected: str | None = ...,
    ) -> None: ...
    def append(self, path: str, content: str | bytes, *, encoding: str = ...) -> None: ...
    def edit(
        self,
        path: str,
        old: str | bytes,
        new: str | bytes,
        *,
        replace_all: bool = ...,
        expected: str | None = ...,
    ) -> int: ...
    def edit_many(
        self, path: str, replacements: Sequence[Replacement], *, expected: str | None = ...
    ) -> int: ...
    def edit_lines(
        self, path: str, changes: Sequence[LineChange], *, expected: str | None = ...
    ) -> int: ...
    def touch(self, path: str, *, exist_ok: bool = ...) -> None: ...
    def mkdir(self, path: str, *, exist_ok: bool = ...) -> None: ...
    def chmod(self, path: str, mode: int) -> None: ...
    def copy(self, source: str, target: str, *, overwrite: bool = ...) -> None: ...
    def move(self, source: str, target: str, *, overwrite: bool = ...) -> None: ...
    def remove(self, path: str, *, recursive: bool = ..., missing_ok: bool = ...) -> None: ...
    effects: list[FileEffect]
    answers: tuple[object, ...]
    def __init__(self, asking: (Backend | Scope)) -> None: ...

class Lease(Generic[BackendT]):
    key: Hashable
    backend: BackendT
    def __init__(self, key: Hashable, backend: BackendT, release: Callable[[], None]) -> None: ...
    def release(self) -> None: ...
    def __enter__(self) -> BackendT: ...
    def __exit__(self, *_: object) -> None: ...

class AuditFollower:
    pause: float
    def __iter__(self) -> Self: ...
    def __next__(self) -> AuditRecord: ...
    def receive(self) -> AuditRecord: ...

class Audit:
    workspace: str | None
    def logs(
        self,
        *,
        operation: str | Sequence[str] | None = ...,
        from_time: datetime | None = ...,
        to_time: datetime | None = ...,
        path: str | None = ...,
        session: str | None = ...,
        job: str | None = ...,
        agent: str | None = ...,
        limit: int | None = ...,
        newest_first: bool = ...,
    ) -> list[AuditRecord]: ...
    def stream(self, **filters: Any) -> AbstractContextManager[AuditFollower]: ...
    def export(
        self, file: str | os.PathLike[str], /, format: Format = ..., **filters: Any
    ) -> int: ...
    def verify(self, *, noted: str = ...) -> Verified: ...
    def retain(self, since: datetime | timedelta, *, who: Who | None = ...) -> int: ...

class BackendPool(Generic[BackendT]):
    def __init__(
        self,
        factory: Factory[BackendT],
        *,
        max_size: int | None = ...,
        when_full: Literal["wait", "refuse"] = ...,
        idle_after: float | None = ...,
        grace: float = ...,
    ) -> None: ...
    def acquire(self, key: Hashable = ..., config: object = ...) -> Lease[BackendT]: ...
    def use(
        self, key: Hashable = ..., config: object = ...
    ) -> AbstractContextManager[BackendT]: ...
    def destroy(self, key: Hashable) -> None: ...
    def destroy_all(self) -> None: ...
    def drain(self, seconds: float) -> int: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...
    def statistics(self) -> PoolStatistics: ...

class Background:
    id: str
    pid: int
    command: str | tuple[str, ...]
    def __iter__(self) -> Follower: ...
    def follow(self) -> Follower: ...
    @overload
    def output(self, *, encoding: Literal["utf-8"] = ...) -> Fresh[str]: ...
    @overload
    def output(self, *, encoding: None) -> Fresh[bytes]: ...
    def wait(self, timeout: float | None = ...) -> Done[str] | None: ...
    def done(self) -> Done[str]: ...
    def interrupt(self) -> bool: ...
    def signal(self, number: int) -> bool: ...
    def kill(self) -> bool: ...
    def write(self, data: str | bytes) -> None: ...
    def close_input(self) -> None: ...

class CompositeBackend(Backend):
    def straight(self) -> CompositeBackend: ...
    def __init__(
        self,
        default: (Backend | Scope),
        routes: Mapping[str, (Backend | Scope)],
        *,
        strip: bool = ...,
    ) -> None: ...

class Follower:
    def __init__(self, where: (Backend | Scope), id: str) -> None: ...
    @property
    def missed(self) -> int: ...
    def __iter__(self) -> Self: ...
    def __next__(self) -> Line: ...

class Hooks:
    on_workspace_create: Any
    on_command: Any
    on_snapshot: Any
    on_commit: Any
    on_restore: Any
    on_delete: Any
    on_sync: Any
    on_before_workspace_create: Any
    on_before_command: Any
    on_before_snapshot: Any
    on_before_commit: Any
    on_before_restore: Any
    on_before_delete: Any
    on_before_sync: Any
    workspace_create: Any
    command: Any
    snapshot: Any
    commit: Any
    restore: Any
    delete: Any
    sync: Any
    before_workspace_create: Any
    before_command: Any
    before_snapshot: Any
    before_commit: Any
    before_restore: Any
    before_delete: Any
    before_sync: Any
    files: HookFiles
    deadline: float
    places: dict[str, Hook]
    added: dict[str, list[Hook]]
    def __init__(self, files: HookFiles = ..., *, deadline: float = ...) -> None: ...
    def has(self, event: Event) -> bool: ...
    def before(
        self, event: Event, occasion: Occasion, *about: object
    ) -> tuple[HookFailure, ...]: ...
    def after(
        self, event: Event, occasion: Occasion, *about: object
    ) -> tuple[HookFailure, ...]: ...

class LocalBackend(Backend):
    def straight(self) -> LocalBackend: ...
    def __init__(
        self,
        root: str | os.PathLike[str],
        *,
        host: ProcessHost | None = ...,
        env: Mapping[str, str] = ...,
        create: bool = ...,
        isolation: Isolation | None = ...,
        decided: Decided | None = ...,
        beneath: str | os.PathLike[str] | None = ...,
        opener: Opener = ...,
    ) -> None: ...
    @property
    def root(self) -> str: ...
    def write_seen(
        self, message: m.Write, see: Callable[[int, Names, os.stat_result | None], bool]
    ) -> Later | None: ...

class MemoryBackend(Backend):
    def straight(self) -> MemoryBackend: ...
    def __init__(
        self, files: Mapping[str, bytes | str] | None = ..., *, limits: MemoryLimits = ...
    ) -> None: ...

class PermittedBackend(Backend):
    def straight(self) -> PermittedBackend: ...
    def __init__(
        self,
        inner: Backend,
        rules: Permissions | Ruleset | PresetName | Sequence[Grant],
        *,
        ask: Ask | None = ...,
        deadline: float | None = ...,
        default: Literal["allow", "deny"] = ...,
        record: Record | None = ...,
    ) -> None: ...

class Project:
    def __init__(self, shared: Shared) -> None: ...
    @property
    def path(self) -> str: ...
    @property
    def directory(self) -> str: ...
    @property
    def audit(self) -> Audit: ...
    @property
    def hooks(self) -> Hooks: ...
    def create(
        self,
        name: str,
        *,
        description: str = ...,
        tags: Iterable[str] = ...,
        base: str | os.PathLike[str] | None = ...,
        ref: str | None = ...,
        snapshot: str | None = ...,
        workspace: str | None = ...,
        way: WayName | None = ...,
        read_only: bool = ...,
        agent_id: str = ...,
        **options: Unpack[ScopeOptions],
    ) -> Workspace: ...
    def import_agentfs(
        self,
        name: str,
        path: str | os.PathLike[str],
        *,
        description: str = ...,
        tags: Iterable[str] = ...,
        **options: Unpack[ScopeOptions],
    ) -> Workspace: ...
    def get(self, name: str, **options: Unpack[ScopeOptions]) -> Workspace: ...
    def list(self) -> list[WorkspaceRecord]: ...
    def exists(self, name: str) -> bool: ...
    def snapshots(self) -> Sequence[SnapshotRecord]: ...
    def rename(self, name: str, new: str) -> None: ...
    def delete(
        self, name: str, *, force: bool = ..., who: Who | None = ...
    ) -> SnapshotRecord | None: ...
    def unmount(self, name: str | None = ...) -> None: ...
    def try_making(self, *, is_held: bool = ...) -> str: ...
    def put_away(self, record: WorkspaceRecord) -> None: ...
    def drop(self, record: WorkspaceRecord, *, who: Who | None = ...) -> None: ...
    def temp(
        self,
        name: str | None = ...,
        *,
        base: str | os.PathLike[str] | None = ...,
        ref: str | None = ...,
        snapshot: str | None = ...,
        workspace: str | None = ...,
        way: WayName | None = ...,
        **options: Unpack[ScopeOptions],
    ) -> AbstractContextManager[Workspace]: ...
    def check(self) -> Checked: ...
    def sizes(self) -> Sizes: ...
    def collect(self, *, dry_run: bool = ..., who: Who | None = ...) -> Collected: ...

class ReadOnlyBackend(Backend):
    def straight(self) -> ReadOnlyBackend: ...
    def __init__(self, inner: (Backend | Scope)) -> None: ...

class ReadingStream(Generic[TextT]):
    def __init__(
        self, where: (Backend | Scope), path: str, opened: Opened, decoding: Decoding | None
    ) -> None: ...
    def receive(self, limit: int = ...) -> TextT: ...
    def __iter__(self) -> Self: ...
    def __next__(self) -> TextT: ...

class Runner:
    config: RunnerConfig
    state: str
    def scope(
        self,
        path: str | os.PathLike[str],
        *,
        env: Mapping[str, str] | None = ...,
        isolation: Isolation | None = ...,
        decided: Decided | None = ...,
        permissions: Permissions | Ruleset | PresetName | None = ...,
        lint: Policy | Lint = ...,
        on_dangerous: OnDangerous | None = ...,
        operation_log: OperationLog | None = ...,
    ) -> Scope: ...
    def project(
        self, path: str | os.PathLike[str], *, store: str | os.PathLike[str] | None = ...
    ) -> Project: ...
    def session(
        self,
        scope: Scope | Workspace,
        agent: Agent | Driver | str | None = ...,
        *,
        id: str | None = ...,
        timeout: float | None = ...,
        silence: float | None = ...,
        max_park: float | None = ...,
        durable: bool = ...,
        sandbox: str | None = ...,
        model: str | None = ...,
        extra_args: Sequence[str] = ...,
        extra_env: Mapping[str, Value] = ...,
        billing: Billing | None = ...,
        ignore: Sequence[str] | None = ...,
        watch: bool = ...,
        approvals: Approvals | None = ...,
        isolation: Isolation | None = ...,
        servers: Iterable[McpServer] = ...,
        recording: str | os.PathLike[str] | None = ...,
        on_lost: OnLost = ...,
        snapshots: Literal["turn"] | None = ...,
    ) -> Session: ...
    def run_batch(
        self,
        batch: Batch | str | os.PathLike[str],
        *,
        output: str | os.PathLike[str],
        overrides: Sequence[str] = ...,
        select: str | None = ...,
        observer: Observer | None = ...,
        control: Control | None = ...,
    ) -> Report: ...
    def build_of(
        self,
        agent: Agent,
        directory: str,
        *,
        env: Mapping[str, str] = ...,
        isolation: Isolation | None = ...,
    ) -> Build | None: ...
    def try_isolation(self, isolation: Isolation) -> InForce: ...
    def statistics(self) -> RunnerStatistics: ...

class Scope:
    @property
    def name(self) -> str: ...
    def ask(self, message: Message[AnswerT], /) -> AnswerT: ...
    def start(
        self,
        command: str | Sequence[str],
        *,
        cwd: str = ...,
        env: Mapping[str, str] | None = ...,
        input: str | bytes = ...,
        writes: bool = ...,
        timeout: float | None = ...,
        silence: float | None = ...,
        max_output: int = ...,
        log: str | None = ...,
    ) -> Background: ...
    def stream(
        self,
        command: str | Sequence[str],
        *,
        cwd: str = ...,
        env: Mapping[str, str] | None = ...,
        input: str | bytes = ...,
        writes: bool = ...,
        timeout: float | None = ...,
        silence: float | None = ...,
        max_output: int = ...,
        log: str | None = ...,
    ) -> AbstractContextManager[Background]: ...
    def processes(self) -> tuple[ProcessInfo, ...]: ...
    def process(self, id: str) -> Background: ...
    @overload
    def exec(
        self,
        command: str | Sequence[str],
        *,
        cwd: str = ...,
        env: Mapping[str, str] | None = ...,
        input: str | bytes | None = ...,
        timeout: float | None = ...,
        silence: float | None = ...,
        max_output: int = ...,
        leftover: Leftover = ...,
        log: str | None = ...,
        encoding: Literal["utf-8"] = ...,
        check: bool = ...,
    ) -> Done[str]: ...
    @overload
    def exec(
        self,
        command: str | Sequence[str],
        *,
        cwd: str = ...,
        env: Mapping[str, str] | None = ...,
        input: str | bytes | None = ...,
        timeout: float | None = ...,
        silence: float | None = ...,
        max_output: int = ...,
        leftover: Leftover = ...,
        log: str | None = ...,
        encoding: None,
        check: bool = ...,
    ) -> Done[bytes]: ...
    @overload
    def open_stream(
        self, path: str, mode: Literal["rb"] = ..., *, encoding: None = ...
    ) -> AbstractContextManager[ReadingStream[bytes]]: ...
    @overload
    def open_stream(
        self, path: str, mode: Literal["rb"] = ..., *, encoding: str
    ) -> AbstractContextManager[ReadingStream[str]]: ...
    @overload
    def open_stream(
        self, path: str, mode: Literal["wb", "ab"], *, encoding: None = ..., durable: bool = ...
    ) -> AbstractContextManager[WritingStream[bytes]]: ...
    @overload
    def open_stream(
        self, path: str, mode: Literal["wb", "ab"], *, encoding: str, durable: bool = ...
    ) -> AbstractContextManager[WritingStream[str]]: ...
    def write(
        self,
        path: str,
        content: str | bytes,
        *,
        encoding: str = ...,
        durable: bool = ...,
        expected: str | None = ...,
    ) -> None: ...
    def append(self, path: str, content: str | bytes, *, encoding: str = ...) -> None: ...
    def edit(
        self,
        path: str,
        old: str | bytes,
        new: str | bytes,
        *,
        replace_all: bool = ...,
        expected: str | None = ...,
    ) -> int: ...
    def edit_many(
        self, path: str, replacements: Sequence[Replacement], *, expected: str | None = ...
    ) -> int: ...
    def edit_lines(
        self, path: str, changes: Sequence[LineChange], *, expected: str | None = ...
    ) -> int: ...
    def touch(self, path: str, *, exist_ok: bool = ...) -> None: ...
    def mkdir(self, path: str, *, exist_ok: bool = ...) -> None: ...
    def chmod(self, path: str, mode: int) -> None: ...
    def copy(self, source: str, target: str, *, overwrite: bool = ...) -> None: ...
    def move(self, source: str, target: str, *, overwrite: bool = ...) -> None: ...
    def remove(self, path: str, *, recursive: bool = ..., missing_ok: bool = ...) -> None: ...
    def upload(
        self, files: Iterable[tuple[str, str | bytes]] | Mapping[str, str | bytes]
    ) -> tuple[Stored, ...]: ...
    def batch(self) -> AbstractContextManager[EffectBatch]: ...
    @overload
    def read(
        self, path: str, *, encoding: str = ..., offset: int = ..., limit: int | None = ...
    ) -> str: ...
    @overload
    def read(
        self, path: str, *, encoding: None, offset: int = ..., limit: int | None = ...
    ) -> bytes: ...
    def read_lines(
        self,
        path: str,
        *,
        offset: int = ...,
        limit: int = ...,
        longest: int = ...,
        total: bool = ...,
    ) -> Lines: ...
    def head(self, path: str, lines: int = ...) -> Lines: ...
    def tail(self, path: str, lines: int = ..., *, total: bool = ...) -> Lines: ...
    def digest(self, path: str) -> str: ...
    def realpath(self, path: str) -> str: ...
    def download(self, paths: Iterable[str]) -> tuple[Downloaded, ...]: ...
    def list_keys(self, prefix: str = ..., *, limit: int = ...) -> Found: ...
    def tree(
        self,
        path: str = ...,
        *,
        depth: int | None = ...,
        hidden: bool = ...,
        gitignore: bool = ...,
        limit: int = ...,
    ) -> Drawing: ...
    def stat(self, path: str) -> FileStat: ...
    def exists(self, path: str) -> bool: ...
    def ls(self, path: str = ..., *, limit: int = ...) -> Listing: ...
    def glob(
        self,
        pattern: str,
        path: str = ...,
        *,
        hidden: bool = ...,
        gitignore: bool = ...,
        limit: int = ...,
    ) -> Found: ...
    def grep(
        self,
        pattern: str,
        path: str = ...,
        *,
        literal: bool = ...,
        ignore_case: bool = ...,
        glob: str | None = ...,
        types: Iterable[str] = ...,
        hidden: bool = ...,
        gitignore: bool = ...,
        multiline: bool = ...,
        context: int = ...,
        before: int | None = ...,
        after: int | None = ...,
        output: GrepOutput = ...,
        per_file: int | None = ...,
        limit: int = ...,
    ) -> Matches: ...
    path: str
    ground: Ground
    env: Mapping[str, str]
    lints: tuple[Lint, ...]
    logs: tuple[OperationLog, ...]
    @property
    def directory(self) -> str: ...
    def scope(
        self,
        path: str,
        *,
        env: Mapping[str, str] | None = ...,
        isolation: Isolation | None = ...,
        decided: Decided | None = ...,
        permissions: Permissions | Ruleset | PresetName | None = ...,
        lint: Policy | Lint = ...,
        on_dangerous: OnDangerous | None = ...,
        operation_log: OperationLog | None = ...,
        who: Who | None = ...,
    ) -> Scope: ...
    def straight(self) -> Scope: ...
    def resolve(self, op: str, path: str, *, entry: bool = ...) -> Resolved: ...
    @property
    def status(self) -> Status: ...
    def on_status_change(self, watcher: Watcher) -> Callable[[], None]: ...
    def destroy(self) -> None: ...
    def require_alive(self, op: str, about: str | None = ...) -> None: ...

class Session:
    id: str
    def __init__(
        self,
        supervisor: Supervisor,
        spec: ChildSpec,
        state: SessionState,
        *,
        timeout: float | None = ...,
        silence: float | None = ...,
        max_park: float | None = ...,
        pass_on: Callable[[], bool] | None = ...,
    ) -> None: ...
    def send(
        self,
        prompt: str,
        *,
        timeout: float | None = ...,
        silence: float | None = ...,
        max_park: float | None = ...,
        when_busy: WhenBusy = ...,
        access: Access | None = ...,
        schema: Mapping[str, object] | None = ...,
    ) -> Turn: ...
    def prewarm(self) -> bool: ...
    def approvals(self) -> tuple[ApprovalAsked, ...]: ...
    def decide(self, approval: str, decision: Decision | bool) -> bool: ...
    def interrupt(self) -> bool: ...
    def events(
        self, *, since: int | None = ..., buffer: int = ...
    ) -> AbstractContextManager[SessionFollower]: ...
    def fork_with(
        self, driver: Driver, make: Callable[[str, str | None, History | None], Session]
    ) -> None: ...
    def rewind(
        self, turn: int, files: bool = ..., conversation: bool = ..., *, force: bool = ...
    ) -> Rewound: ...
    def fork(
        self,
        at: int | None = ...,
        directory: str | os.PathLike[str] | None = ...,
        *,
        id: str | None = ...,
        workspace: str | None = ...,
    ) -> Session: ...
    @property
    def directory(self) -> str: ...
    def close(self) -> None: ...
    def aclose(self) -> None: ...
    def statistics(self) -> SessionStatistics: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...

class Snapshots:
    def __init__(
        self, shared: Shared, record: WorkspaceRecord, workspace: object, who: Who = ...
    ) -> None: ...
    def create(
        self, name: str | None = ..., *, description: str = ..., verify: bool = ...
    ) -> SnapshotRecord: ...
    def list(self) -> list[SnapshotRecord]: ...
    def show(self, name: str) -> SnapshotRecord: ...
    def delete(self, name: str) -> None: ...
    def diff(
        self,
        before: str,
        after: str,
        *,
        select: Callable[[str], bool] | None = ...,
        gitignore: bool = ...,
    ) -> Diff: ...
    def restore(self, name: str, *, force: bool = ...) -> SnapshotRecord | None: ...
    def temp(self) -> AbstractContextManager[SnapshotRecord]: ...

class Workspace:
    @property
    def name(self) -> str: ...
    def ask(self, message: Message[AnswerT], /) -> AnswerT: ...
    def start(
        self,
        command: str | Sequence[str],
        *,
        cwd: str = ...,
        env: Mapping[str, str] | None = ...,
        input: str | bytes = ...,
        writes: bool = ...,
        timeout: float | None = ...,
        silence: float | None = ...,
        max_output: int = ...,
        log: str | None = ...,
    ) -> Background: ...
    def stream(
        self,
        command: str | Sequence[str],
        *,
        cwd: str = ...,
        env: Mapping[str, str] | None = ...,
        input: str | bytes = ...,
        writes: bool = ...,
        timeout: float | None = ...,
        silence: float | None = ...,
        max_output: int = ...,
        log: str | None = ...,
    ) -> AbstractContextManager[Background]: ...
    def processes(self) -> tuple[ProcessInfo, ...]: ...
    def process(self, id: str) -> Background: ...
    @overload
    def exec(
        self,
        command: str | Sequence[str],
        *,
        cwd: str = ...,
        env: Mapping[str, str] | None = ...,
        input: str | bytes | None = ...,
        timeout: float | None = ...,
        silence: float | None = ...,
        max_output: int = ...,
        leftover: Leftover = ...,
        log: str | None = ...,
        encoding: Literal["utf-8"] = ...,
        check: bool = ...,
    ) -> Done[str]: ...
    @overload
    def exec(
        self,
        command: str | Sequence[str],
        *,
        cwd: str = ...,
        env: Mapping[str, str] | None = ...,
        input: str | bytes | None = ...,
        timeout: float | None = ...,
        silence: float | None = ...,
        max_output: int = ...,
        leftover: Leftover = ...,
        log: str | None = ...,
        encoding: None,
        check: bool = ...,
    ) -> Done[bytes]: ...
    @overload
    def open_stream(
        self, path: str, mode: Literal["rb"] = ..., *, encoding: None = ...
    ) -> AbstractContextManager[ReadingStream[bytes]]: ...
    @overload
    def open_stream(
        self, path: str, mode: Literal["rb"] = ..., *, encoding: str
    ) -> AbstractContextManager[ReadingStream[str]]: ...
    @overload
    def open_stream(
        self, path: str, mode: Literal["wb", "ab"], *, encoding: None = ..., durable: bool = ...
    ) -> AbstractContextManager[WritingStream[bytes]]: ...
    @overload
    def open_stream(
        self, path: str, mode: Literal["wb", "ab"], *, encoding: str, durable: bool = ...
    ) -> AbstractContextManager[WritingStream[str]]: ...
    def write(
        self,
        path: str,
        content: str | bytes,
        *,
        encoding: str = ...,
        durable: bool = ...,
        expected: str | None = ...,
    ) -> None: ...
    def append(self, path: str, content: str | bytes, *, encoding: str = ...) -> None: ...
    def edit(
        self,
        path: str,
        old: str | bytes,
        new: str | bytes,
        *,
        replace_all: bool = ...,
        expected: str | None = ...,
    ) -> int: ...
    def edit_many(
        self, path: str, replacements: Sequence[Replacement], *, expected: str | None = ...
    ) -> int: ...
    def edit_lines(
        self, path: str, changes: Sequence[LineChange], *, expected: str | None = ...
    ) -> int: ...
    def touch(self, path: str, *, exist_ok: bool = ...) -> None: ...
    def mkdir(self, path: str, *, exist_ok: bool = ...) -> None: ...
    def chmod(self, path: str, mode: int) -> None: ...
    def copy(self, source: str, target: str, *, overwrite: bool = ...) -> None: ...
    def move(self, source: str, target: str, *, overwrite: bool = ...) -> None: ...
    def remove(self, path: str, *, recursive: bool = ..., missing_ok: bool = ...) -> None: ...
    def upload(
        self, files: Iterable[tuple[str, str | bytes]] | Mapping[str, str | bytes]
    ) -> tuple[Stored, ...]: ...
    def batch(self) -> AbstractContextManager[EffectBatch]: ...
    @overload
    def read(
        self, path: str, *, encoding: str = ..., offset: int = ..., limit: int | None = ...
    ) -> str: ...
    @overload
    def read(
        self, path: str, *, encoding: None, offset: int = ..., limit: int | None = ...
    ) -> bytes: ...
    def read_lines(
        self,
        path: str,
        *,
        offset: int = ...,
        limit: int = ...,
        longest: int = ...,
        total: bool = ...,
    ) -> Lines: ...
    def head(self, path: str, lines: int = ...) -> Lines: ...
    def tail(self, path: str, lines: int = ..., *, total: bool = ...) -> Lines: ...
    def digest(self, path: str) -> str: ...
    def realpath(self, path: str) -> str: ...
    def download(self, paths: Iterable[str]) -> tuple[Downloaded, ...]: ...
    def list_keys(self, prefix: str = ..., *, limit: int = ...) -> Found: ...
    def tree(
        self,
        path: str = ...,
        *,
        depth: int | None = ...,
        hidden: bool = ...,
        gitignore: bool = ...,
        limit: int = ...,
    ) -> Drawing: ...
    def stat(self, path: str) -> FileStat: ...
    def exists(self, path: str | None = ...) -> bool: ...
    def ls(self, path: str = ..., *, limit: int = ...) -> Listing: ...
    def glob(
        self,
        pattern: str,
        path: str = ...,
        *,
        hidden: bool = ...,
        gitignore: bool = ...,
        limit: int = ...,
    ) -> Found: ...
    def grep(
        self,
        pattern: str,
        path: str = ...,
        *,
        literal: bool = ...,
        ignore_case: bool = ...,
        glob: str | None = ...,
        types: Iterable[str] = ...,
        hidden: bool = ...,
        gitignore: bool = ...,
        multiline: bool = ...,
        context: int = ...,
        before: int | None = ...,
        after: int | None = ...,
        output: GrepOutput = ...,
        per_file: int | None = ...,
        limit: int = ...,
    ) -> Matches: ...
    def __init__(self, shared: Shared, record: WorkspaceRecord, options: ScopeOptions) -> None: ...
    @property
    def id(self) -> str: ...
    @property
    def description(self) -> str: ...
    @property
    def tags(self) -> tuple[str, ...]: ...
    @property
    def base(self) -> Base: ...
    @property
    def way(self) -> str: ...
    @property
    def path(self) -> str: ...
    @property
    def record(self) -> WorkspaceRecord: ...
    @property
    def audit(self) -> Audit: ...
    def scope(self, path: str = ..., **options: Unpack[ScopeOptions]) -> Scope: ...
    def status(self, *, verify: bool = ...) -> Status: ...
    def diff(self, against: str | Workspace | None = ..., *, verify: bool = ...) -> Diff: ...
    sync: Sync
    snapshots: Snapshots
    @overload
    def commit(
        self,
        message: str,
        *,
        author: str | None = ...,
        include: Iterable[str] = ...,
        exclude: Iterable[str] = ...,
        dry_run: Literal[False] = ...,
        branch: str | None = ...,
        strategy: Strategy = ...,
        update: bool = ...,
    ) -> CommitRecord: ...
    @overload
    def commit(
        self,
        message: str,
        *,
        author: str | None = ...,
        include: Iterable[str] = ...,
        exclude: Iterable[str] = ...,
        dry_run: Literal[True],
        branch: str | None = ...,
        strategy: Strategy = ...,
        update: bool = ...,
    ) -> list[Change]: ...
    @overload
    def commit(
        self,
        message: str,
        *,
        author: str | None = ...,
        include: Iterable[str] = ...,
        exclude: Iterable[str] = ...,
        dry_run: bool,
        branch: str | None = ...,
        strategy: Strategy = ...,
        update: bool = ...,
    ) -> CommitRecord | list[Change]: ...
    def commits(self) -> list[CommitRecord]: ...
    def merge(self, source: Workspace, *, strategy: Strategy = ...) -> Diff: ...
    def export(
        self,
        path: str | os.PathLike[str],
        *,
        format: ExportFormat | None = ...,
        against: str | Workspace | None = ...,
        overwrite: bool = ...,
    ) -> Exported: ...
    def rename(self, name: str) -> None: ...
    def unmount(self) -> None: ...
    def batch_process(
        self,
        items: Iterable[ItemT],
        function: Callable[[ItemT], Awaitable[ValueT] | ValueT],
        *,
        limit: int = ...,
    ) -> list[Processed[ItemT, ValueT]]: ...

class WritingStream(Generic[TextT]):
    def __init__(
        self, where: (Backend | Scope), path: str, id: str | None, encoding: Encoding | None
    ) -> None: ...
    def send(self, data: TextT) -> None: ...
    def finish(self, *, durable: bool) -> None: ...

BLOCKING: Blocking

def open_runner(
    config: RunnerConfig | str | os.PathLike[str] | None = ...,
    *,
    state: str | os.PathLike[str] | None = ...,
) -> AbstractContextManager[Runner]: ...
def make_session(
    cwd: str | os.PathLike[str],
    *,
    agent: Agent | Driver | str | None = ...,
    backend: str | None = ...,
    env_var: str | None = ...,
    rng: random.Random | None = ...,
    sandbox: str | None = ...,
    model: str | None = ...,
    timeout: float | None = ...,
    extra_args: Sequence[str] = ...,
    extra_env: Mapping[str, Value] = ...,
    isolation: Isolation | None = ...,
    id: str | None = ...,
    durable: bool = ...,
    state: str | os.PathLike[str] | None = ...,
    ignore: Sequence[str] = ...,
) -> AbstractContextManager[Session]: ...
@overload
def wrap(target: _Scope) -> Scope: ...
@overload
def wrap(target: _Backend) -> Backend: ...
@overload
def wrap(target: _BackendPool[Any]) -> BackendPool[Any]: ...
@overload
def wrap(target: object) -> Any: ...
