"""The part of AgentFS's `Workspace` that runs programs."""

from __future__ import annotations

import sys
from collections.abc import AsyncGenerator, Generator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

from runner.asyncio import ASYNCIO
from runner.blocking import BLOCKING
from runner.compat.agentfs.rules import Rules
from runner.compat.agentfs.streams import inside
from runner.compat.agentfs.twins import Twinned, both
from runner.compat.agentfs.words import CommandResult, CommandTimeoutError
from runner.messages import Outcome
from runner.operations import Background, Done, Line
from runner.workspaces.workspace import Workspace as OurWorkspace

MOST = 64 << 20  # bytes that are kept of a program's outputs each


class Programs(Twinned):
    """Runs programs in a workspace."""

    _workspace: OurWorkspace
    _rules: Rules

    @both
    async def run(
        self,
        command: str | Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        workdir: str = "/",
        input: str | bytes | None = None,  # noqa: A002 - as subprocess names it
        timeout: float | None = None,
        capture_output: bool = True,
    ) -> CommandResult:
        """Run a program, and wait for its end; nothing that it starts survives it.

        Args:
            command: a shell line, or a program with its arguments.
            env: variables on top of those that programs have.
            workdir: where, in the workspace.
            input: its standard input.
            timeout: seconds until it is ended.
            capture_output: False passes its output on to this program's own.

        Raises:
            CommandTimeoutError: its time was up; `result` has what it said until then.
        """
        how: dict[str, Any] = {
            "cwd": inside(workdir),
            "env": env,
            "timeout": self._rules.max_runtime if timeout is None else timeout,
            "silence": self._rules.idle_timeout,
        }
        if capture_output:
            done = await self._workspace.exec(command, input=input, max_output=MOST, **how)
        else:
            done = await self._shown(command, input=input or b"", **how)
        result = _result(command, done, is_captured=capture_output)
        if result.timed_out:
            raise CommandTimeoutError(result)
        return result

    async def _shown(self, command: str | Sequence[str], **how: Any) -> Done[str]:
        async with self._workspace.stream(command, **how) as program:
            async for line in program:
                print(_text(line), end="", file=getattr(sys, line.stream))
            return await program.done()

    def run_stream(
        self,
        command: str | Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        workdir: str = "/",
        timeout: float | None = None,
    ) -> Generator[str, None, None]:
        """Lines of a program as they come, with their line ends; of both its outputs.

        Who goes on no more, or closes this, ends the program with all that it has started.
        """
        with BLOCKING.give(self._stream(command, env, workdir, timeout), self._place.home) as lines:
            for line in lines:
                yield _text(line)

    async def run_stream_async(
        self,
        command: str | Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        workdir: str = "/",
        timeout: float | None = None,
    ) -> AsyncGenerator[str, None]:
        """The same; closing it early, `contextlib.aclosing` at the latest, ends the program."""
        stream = self._stream(command, env, workdir, timeout)
        async with ASYNCIO.give(stream, self._place.home) as lines:
            async for line in lines:
                yield _text(line)  # noqa: ASYNC119 - asyncio closes generators

    def _stream(
        self,
        command: str | Sequence[str],
        env: Mapping[str, str] | None,
        workdir: str,
        timeout: float | None,
    ) -> AbstractAsyncContextManager[Background]:
        return self._workspace.stream(
            command,
            env=env,
            cwd=inside(workdir),
            timeout=self._rules.max_runtime if timeout is None else timeout,
            silence=self._rules.idle_timeout,
        )


def _result(command: str | Sequence[str], done: Done[str], *, is_captured: bool) -> CommandResult:
    return CommandResult(
        command=command if isinstance(command, str) else tuple(command),
        returncode=done.exit_code,
        stdout=done.stdout if is_captured else "",
        stderr=done.stderr if is_captured else "",
        duration=done.duration,
        timed_out=done.outcome is not Outcome.EXITED,
        truncated=is_captured and done.truncated,
    )


def _text(line: Line) -> str:
    return line.text + "\n" if line.is_whole else line.text
