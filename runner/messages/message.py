"""What a message is: anything that can be asked of an actor, typed by its answer. Values only."""

from __future__ import annotations

from typing import Annotated, Final, Generic, TypeAlias, TypeVar

AnswerT = TypeVar("AnswerT")

LARGEST: Final = (1 << 63) - 1  # of what a file system, and Python's sequences, can count
COUNTS: Final = "counts"
Count: TypeAlias = Annotated[int, COUNTS]  # 0 or more


class Message(Generic[AnswerT]):
    """Anything that can be asked of an actor; `AnswerT` is what a good answer is."""

    __slots__ = ()
