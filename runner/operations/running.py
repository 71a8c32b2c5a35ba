"""Methods that run programs: each turns its call into one message and its answer into text."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Generic, Literal, TypeVar, overload

import attrs

from runner.errors import ExecFailed
from runner.messages import Completed, Exec, InForce, Limit, Outcome, Output
from runner.operations.asking import Asking

TextT = TypeVar("TextT", str, bytes)


@attrs.frozen(kw_only=True)
class Done(Generic[TextT]):
    """A program has ended.

    Attributes:
        exit_code: 0 to 255, or minus the number of the signal that ended it.
        stdout: what is kept of its standard output.
        stderr: what is kept of its standard error.
        outcome: whether it ended by itself or was ended by us, and why.
        duration: seconds.
        omitted: bytes of both streams that were not kept.
        leftovers: processes that it left behind and that were ended with it.
        isolation: what held it inside its scope; None = nothing was asked for.
        limit_exceeded: the limit that it, or one of its processes, was ended for.
    """

    exit_code: int
    stdout: TextT
    stderr: TextT
    outcome: Outcome
    duration: float
    omitted: int
    leftovers: int
    isolation: InForce | None = None
    limit_exceeded: Limit | None = None

    @property
    def ok(self) -> bool:
        """Whether it ended by itself with exit code 0."""
        return self.exit_code == 0 and self.outcome is Outcome.EXITED

    @property
    def truncated(self) -> bool:
        """Whether some of its output was not kept."""
        return self.omitted > 0


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
        encoding: Literal["utf-8"] | None = "utf-8",
        check: bool = False,
    ) -> Done[str] | Done[bytes]:
        """Run a program in the scope and wait for its end; nothing that it starts survives it.

        Args:
            command: a line for `sh -c`, or a program with its arguments.
            cwd: where it runs, relative to the scope.
            env: variables on top of the scope's; nothing else but an allow-list is inherited.
            input: its standard input; None = an empty one.
            timeout: seconds until it is ended (TERM, then KILL); None = no limit.
            silence: seconds without any output until it is ended; None = no limit.
            max_output: bytes kept of each stream: half of them its head, half its tail.
            encoding: None gives bytes; in text, undecodable bytes become surrogate escapes.
            check: whether a bad end is an error.

        Raises:
            ExecFailed: it could not be started; or `check`, and it did not end well.

        Cancellation: the whole tree of its processes is gone before this leaves.
        """
        completed = await self.ask(
            Exec(
                command=command if isinstance(command, str) else tuple(command),
                cwd=cwd,
                env=tuple((env or {}).items()),
                input=None if input is None else self._encode("exec", None, input, "utf-8"),
                timeout=timeout,
                silence=silence,
                max_output=max_output,
            )
        )
        if check:
            self._check(command, completed)
        if encoding is None:
            return _done(completed, Output.data)
        return _done(completed, _text)

    def _check(self, command: str | Sequence[str], completed: Completed) -> None:
        if completed.exit_code == 0 and completed.outcome is Outcome.EXITED:
            return
        line = command if isinstance(command, str) else " ".join(command)
        how = {
            Outcome.EXITED: f"it ended with exit code {completed.exit_code}",
            Outcome.TIMEOUT: "it ran into its timeout",
            Outcome.SILENCE: "it was silent for too long",
        }[completed.outcome]
        said = _text(completed.err).strip() or _text(completed.out).strip()
        raise ExecFailed("exec", line, how, scope=self.name, hint=said[-2000:])


def _text(output: Output) -> str:
    return output.data().decode("utf-8", "surrogateescape")


def _done(completed: Completed, text: Callable[[Output], TextT]) -> Done[TextT]:
    return Done(
        exit_code=completed.exit_code,
        stdout=text(completed.out),
        stderr=text(completed.err),
        outcome=completed.outcome,
        duration=completed.duration,
        omitted=completed.out.omitted + completed.err.omitted,
        leftovers=completed.leftovers,
        isolation=completed.isolation,
        limit_exceeded=completed.limit_exceeded,
    )
