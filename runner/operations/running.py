"""Methods that run programs: each turns its call into one message and its answer into text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, overload

from runner.errors import ExecFailed
from runner.messages import Completed, Exec, Leftover, Outcome
from runner.operations.asking import Asking
from runner.operations.done import Done, in_bytes, in_text, text_of
from runner.operations.programs import command_of, input_of, require_encoding, variables_of


class Running(Asking):
    """The operations on programs."""

    __slots__ = ()

    @overload
    async def exec(
        self,
        command: str | Sequence[str],
        *,
        cwd: str = ".",
        env: Mapping[str, str] | None = None,
        input: str | bytes | None = None,
        timeout: float | None = None,
        silence: float | None = None,
        max_output: int = 1 << 20,
        leftover: Leftover = "end",
        log: str | None = None,
        encoding: Literal["utf-8"] = "utf-8",
        check: bool = False,
    ) -> Done[str]: ...
    @overload
    async def exec(
        self,
        command: str | Sequence[str],
        *,
        cwd: str = ".",
        env: Mapping[str, str] | None = None,
        input: str | bytes | None = None,
        timeout: float | None = None,
        silence: float | None = None,
        max_output: int = 1 << 20,
        leftover: Leftover = "end",
        log: str | None = None,
        encoding: None,
        check: bool = False,
    ) -> Done[bytes]: ...
    async def exec(
        self,
        command: str | Sequence[str],
        *,
        cwd: str = ".",
        env: Mapping[str, str] | None = None,
        input: str | bytes | None = None,  # noqa: A002 - as subprocess names it
        timeout: float | None = None,
        silence: float | None = None,
        max_output: int = 1 << 20,
        leftover: Leftover = "end",
        log: str | None = None,
        encoding: Literal["utf-8"] | None = "utf-8",
        check: bool = False,
    ) -> Done[str] | Done[bytes]:
        """Run a program in the scope and wait for its end; nothing that it starts survives it.

        Unless that is asked for (`leftover`): then it ends with the scope.

        Args:
            command: a line for `sh -c`, or a program with its arguments.
            cwd: where it runs, relative to the scope.
            env: variables on top of the scope's; nothing else but an allow-list is inherited.
            input: its standard input; None = an empty one. Of text, surrogate escapes become the
                bytes that they were in an output.
            timeout: seconds until it is ended (TERM, then KILL); None = no limit.
            silence: seconds without any output until it is ended; None = no limit.
            max_output: bytes kept of each stream: half of them its head, half its tail.
            leftover: what becomes of the processes that it leaves behind when it ends by itself:
                "end" with it, or "keep" until the scope ends. What kept ones still write to its
                outputs is discarded.
            log: a file in the scope that gets all of its output as it comes, emptied before.
            encoding: None gives bytes; in text, undecodable bytes become surrogate escapes.
            check: whether a bad end is an error.

        Raises:
            ExecFailed: it could not be started; or `check`, and it did not end well.
            NotFound, WrongType, PathEscapes, InvalidPath: the directory, or the log's path.
            InvalidArgument: a value that no program can be run with.

        Cancellation: the whole tree of its processes is gone before this leaves.
        """
        if encoding != "utf-8":
            require_encoding("exec", encoding, self.name)
        if not isinstance(command, str):  # and it may be gone through only once
            command = command_of("exec", command, self.name)
        completed = await self.ask(
            Exec(
                command=command,
                cwd=cwd,
                env=() if env is None else variables_of("exec", env, self.name),
                input=None if input is None else input_of("exec", input, self.name),
                timeout=timeout,
                silence=silence,
                max_output=max_output,
                leftover=leftover,
                log="" if log is None else log,
            )
        )
        if check:
            self._check(command, completed)
        return in_bytes(completed) if encoding is None else in_text(completed)

    def _check(self, command: str | tuple[str, ...], completed: Completed) -> None:
        if completed.exit_code == 0 and completed.outcome is Outcome.EXITED:
            return
        line = command if isinstance(command, str) else " ".join(command)
        how = {
            Outcome.EXITED: f"it ended with exit code {completed.exit_code}",
            Outcome.TIMEOUT: "it ran into its timeout",
            Outcome.SILENCE: "it was silent for too long",
        }[completed.outcome]
        said = text_of(completed.err).strip() or text_of(completed.out).strip()
        raise ExecFailed("exec", line, how, scope=self.name, hint=said[-2000:])
