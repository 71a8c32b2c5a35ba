"""The base of every backend: what it has to say, and what it gets for that.

A backend carries out messages (`runner.messages`): `carry_out` takes any of them. For that it gets
the methods of `Operations`, so that it can be used by itself in a trio task: those begin with a
checkpoint. Contract tests for all of it are shipped in `runner.testing.backend_contract`.

Rules that every backend keeps: a good answer is the message's answer type; a failure is an
OperationError that carries the caller's path as it was written, and no OSError, ValueError or
UnicodeError of the standard library leaves; a cancelled effect has happened or has not, and nothing
goes on after `carry_out` was left.

Backends know nothing of actors or of order: whoever uses one from several tasks brings the order.
"""

from __future__ import annotations

import enum
import functools
from abc import abstractmethod
from collections.abc import Callable
from typing import Any, Final, NoReturn

import trio

from runner.backends.straight import Resolved
from runner.errors import ConfigError, Destroyed
from runner.messages import AnswerT, Message
from runner.operations import Operations
from runner.operations.op_names import op_name, subject_of
from runner.operations.soundness import require_sound
from runner.operations.status import Life, Status, Watcher


class Later(enum.Enum):
    """That an operation is none of those that can be answered at once."""

    LATER = "later"


LATER: Final = Later.LATER


class Backend(Operations):
    """Where files and processes are. Paths, bytes and answers are those of `runner.messages`."""

    __slots__ = ()

    @abstractmethod
    async def carry_out(self, message: Message[AnswerT], /) -> AnswerT:
        """Carry out a message; whoever calls this makes the checkpoint."""

    def answer_now(self, message: Message[AnswerT], /) -> AnswerT | Later:
        """Carry out a message whose work is short, without a checkpoint; LATER if it is not."""
        return LATER

    def holds(self) -> bool:
        """Whether there is something that `aclose` would end: a program, an open stream."""
        return False

    @abstractmethod
    async def aclose(self) -> None:
        """Let go of what the backend holds; it may be used again afterwards."""

    def straight(self) -> Backend:
        """The same files, in which no link is followed: for who decides by names.

        Raises:
            ConfigError: this backend has no such view.
        """
        raise ConfigError(f"{self.name} cannot be used with permissions: give them to what it uses")

    def resolve(self, op: str, path: str, *, entry: bool = False) -> Resolved:
        """Where a path leads, links followed; short work, without a checkpoint.

        Args:
            op: the operation, for errors.
            path: as the caller wrote it.
            entry: the operation is on the entry itself, also if that is a link.

        Raises:
            PathEscapes, InvalidPath: the path leads out, or is none.
        """
        raise ConfigError(f"{self.name} cannot be used with permissions: give them to what it uses")

    @functools.cached_property
    def life(self) -> Life:
        """Its status, for whoever keeps it; what is on this machine is always connected."""
        return Life()

    @property
    def status(self) -> Status:
        """Whether operations can be carried out."""
        return self.life.status

    def on_status_change(self, watcher: Watcher) -> Callable[[], None]:
        """Have someone told of every change of the status; returns how to end that."""
        return self.life.on_change(watcher)

    async def destroy(self) -> None:
        """Close it for good: from now on every operation is refused as `Destroyed`.

        Operations on files that were begun come to their end, programs are ended. Others on the
        same files are untouched. May be called again.
        """
        # In the object itself, so that operations of those that live pay nothing for it.
        vars(self).update(ask=self._refuse, carry_out=self._refuse, answer_now=self._refuse_now)
        self.life.become(Status.DESTROYED)
        await self.aclose()

    async def _refuse(self, message: Message[AnswerT], /) -> AnswerT:
        await trio.lowlevel.checkpoint()
        self._refuse_now(message)

    def _refuse_now(self, message: Message[Any], /) -> NoReturn:
        raise Destroyed(op_name(type(message)), subject_of(message), scope=self.name)

    async def ask(self, message: Message[AnswerT], /) -> AnswerT:
        """Have a message carried out, after a checkpoint."""
        require_sound(message, self.name)
        await trio.lowlevel.checkpoint()
        answer = self.answer_now(message)
        return await self.carry_out(message) if isinstance(answer, Later) else answer
