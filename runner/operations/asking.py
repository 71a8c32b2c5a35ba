"""What everything that takes operations has: a way to ask, and a name to give in errors.

And what their methods share: how a caller's texts and lists become those of a message.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import TypeVar

from runner.errors import DecodeFailed, InvalidArgument
from runner.messages import AnswerT, Message
from runner.operations.soundness import shown
from runner.operations.texts import codec_of

ItemT = TypeVar("ItemT")


class Asking(ABC):
    """Gives each operation's message to whoever carries it out."""

    __slots__ = ()

    @property
    @abstractmethod
    def name(self) -> str:
        """What errors call it: a scope's path, a backend's root."""

    @abstractmethod
    async def ask(self, message: Message[AnswerT], /) -> AnswerT:
        """Have a message carried out, and give its answer.

        Raises:
            InvalidArgument: there is a value in it that no such message has; nothing was done.
        """

    def _encode(
        self,
        op: str,
        path: str | None,
        content: object,
        encoding: str = "utf-8",
    ) -> bytes:
        if isinstance(content, bytes):
            return content
        if isinstance(content, bytearray | memoryview):
            return bytes(content)
        if not isinstance(content, str):
            reason = f"{shown(content)} is neither text nor bytes"
            raise InvalidArgument(op, path, reason, scope=self.name, hint="give str or bytes")
        if encoding != "utf-8":
            codec_of(op, path, encoding, self.name)
        try:
            return content.encode(encoding)
        except UnicodeError as exc:  # of "idna" and the like it is no UnicodeEncodeError
            raise DecodeFailed(
                op,
                path,
                f"not text for {encoding}: {exc}",
                scope=self.name,
                hint='bytes are written as they are: text.encode("utf-8", "surrogateescape")',
            ) from None

    def _all_of(self, op: str, what: str, items: Iterable[ItemT]) -> tuple[ItemT, ...]:
        """Several things as a tuple; one text is not taken for its letters."""
        if isinstance(items, Iterable) and not isinstance(items, str | bytes):
            return tuple(items)
        reason = f"{what} is {shown(items)}: it must be a list"
        hint = "for a single one, give a list of one"
        raise InvalidArgument(op, None, reason, scope=self.name, hint=hint)
