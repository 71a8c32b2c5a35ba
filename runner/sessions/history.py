"""What a session asks of its directory where that has a history: the live tree of a workspace.

It is held as long as a program of the session works in it; each turn's end can be a snapshot, to
which the files can be set back, or of which another directory is made. Who gives a session its
directory says how (runtime.py); here is only what is asked.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

from runner.processes.host import ProcessHost

LetGo = Callable[[], Awaitable[object]]


class History(Protocol):
    """The history of one session's directory; all of its errors are RunnerErrors."""

    @property
    def keeps(self) -> bool:
        """Whether each turn's end is to be a snapshot."""
        ...

    @property
    def said(self) -> Mapping[str, str | bool]:
        """By what it is found again, for the session's setup."""
        ...

    async def enter(self, let_go: LetGo) -> tuple[str, ProcessHost | None]:
        """Hold the directory; held already, it is only said again where it is.

        Args:
            let_go: awaited when it is taken away: nothing of the session is in it after that.

        Returns:
            Where its files are reached, and the host whose programs see it; None = any does.
        """
        ...

    async def leave(self) -> None:
        """Hold it no more. May be called again."""
        ...

    async def begin(self, session: str, turn: int, agent: str) -> None:
        """A turn is about to begin: it is written down, and later what it has changed.

        Args:
            session: the session's id.
            turn: the turn's number.
            agent: what the session's program is called.
        """
        ...

    async def end(self, ok: bool | None, about: Mapping[str, str | int | float | None]) -> None:
        """The turn has ended. Without one that has begun nothing happens.

        Args:
            ok: whether it went well; None = it was cut.
            about: what else there is to say of it; empty = it never began.
        """
        ...

    async def keep(
        self, session: str, turn: int, *, description: str = "", anew: bool = False
    ) -> str:
        """Have a snapshot of the files as they are now, as a turn's end; the answer is its name.

        Args:
            session: the session's id.
            turn: the turn's number; 0 = before the first.
            description: for people.
            anew: whether it replaces one that there is already.
        """
        ...

    async def require(self, session: str, turn: int) -> None:
        """See that there is a snapshot of a turn's end; the error says what may have been meant."""
        ...

    async def is_at(self, session: str, turn: int) -> bool:
        """Whether the files are what they were at a turn's end."""
        ...

    async def restore(self, session: str, turn: int, *, force: bool) -> str:
        """Make the files what they were at a turn's end.

        Returns:
            The name of the snapshot of what they were before; empty if they were that already.
        """
        ...

    def again(self) -> History:
        """The same directory, for another session in it."""
        ...

    async def branch(self, session: str, turn: int, name: str | None) -> Branch:
        """Another directory, as this one was at a turn's end, by a name or one that says so."""
        ...


class Branch(Protocol):
    """A directory that was made of a snapshot."""

    @property
    def directory(self) -> str:
        """The session's place in it, absolute."""
        ...

    @property
    def history(self) -> History:
        """Its history."""
        ...

    async def remove(self) -> None:
        """Take it away again."""
        ...
