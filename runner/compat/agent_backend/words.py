"""agent-backend's enums, records and errors, with its values, defaults and texts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal, Protocol


class ErrorCode(StrEnum):
    """What kind of failure it was."""

    EMPTY_COMMAND = "EMPTY_COMMAND"
    UNSAFE_COMMAND = "UNSAFE_COMMAND"
    EXEC_FAILED = "EXEC_FAILED"
    EXEC_ERROR = "EXEC_ERROR"
    READ_FAILED = "READ_FAILED"
    WRITE_FAILED = "WRITE_FAILED"
    LS_FAILED = "LS_FAILED"
    PATH_ESCAPE_ATTEMPT = "PATH_ESCAPE_ATTEMPT"
    MISSING_UTILITIES = "MISSING_UTILITIES"
    INVALID_CONFIGURATION = "INVALID_CONFIGURATION"
    DANGEROUS_OPERATION = "DANGEROUS_OPERATION"
    CONNECTION_CLOSED = "CONNECTION_CLOSED"
    KEY_NOT_FOUND = "KEY_NOT_FOUND"
    NOT_IMPLEMENTED = "NOT_IMPLEMENTED"
    AUTH_FAILED = "AUTH_FAILED"


class ConnectionStatus(StrEnum):
    """Whether a backend is there; those on this machine are connected until destroyed."""

    CONNECTED = "connected"
    CONNECTING = "connecting"
    DISCONNECTED = "disconnected"
    RECONNECTING = "reconnecting"
    DESTROYED = "destroyed"


class BackendType(StrEnum):
    """What kind of backend it is."""

    LOCAL_FILESYSTEM = "local-filesystem"
    REMOTE_FILESYSTEM = "remote-filesystem"
    MEMORY = "memory"


class LoggingMode(StrEnum):
    """Which operations are logged: those that change something, or all."""

    STANDARD = "standard"
    VERBOSE = "verbose"


class IsolationMode(StrEnum):
    """What holds programs; `software` and `none` hold nothing but by the command filter."""

    AUTO = "auto"
    BWRAP = "bwrap"
    SOFTWARE = "software"
    NONE = "none"


class ShellPreference(StrEnum):
    """Which shell takes commands; `auto` is bash, or sh where there is none."""

    BASH = "bash"
    SH = "sh"
    AUTO = "auto"


class BackendError(Exception):
    """Every failure.

    Attributes:
        code: an `ErrorCode`.
        operation: of an exec, the command; of others, the reason.
    """

    def __init__(self, message: str, code: str, operation: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.operation = operation


class DangerousOperationError(BackendError):
    """A command that was taken for dangerous, and not run."""

    def __init__(self, command: str) -> None:
        what = f"Dangerous operation blocked: {command}"
        super().__init__(what, ErrorCode.DANGEROUS_OPERATION, command)


class PathEscapeError(BackendError):
    """A path that leads out of the scope, by its name or by a link."""

    def __init__(self, path: str) -> None:
        what = f"Path escapes scope boundary: {path}"
        super().__init__(what, ErrorCode.PATH_ESCAPE_ATTEMPT, path)


class NotImplementedBackendError(BackendError):
    """Something that this kind of backend does not do."""

    def __init__(self, operation: str, backend_type: str) -> None:
        what = f"Operation '{operation}' not implemented for {backend_type} backend"
        super().__init__(what, ErrorCode.NOT_IMPLEMENTED, operation)


@dataclass
class StatusChangeEvent:
    """A backend's status has changed; `timestamp` is in seconds since 1970."""

    from_status: ConnectionStatus
    to_status: ConnectionStatus
    timestamp: float
    error: Exception | None = None


@dataclass
class FileStat:
    """What stands at a path, links followed; `modified` is in seconds since 1970."""

    is_file: bool
    is_directory: bool
    size: int
    modified: float


OperationType = Literal[
    "exec",
    "write",
    "touch",
    "mkdir",
    "delete",
    "read",
    "readdir",
    "exists",
    "stat",
    "rename",
    "rm",
]
MODIFYING_OPERATIONS: frozenset[str] = frozenset(
    {"exec", "write", "touch", "mkdir", "delete", "rename", "rm"}
)


@dataclass
class OperationLogEntry:
    """One operation, and what came of it; `timestamp` is in seconds since 1970."""

    timestamp: float
    operation: OperationType
    user_id: str
    workspace_name: str
    workspace_path: str
    command: str
    success: bool
    duration_ms: float
    stdout: str | None = None
    stderr: str | None = None
    exit_code: int | None = None
    error: str | None = None


class OperationsLogger(Protocol):
    """Told of operations."""

    @property
    def mode(self) -> LoggingMode:
        """Which operations it wants."""
        ...

    def log(self, entry: OperationLogEntry) -> None:
        """Take one."""
        ...


@dataclass
class ScopeConfig:
    """Options of a scope."""

    env: dict[str, str] = field(default_factory=dict)
    operations_logger: OperationsLogger | None = None


@dataclass
class ExecOptions:
    """Options of a command; `cwd` is relative to the scope."""

    encoding: Literal["utf8", "buffer"] = "utf8"
    cwd: str | None = None
    env: Mapping[str, str] | None = None


@dataclass
class ReadOptions:
    """Options of a read."""

    encoding: Literal["utf8", "buffer"] = "utf8"


@dataclass
class LocalFilesystemBackendConfig:
    """Options of a local backend.

    `policy` and `operations_logger` are ours: which commands are dangerous, as 0.9 has it
    ("strict") or as 0.15 has it ("footgun"); and a logger for what is done without a scope.
    """

    root_dir: str
    isolation: IsolationMode = IsolationMode.AUTO
    prevent_dangerous: bool = True
    on_dangerous_operation: Callable[[str], object] | None = None
    max_output_length: int | None = None
    shell: ShellPreference = ShellPreference.AUTO
    validate_utils: bool = False
    policy: Literal["strict", "footgun"] = "strict"
    operations_logger: OperationsLogger | None = None


@dataclass
class MemoryBackendConfig:
    """Options of a memory backend."""

    root_dir: str = "/"
    initial_data: dict[str, str | bytes] | None = None
    operations_logger: OperationsLogger | None = None
