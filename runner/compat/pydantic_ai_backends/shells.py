"""pydantic-ai-backend's background commands, on programs that run beside other operations."""

from __future__ import annotations

import itertools

import attrs

from runner.backends.local import LocalBackend
from runner.compat.lodging import Lodging
from runner.compat.pydantic_ai_backends.words import (
    BackgroundHandle,
    BackgroundOutput,
    BackgroundProcessInfo,
)
from runner.errors import OperationError
from runner.operations.beside import Background, Fresh

KEPT = 1 << 20  # bytes of output that nobody has looked at yet, the last ones


@attrs.define(eq=False)
class _Shell:
    id: str
    command: str
    program: Background
    exit_code: int | None = None


class Shells:
    """The background commands of one backend."""

    def __init__(self, lodging: Lodging[LocalBackend]) -> None:
        self._lodging = lodging
        self._shells: dict[str, _Shell] = {}
        self._numbers = itertools.count(1)

    def start(self, command: str) -> BackgroundHandle:
        """Start one."""
        try:
            program = self._lodging.carry_blocking(lambda b: b.start(command, max_output=KEPT))
        except OperationError as error:
            raise RuntimeError(str(error)) from error
        shell = _Shell(f"bg_{next(self._numbers)}", command, program)
        self._shells[shell.id] = shell
        return BackgroundHandle(shell.id, program.pid, command)

    def read(self, shell_id: str) -> BackgroundOutput:
        """What is new of one."""
        shell = self._shells.get(shell_id)
        if shell is None:
            error = f"No such background shell: {shell_id}"
            return BackgroundOutput(shell_id, "", error, running=False)

        async def look(_: LocalBackend) -> tuple[Fresh[bytes], bool]:
            fresh = await shell.program.output(encoding=None)
            return fresh, await _is_running(shell)

        fresh, running = self._lodging.carry_blocking(look)
        out = fresh.stdout.decode("utf-8", "replace")
        err = fresh.stderr.decode("utf-8", "replace")
        return BackgroundOutput(shell.id, out, err, running, shell.exit_code)

    def kill(self, shell_id: str) -> bool:
        """End one; whether it still ran."""
        shell = self._shells.get(shell_id)
        if shell is None:
            return False

        async def kill(_: LocalBackend) -> bool:
            was_running = await shell.program.kill()
            await _is_running(shell)
            return was_running

        return self._lodging.carry_blocking(kill)

    def list(self) -> list[BackgroundProcessInfo]:
        """All of them."""
        return [
            BackgroundProcessInfo(
                each.id, each.command, each.program.pid, self._looks_alive(each), each.exit_code
            )
            for each in self._shells.values()
        ]

    def kill_all(self) -> None:
        """End all of them, and forget them."""
        for each in list(self._shells):
            self.kill(each)
        self._shells.clear()

    def _looks_alive(self, shell: _Shell) -> bool:
        return self._lodging.carry_blocking(lambda _: _is_running(shell))


async def _is_running(shell: _Shell) -> bool:
    """Whether it runs; if not, its exit code is known from now on."""
    if shell.exit_code is None:
        done = await shell.program.wait(0.0)
        shell.exit_code = None if done is None else done.exit_code
    return shell.exit_code is None
