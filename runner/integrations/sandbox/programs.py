"""Commands, their output put together as deepagents' local shell does."""

from __future__ import annotations

from deepagents.backends.protocol import ExecuteResponse

from runner import errors as e
from runner.messages import Outcome
from runner.operations import Done
from runner.scopes.scope import Scope

DEFAULT_TIMEOUT = 120.0
MAX_OUTPUT = 1 << 20
TIMED_OUT = 124  # as timeout(1)


async def execute(
    scope: Scope, command: str, *, timeout: float | None, default: float, max_output: int
) -> ExecuteResponse:
    """Run a line of shell, and wait for its end.

    Raises:
        ValueError: the timeout is not positive.
    """
    if not command or not isinstance(command, str):
        return ExecuteResponse("Error: Command must be a non-empty string.", exit_code=1)
    seconds = default if timeout is None else timeout
    if seconds <= 0:
        raise ValueError(f"timeout must be positive, got {timeout}")
    try:
        done = await scope.exec(command, timeout=seconds, max_output=max_output, encoding=None)
    except e.OperationError as error:
        what = f"Error executing command ({type(error).__name__}): {error.reason}"
        return ExecuteResponse(what, exit_code=1)
    if done.outcome is not Outcome.EXITED:
        return ExecuteResponse(_timed_out(seconds, is_own=timeout is not None), TIMED_OUT)
    output = _output(done)
    if done.truncated:
        output += f"\n\n... Output truncated: {done.omitted} bytes were left out."
    if done.exit_code != 0:
        output = f"{output.rstrip()}\n\nExit code: {done.exit_code}"
    return ExecuteResponse(output, exit_code=done.exit_code, truncated=done.truncated)


def _output(done: Done[bytes]) -> str:
    stdout = done.stdout.decode("utf-8", "replace")
    stderr = done.stderr.decode("utf-8", "replace").strip()
    parts = [stdout] if stdout else []
    if stderr:
        parts += [f"[stderr] {line}" for line in stderr.split("\n")]
    return "\n".join(parts) or "<no output>"


def _timed_out(seconds: float, *, is_own: bool) -> str:
    what = f"Error: Command timed out after {seconds:g} seconds"
    if is_own:
        return f"{what} (custom timeout). The command may be stuck or require more time."
    return f"{what}. For long-running commands, re-run using the timeout parameter."
