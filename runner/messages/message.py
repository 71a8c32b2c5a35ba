"""What a message is: anything that can be asked of an actor, typed by its answer. Values only."""

from __future__ import annotations

from typing import Generic, TypeVar

AnswerT = TypeVar("AnswerT")


class Message(Generic[AnswerT]):
    """Anything that can be asked of an actor; `AnswerT` is what a good answer is."""

    __slots__ = ()
