"""pydantic-ai-backend's names on top of ours: `from runner.compat.pydantic_ai_backends import …`.

Its local, state and composite backends, permissions and hashline functions, with the constructors,
answers, limits and texts of 0.2.29. Containers, the async twins and the console toolset are not
here: `runner.integrations.pydantic_ai` plugs a scope into Pydantic AI itself.
"""

from __future__ import annotations

from runner.compat.pydantic_ai_backends.composite import CompositeBackend
from runner.compat.pydantic_ai_backends.hashline import (
    apply_hashline_edit,
    apply_hashline_edit_with_summary,
    format_hashline_output,
    line_hash,
)
from runner.compat.pydantic_ai_backends.local import LocalBackend
from runner.compat.pydantic_ai_backends.permissions import (
    AskCallback,
    AskFallback,
    OperationPermissions,
    PermissionAction,
    PermissionAskError,
    PermissionChecker,
    PermissionDeniedError,
    PermissionError,  # noqa: A004 - the peer's name
    PermissionOperation,
    PermissionRule,
    PermissionRuleset,
)
from runner.compat.pydantic_ai_backends.presets import (
    DANGEROUS_COMMANDS,
    DEFAULT_RULESET,
    PERMISSIVE_RULESET,
    READONLY_RULESET,
    SECRETS_PATTERNS,
    STRICT_RULESET,
    SYSTEM_PATTERNS,
    create_ruleset,
)
from runner.compat.pydantic_ai_backends.protocols import (
    BackendProtocol,
    BackgroundSandboxProtocol,
    SandboxProtocol,
)
from runner.compat.pydantic_ai_backends.state import StateBackend
from runner.compat.pydantic_ai_backends.words import (
    BackgroundHandle,
    BackgroundOutput,
    BackgroundProcessInfo,
    EditResult,
    ExecuteResponse,
    FileData,
    FileInfo,
    GrepMatch,
    WriteResult,
)

__all__ = [
    "DANGEROUS_COMMANDS",
    "DEFAULT_RULESET",
    "PERMISSIVE_RULESET",
    "READONLY_RULESET",
    "SECRETS_PATTERNS",
    "STRICT_RULESET",
    "SYSTEM_PATTERNS",
    "AskCallback",
    "AskFallback",
    "BackendProtocol",
    "BackgroundHandle",
    "BackgroundOutput",
    "BackgroundProcessInfo",
    "BackgroundSandboxProtocol",
    "CompositeBackend",
    "EditResult",
    "ExecuteResponse",
    "FileData",
    "FileInfo",
    "GrepMatch",
    "LocalBackend",
    "OperationPermissions",
    "PermissionAction",
    "PermissionAskError",
    "PermissionChecker",
    "PermissionDeniedError",
    "PermissionError",
    "PermissionOperation",
    "PermissionRule",
    "PermissionRuleset",
    "SandboxProtocol",
    "StateBackend",
    "WriteResult",
    "apply_hashline_edit",
    "apply_hashline_edit_with_summary",
    "create_ruleset",
    "format_hashline_output",
    "line_hash",
]
