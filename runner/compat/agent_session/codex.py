"""agent-session's codex backend, on top of ours."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from runner.agents.driver import CodexAgent
from runner.compat.agent_session.live import PRIVATE, LiveSession
from runner.compat.agent_session.words import (
    BACKEND_CODEX,
    SANDBOX_DANGER_FULL_ACCESS,
    SANDBOX_READ_ONLY,
    SANDBOX_WORKSPACE_WRITE,
    AgentError,
    AgentResult,
)
from runner.sessions.turn import Turn

CodexError = AgentError
CodexResult = AgentResult

__all__ = [
    "SANDBOX_DANGER_FULL_ACCESS",
    "SANDBOX_READ_ONLY",
    "SANDBOX_WORKSPACE_WRITE",
    "CodexError",
    "CodexResult",
    "CodexSession",
]


class CodexSession(LiveSession):
    """A conversation with codex. It never asks for a repository: `skip_git_check` is only kept."""

    backend: str = BACKEND_CODEX

    def __init__(  # noqa: PLR0917 - agent-session's own order
        self,
        cwd: Path | str,
        binary: str = "codex",
        model: str | None = None,
        sandbox: str = SANDBOX_WORKSPACE_WRITE,
        skip_git_check: bool = True,
        timeout_sec: float = 3600.0,
        extra_args: Sequence[str] | None = None,
        extra_env: dict[str, str] | None = None,
    ) -> None:
        super().__init__(cwd, binary, model, sandbox, timeout_sec, extra_args, extra_env)
        self.skip_git_check = skip_git_check

    def _record(self) -> CodexAgent:
        return CodexAgent(config=self._config(), **self._common("CODEX_HOME", "~/.codex"))

    def _config(self) -> str:
        """The user's own configuration: providers stand there."""
        if self.extra_env.keys() & PRIVATE:
            return ""
        home = os.environ.get("CODEX_HOME") or "~/.codex"
        try:
            return (Path(home).expanduser() / "config.toml").read_text()
        except FileNotFoundError:
            return ""
        except (OSError, ValueError) as exc:
            raise AgentError(f"codex's configuration in {home} cannot be read: {exc}") from exc

    def _stdout(self, turn: Turn) -> str:
        return turn.final_message and turn.final_message + "\n"
