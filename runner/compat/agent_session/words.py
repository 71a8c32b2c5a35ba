"""agent-session's constants, error, result and protocol: values only."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

SANDBOX_READ_ONLY = "read-only"
SANDBOX_WORKSPACE_WRITE = "workspace-write"
SANDBOX_DANGER_FULL_ACCESS = "danger-full-access"
ALL_SANDBOXES: tuple[str, ...] = (
    SANDBOX_READ_ONLY,
    SANDBOX_WORKSPACE_WRITE,
    SANDBOX_DANGER_FULL_ACCESS,
)

BACKEND_CLAUDE = "claude"
BACKEND_CODEX = "codex"
ALL_BACKENDS: tuple[str, ...] = (BACKEND_CLAUDE, BACKEND_CODEX)


class AgentError(RuntimeError):
    """A program is missing, something is asked for that cannot be, or a turn cannot begin."""


@dataclass
class AgentResult:
    """What came of one prompt; paths are relative to `cwd`, and sorted."""

    ok: bool
    exit_code: int
    stdout: str
    stderr: str
    final_message: str
    duration_sec: float
    files_created: list[Path] = field(default_factory=list)
    files_modified: list[Path] = field(default_factory=list)
    cmd: list[str] = field(default_factory=list)
    backend: str = ""
    session_id: str | None = None
    raw: dict[str, Any] = field(default_factory=dict)


class AgentSession(Protocol):
    """A conversation with a program; for one thread at a time."""

    cwd: Path
    session_id: str | None
    turn_count: int
    backend: str

    def send(self, prompt: str, timeout_sec: float | None = None) -> AgentResult:
        """Carry out one turn."""
        ...
