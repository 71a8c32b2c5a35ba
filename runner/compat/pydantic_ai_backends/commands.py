"""How commands run in pydantic-ai-backend's `LocalBackend`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from runner.backends.local import LocalBackend as Ours
from runner.compat.lodging import Lodging
from runner.compat.pydantic_ai_backends.guard import Guard
from runner.compat.pydantic_ai_backends.shells import Shells
from runner.compat.pydantic_ai_backends.words import (
    BackgroundHandle,
    BackgroundOutput,
    BackgroundProcessInfo,
    ExecuteResponse,
)
from runner.errors import OperationError
from runner.messages import Outcome
from runner.operations import Done

TIMEOUT = 120  # seconds of a command that does not say otherwise
MAX_OUTPUT = 100_000  # characters of a command's output, the first ones
KEPT = 8 * MAX_OUTPUT  # bytes; their first half holds as many characters of any text
DISABLED = (
    "Shell execution is disabled for this backend. Initialize with enable_execute=True to enable."
)


class Commands:
    """Commands in one directory."""

    _enable_execute: bool
    _guard: Guard
    _commands: Lodging[Ours]
    _shells: Shells

    def execute(self, command: str, timeout: int | None = None) -> ExecuteResponse:
        """Run a command in the root to its end.

        Raises:
            RuntimeError: commands are disabled.
        """
        denial = self._denial(command) or _unusable(command)
        if denial is not None:
            return ExecuteResponse(f"Error: {denial}", 1)
        try:
            return _response(self._commands.carry_blocking(_run(command, timeout)))
        except OperationError as error:
            return ExecuteResponse(f"Error: {error.reason}", 1)

    async def async_execute(self, command: str, timeout: int | None = None) -> ExecuteResponse:
        """The same for a task, of asyncio or trio; cancelled, it is put down before it leaves."""
        denial = self._denial(command) or _unusable(command)
        if denial is not None:
            return ExecuteResponse(f"Error: {denial}", 1)
        try:
            return _response(await self._commands.carry(_run(command, timeout)))
        except OperationError as error:
            return ExecuteResponse(f"Error: {error.reason}", 1)

    def _denial(self, command: str) -> str | None:
        if not self._enable_execute:
            raise RuntimeError(DISABLED)
        return self._guard.command_reason(command)

    def execute_background(self, command: str) -> BackgroundHandle:
        """Start a command and go on; it ends with the backend.

        Raises:
            RuntimeError: commands are disabled.
            PermissionError: the rules refuse it.
        """
        denial = self._denial(command)
        if denial is not None:
            raise PermissionError(denial)
        return self._shells.start(command)

    def read_background(self, shell_id: str) -> BackgroundOutput:
        """What has come of its output since the last look."""
        return self._shells.read(shell_id)

    def kill_background(self, shell_id: str) -> bool:
        """End it with all that it started; whether it still ran."""
        return self._shells.kill(shell_id)

    def list_background(self) -> list[BackgroundProcessInfo]:
        """All that were started."""
        return self._shells.list()

    def kill_all_background(self) -> None:
        """End all of them."""
        self._shells.kill_all()


def _unusable(command: object) -> str | None:
    """What the peer says of what is no command: the words of `subprocess`."""
    if not isinstance(command, str):
        return f"expected str, bytes or os.PathLike object, not {type(command).__name__}"
    return "embedded null byte" if "\0" in command else None


def _run(command: str, timeout: int | None) -> Callable[[Ours], Awaitable[Done[bytes]]]:
    seconds = float(TIMEOUT if timeout is None else timeout)
    return lambda backend: backend.exec(command, timeout=seconds, max_output=KEPT, encoding=None)


def _response(done: Done[bytes]) -> ExecuteResponse:
    if done.outcome is Outcome.TIMEOUT:
        return ExecuteResponse("Error: Command timed out", 124)
    output = (done.stdout + done.stderr).decode("utf-8", "replace")
    return ExecuteResponse(output[:MAX_OUTPUT], done.exit_code, len(output) > MAX_OUTPUT)
