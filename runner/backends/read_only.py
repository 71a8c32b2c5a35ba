"""A view of a backend or scope for reading only: what changes or runs something is refused.

Programs are refused, too, since nobody can tell beforehand what one will change. Whoever needs them
runs them in the place that this is a view of, or takes a scope with `permissions="read-only"` and
rules of their own for `execute`.

What this does not do: keep others from changing what is seen.
"""

from __future__ import annotations

from typing import get_args

from runner import messages as m
from runner.backends.base import LATER, Backend, Later
from runner.backends.straight import Resolved, straight_view, straightening
from runner.errors import ReadOnly
from runner.messages import AnswerT, Message
from runner.operations import Asking
from runner.operations.op_names import op_name

READING = frozenset((*get_args(m.Observation), m.ReadStream, m.CloseStream))


class ReadOnlyBackend(Backend):
    """A view for reading only.

    Args:
        inner: a backend, or a scope.
    """

    def __init__(self, inner: Asking) -> None:
        self._inner = inner

    def __repr__(self) -> str:
        return f"<ReadOnlyBackend on {self._inner!r}>"

    @property
    def name(self) -> str:
        """What errors call it."""
        return self._inner.name

    async def carry_out(self, message: Message[AnswerT], /) -> AnswerT:
        """Carry out an observation; refuse all else."""
        self._require_reading(message)
        if isinstance(self._inner, Backend):
            return await self._inner.carry_out(message)
        return await self._inner.ask(message)

    def answer_now(self, message: Message[AnswerT], /) -> AnswerT | Later:
        """Carry out a short observation; refuse all that is none."""
        self._require_reading(message)
        if not isinstance(self._inner, Backend):
            return LATER
        answer: AnswerT | Later = self._inner.answer_now(message)
        return answer

    def straight(self) -> ReadOnlyBackend:
        """The same view, in which no link is followed."""
        return ReadOnlyBackend(straight_view(self._inner))

    def resolve(self, op: str, path: str, *, entry: bool = False) -> Resolved:
        """Where a path leads."""
        return straightening(self._inner).resolve(op, path, entry=entry)

    async def aclose(self) -> None:
        """Close the inner backend; a scope belongs to its runner."""
        if isinstance(self._inner, Backend):
            await self._inner.aclose()

    def _require_reading(self, message: Message[AnswerT]) -> None:
        if type(message) in READING:
            return
        path = getattr(message, "path", None) or getattr(message, "target", None)
        hint = "read, ls, glob, grep and the like work; change files where this is a view of"
        raise ReadOnly(op_name(type(message)), path, scope=self.name, hint=hint)
