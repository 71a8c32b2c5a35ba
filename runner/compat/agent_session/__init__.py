"""agent-session's names on top of ours: `from runner.compat.agent_session import …`.

Its factory, sessions, results, constants and error texts (0.1.0), for synchronous programs. What is
better for it, and therefore differs:

| | agent-session | here |
|---|---|---|
| process | one for each turn | one for many; `close`, `with`, the end of the program, or five idle minutes end it |
| `read-only`, claude | `--allowedTools`, which takes no tool away | only tools that read are there: no shell, no network |
| `workspace-write`, claude | everything is allowed | edits in `cwd` only, commands in its sandbox; it needs bwrap and socat, or the turn fails |
| `read-only`, `workspace-write`, codex | its own sandbox | the same |
| `danger-full-access` | everything is allowed | the same |
| an unknown sandbox | full access (claude) | `AgentError`, as well as an empty prompt and a timeout of 0 |
| configuration | the user's own | a private one with a copy of the user's credentials, and codex's `config.toml`; settings, hooks, MCP servers and history of the user's claude are not read |
| `session_id` | the program's | runner's own, also before the first answer; set on a new session, it goes on with that one, in a later process, too |
| timeout | what the program started lives on, and no changes are listed | all of it is ended, and what it changed is listed |
| changes | by time and size | also by inode and mode; a rename is a new file |
| `stdout` | what the program wrote | claude: its result as JSON; codex: the final message |
| `stderr` | what the program wrote | its end; and why the turn failed, if it does not say that |
| `cmd` | with the prompt | the live program's |
| `extra_args` of codex | for `codex exec` | for `codex app-server` |
| the prompt | an argument (claude): at most 128 KiB, and options if it begins with `-` | any text, verbatim |

`CodexClient`, which is not public there, is not here. Options (`sandbox`, `model`, `timeout_sec`,
`extra_args`, `extra_env`) may be set between turns: the program is then started anew, and resumed.
"""

# ruff: noqa: E501 - a table
from __future__ import annotations

import os
import random
from collections.abc import Sequence
from pathlib import Path

from runner.compat.agent_session.words import (
    ALL_BACKENDS,
    ALL_SANDBOXES,
    BACKEND_CLAUDE,
    BACKEND_CODEX,
    SANDBOX_DANGER_FULL_ACCESS,
    SANDBOX_READ_ONLY,
    SANDBOX_WORKSPACE_WRITE,
    AgentError,
    AgentResult,
    AgentSession,
)

__version__ = "0.1.0"
__all__ = [
    "ALL_BACKENDS",
    "ALL_SANDBOXES",
    "BACKEND_CLAUDE",
    "BACKEND_CODEX",
    "SANDBOX_DANGER_FULL_ACCESS",
    "SANDBOX_READ_ONLY",
    "SANDBOX_WORKSPACE_WRITE",
    "AgentError",
    "AgentResult",
    "AgentSession",
    "make_session",
    "pick_backend",
]


def pick_backend(*, env_var: str | None = None, rng: random.Random | None = None) -> str:
    """The name of a backend: what a variable says, or else one at random.

    Raises:
        AgentError: the variable names none.
    """
    forced = os.environ.get(env_var, "").strip().lower() if env_var else ""
    if not forced:
        return (rng if rng is not None else random).choice(ALL_BACKENDS)
    if forced not in ALL_BACKENDS:
        raise AgentError(f"{env_var}={forced!r} not in {ALL_BACKENDS}")
    return forced


def make_session(
    cwd: Path | str,
    *,
    sandbox: str = SANDBOX_WORKSPACE_WRITE,
    model: str | None = None,
    timeout_sec: float = 3600.0,
    extra_args: Sequence[str] | None = None,
    extra_env: dict[str, str] | None = None,
    backend: str | None = None,
    env_var: str | None = None,
    rng: random.Random | None = None,
) -> AgentSession:
    """A session with the backend that is named, or picked.

    Raises:
        AgentError: there is no such backend or sandbox, or its program is not installed.
    """
    chosen = backend or pick_backend(env_var=env_var, rng=rng)
    # Nobody has to import what is not used.
    if chosen == BACKEND_CLAUDE:
        from runner.compat.agent_session.claude import ClaudeSession  # noqa: PLC0415

        return ClaudeSession(
            cwd=cwd,
            sandbox=sandbox,
            model=model,
            timeout_sec=timeout_sec,
            extra_args=extra_args,
            extra_env=extra_env,
        )
    if chosen == BACKEND_CODEX:
        from runner.compat.agent_session.codex import CodexSession  # noqa: PLC0415

        return CodexSession(
            cwd=cwd,
            sandbox=sandbox,
            model=model,
            timeout_sec=timeout_sec,
            extra_args=extra_args,
            extra_env=extra_env,
        )
    raise AgentError(f"unknown backend {chosen!r}")
