"""A session of agent-session's on top of one of ours, in trio's thread.

    made ──► send: opened, with the options as they are now ──► … ──► closed
                     ▲ send: they have changed: closed, and opened again by its id

What is not here: how a record is made for a program, and what its output was like there.
"""

from __future__ import annotations

import os
import shutil
import uuid
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from runner import blocking
from runner.agents.driver import Access, Agent
from runner.compat.agent_session.words import (
    ALL_SANDBOXES,
    AgentError,
    AgentResult,
)
from runner.errors import RunnerError
from runner.sessions.turn import Turn

if TYPE_CHECKING:
    from runner.blocking import Session

# What says where a program's configuration is: in a session of ours, that is private.
PRIVATE = frozenset({"HOME", "CLAUDE_CONFIG_DIR", "CODEX_HOME", "TMPDIR"})


class LiveSession(ABC):
    """What both have; its attributes may be set between turns, but for `cwd`."""

    backend: str = ""
    note: ClassVar[str] = "timed out after"  # what is said of a turn whose time was up

    def __init__(  # noqa: PLR0917 - agent-session's own order
        self,
        cwd: Path | str,
        binary: str,
        model: str | None,
        sandbox: str,
        timeout_sec: float,
        extra_args: Sequence[str] | None,
        extra_env: dict[str, str] | None,
    ) -> None:
        resolved = shutil.which(binary)
        if resolved is None:
            raise AgentError(f"{self.backend} binary not found on PATH: {binary}")
        self.binary = resolved
        self.model = model
        self.sandbox = sandbox
        self._access()
        self.cwd = Path(cwd).resolve()
        self.cwd.mkdir(parents=True, exist_ok=True)
        self.timeout_sec = timeout_sec
        self.extra_args = list(extra_args or [])
        self.extra_env: dict[str, str] = dict(extra_env or {})
        self.session_id: str | None = None
        self.turn_count: int = 0
        self._context: AbstractContextManager[Session] | None = None
        self._session: Session | None = None
        self._opened_with: object = None

    def send(self, prompt: str, timeout_sec: float | None = None) -> AgentResult:
        """Carry out one turn, and wait for its end.

        Raises:
            AgentError: it cannot begin.
        """
        timeout: float | None = self.timeout_sec if timeout_sec is None else timeout_sec
        try:
            turn = self._open().send(prompt, timeout=timeout)
        except RunnerError as exc:
            raise AgentError(str(exc)) from exc
        # A turn that was asking its provider again says that instead.
        is_late = not turn.ok and timeout is not None and turn.duration >= timeout
        if not is_late:
            self.turn_count += 1
        return self._result(turn, is_late=is_late)

    def close(self) -> None:
        """End the program; `send` begins another one, which goes on with the conversation."""
        context, self._context, self._session = self._context, None, None
        if context is not None:
            context.__exit__(None, None, None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    # ------------------------------------------------------------ its session of ours

    def _open(self) -> Session:
        wanted = self.session_id, self._record(), dict(os.environ)
        if self._session is not None and wanted == self._opened_with:
            return self._session
        self.close()
        self.session_id = self.session_id or str(uuid.uuid4())
        context = blocking.make_session(
            self.cwd, agent=self._record(), id=self.session_id, ignore=()
        )
        self._session = context.__enter__()
        self._context = context
        self._opened_with = (self.session_id, *wanted[1:])
        return self._session

    @abstractmethod
    def _record(self) -> Agent:
        """The agent's record, by the attributes and the environment as they are now."""

    def _access(self) -> Access:
        if self.sandbox not in ALL_SANDBOXES:
            raise AgentError(f"unknown sandbox {self.sandbox!r}, not in {ALL_SANDBOXES}")
        access: Access = self.sandbox  # type: ignore[assignment]  # one of the three
        return access

    def _common(self, variable: str, default: str) -> dict[str, Any]:
        """What both records have: arguments, variables, and where the user's credentials are."""
        names = (name for name in os.environ if name not in PRIVATE and "=" not in name)
        own = os.environ.get(variable) or default
        return {
            "program": self.binary,
            "model": self.model or "",
            "access": self._access(),
            "args": tuple(self.extra_args),
            "env": dict(self.extra_env),
            "pass_env": tuple(names),
            "seed": "" if PRIVATE & self.extra_env.keys() else own,
        }

    # ------------------------------------------------------------ what came of a turn

    def _result(self, turn: Turn, *, is_late: bool) -> AgentResult:
        created = [*turn.files_created, *(there for _, there in turn.files_renamed)]
        stderr = turn.stderr_tail
        if is_late:
            stderr += f"\n[agent_session] {self.note} {turn.duration:.1f}s"
        elif not turn.ok and turn.error_text not in stderr:
            stderr += f"{turn.error_text}\n"
        code = turn.exit_code
        if code is None:
            code = 0 if turn.ok else 1
        return AgentResult(
            ok=turn.ok,
            exit_code=-1 if is_late else code,
            stdout=self._stdout(turn),
            stderr=stderr,
            final_message="" if is_late else turn.final_message,
            duration_sec=turn.duration,
            files_created=sorted(map(Path, created)),
            files_modified=sorted(map(Path, turn.files_modified)),
            cmd=list(turn.cmd),
            backend=self.backend,
            session_id=self.session_id,
            raw=dict(turn.raw),
        )

    @abstractmethod
    def _stdout(self, turn: Turn) -> str:
        """What the program's output was like."""
