"""What everything that takes operations has: a way to ask, and a name to give in errors."""

from __future__ import annotations

from abc import ABC, abstractmethod

from runner.errors import DecodeFailed
from runner.messages import AnswerT, Message


class Asking(ABC):
    """Gives each operation's message to whoever carries it out."""

    __slots__ = ()

    @property
    @abstractmethod
    def name(self) -> str:
        """What errors call it: a scope's path, a backend's root."""

    @abstractmethod
    async def ask(self, message: Message[AnswerT], /) -> AnswerT:
        """Have a message carried out, and give its answer."""

    def _encode(self, op: str, path: str | None, content: str | bytes, encoding: str) -> bytes:
        if isinstance(content, bytes):
            return content
        try:
            return content.encode(encoding)
        except (UnicodeEncodeError, LookupError) as exc:
            raise DecodeFailed(
                op, path, f"not text for {encoding}: {exc}", scope=self.name
            ) from None
