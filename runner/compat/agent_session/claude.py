"""agent-session's claude backend, on top of ours."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from runner.agents.driver import ClaudeAgent
from runner.compat.agent_session.live import LiveSession
from runner.compat.agent_session.words import BACKEND_CLAUDE, SANDBOX_WORKSPACE_WRITE
from runner.sessions.turn import Turn


class ClaudeSession(LiveSession):
    """A conversation with Claude Code."""

    backend: str = BACKEND_CLAUDE
    note: ClassVar[str] = "claude timed out after"

    def __init__(  # noqa: PLR0917 - agent-session's own order
        self,
        cwd: Path | str,
        binary: str = "claude",
        model: str | None = None,
        sandbox: str = SANDBOX_WORKSPACE_WRITE,
        timeout_sec: float = 3600.0,
        extra_args: Sequence[str] | None = None,
        extra_env: dict[str, str] | None = None,
    ) -> None:
        super().__init__(cwd, binary, model, sandbox, timeout_sec, extra_args, extra_env)

    def _record(self) -> ClaudeAgent:
        return ClaudeAgent(**self._common("CLAUDE_CONFIG_DIR", "~/.claude"))

    def _stdout(self, turn: Turn) -> str:
        return json.dumps(dict(turn.raw), default=str) + "\n" if turn.raw else turn.stdout_tail
