"""The end of a program, in its caller's terms. Pure."""

from __future__ import annotations

from typing import Generic, TypeVar

import attrs

from runner.messages import Completed, InForce, Limit, Outcome, Output

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
        leftovers: processes that it left behind: ended with it, or kept with `leftover="keep"`.
        unlogged: bytes of its output that could not be written to its log.
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
    unlogged: int = 0
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


def text_of(output: Output) -> str:
    """What is kept of an output, as text; undecodable bytes become surrogate escapes."""
    return output.data().decode("utf-8", "surrogateescape")


def in_text(completed: Completed) -> Done[str]:
    """The end of a program, with its output as text."""
    return _done(completed, text_of(completed.out), text_of(completed.err))


def in_bytes(completed: Completed) -> Done[bytes]:
    """The end of a program, with its output as it was."""
    return _done(completed, completed.out.data(), completed.err.data())


def _done(completed: Completed, out: TextT, err: TextT) -> Done[TextT]:
    return Done(
        exit_code=completed.exit_code,
        stdout=out,
        stderr=err,
        outcome=completed.outcome,
        duration=completed.duration,
        omitted=completed.out.omitted + completed.err.omitted,
        leftovers=completed.leftovers,
        unlogged=completed.unlogged,
        isolation=completed.isolation,
        limit_exceeded=completed.limit_exceeded,
    )
