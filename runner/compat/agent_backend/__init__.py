"""agent-backend's names on top of ours: `from runner.compat.agent_backend import …`.

Its local and memory backends, scopes, loggers, pool and command filter, with its values, defaults
and error texts (0.9; the filter also as 0.15 has it). Under trio, operations run where they are
awaited; under asyncio through the bridge. Remote backends and MCP are not here yet.
"""

from __future__ import annotations

from runner.compat.agent_backend.local import LocalFilesystemBackend, ScopedFilesystemBackend
from runner.compat.agent_backend.loggers import (
    ArrayOperationsLogger,
    ConsoleOperationsLogger,
    should_log_operation,
)
from runner.compat.agent_backend.memory import MemoryBackend, ScopedMemoryBackend
from runner.compat.agent_backend.pool import BackendPoolManager, PoolManagerConfig, PoolStats
from runner.compat.agent_backend.safety import (
    SafetyConfig,
    SafetyResult,
    is_command_safe,
    is_dangerous,
)
from runner.compat.agent_backend.status import ConnectionStatusManager
from runner.compat.agent_backend.vercel import VercelAIAdapter
from runner.compat.agent_backend.words import (
    BackendError,
    BackendType,
    ConnectionStatus,
    DangerousOperationError,
    ErrorCode,
    ExecOptions,
    FileStat,
    IsolationMode,
    LocalFilesystemBackendConfig,
    LoggingMode,
    MemoryBackendConfig,
    NotImplementedBackendError,
    OperationLogEntry,
    OperationsLogger,
    PathEscapeError,
    ReadOptions,
    ScopeConfig,
    ShellPreference,
    StatusChangeEvent,
)

__all__ = [
    "ArrayOperationsLogger",
    "BackendError",
    "BackendPoolManager",
    "BackendType",
    "ConnectionStatus",
    "ConnectionStatusManager",
    "ConsoleOperationsLogger",
    "DangerousOperationError",
    "ErrorCode",
    "ExecOptions",
    "FileStat",
    "IsolationMode",
    "LocalFilesystemBackend",
    "LocalFilesystemBackendConfig",
    "LoggingMode",
    "MemoryBackend",
    "MemoryBackendConfig",
    "NotImplementedBackendError",
    "OperationLogEntry",
    "OperationsLogger",
    "PathEscapeError",
    "PoolManagerConfig",
    "PoolStats",
    "ReadOptions",
    "SafetyConfig",
    "SafetyResult",
    "ScopeConfig",
    "ScopedFilesystemBackend",
    "ScopedMemoryBackend",
    "ShellPreference",
    "StatusChangeEvent",
    "VercelAIAdapter",
    "is_command_safe",
    "is_dangerous",
    "should_log_operation",
]
