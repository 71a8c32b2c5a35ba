"""The way from a session's handle to its actor: all that is asked goes along it, until it closes.

Nothing is asked of a session that another process owns. Closing is done once: the actor ends, or is
passed on to another session, and the session is given up.

What is not here: what can be asked (session.py, turn.py).
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import attrs
import trio

from runner.actors.child_spec import ChildSpec
from runner.actors.supervisor import Supervisor
from runner.errors import ActorError, RunnerError, SessionClosed
from runner.messages import AnswerT, Message
from runner.sessions.phases import Input
from runner.sessions.state import SessionState
from runner.sessions.turn import Close

# How long closing may take: every rung of the longest ladder, and the force after it.
CLOSING = 30.0


@attrs.define(eq=False)
class Way:
    """The way to one session's actor.

    Attributes:
        supervisor: of the actor.
        spec: of the actor.
        state: of the session.
        pass_on: gives the actor to another session, if it is at rest; whether it was.
        is_closed: nothing is asked any more.
    """

    supervisor: Supervisor
    spec: ChildSpec
    state: SessionState
    pass_on: Callable[[], bool] | None = None
    is_closed: bool = False
    _was_used: bool = False
    _asking: int = 0  # messages that have no answer yet

    async def claim(self) -> None:
        """Own the session, if it is kept.

        Raises:
            AgentError: another process, or another handle of this one, owns it.
        """
        if self.state.store is not None:
            await self.state.store.claim()

    async def ask(self, message: Message[AnswerT]) -> AnswerT:
        """Ask the actor, which is started if need be.

        Raises:
            SessionClosed: this was closed.
            RunnerError: see `Session.send`.
        """
        await self.claim()
        self.require_open()
        self._was_used = True
        self._asking += 1
        try:
            return await self.supervisor.ask(self.spec, message)
        except ActorError:
            self.pass_on = None  # its crashes are counted, and shall not count for others
            raise
        finally:
            self._asking -= 1

    def require_open(self) -> None:
        """See that it is not closed.

        Raises:
            SessionClosed: it is.
        """
        if self.is_closed:
            raise self._closed()

    async def close(self) -> None:
        """End the actor, and give the session up.

        Cancellation: the closing goes on to its end, which is bounded.
        """
        if self.is_closed:
            await trio.lowlevel.checkpoint()
            return
        self.is_closed = True
        state = self.state
        try:
            if not self._is_passed_on() and self._was_used:
                with trio.move_on_after(CLOSING, shield=True):
                    await self._end_actor()
        finally:
            state.step(Input.CLOSE)
            state.step(Input.DOWN)
            state.followers.close()
            if state.store is not None:
                state.store.close()

    def _is_passed_on(self) -> bool:
        """Whether the actor goes on with another session, as nothing of this one does."""
        return not self._asking and self.pass_on is not None and self.pass_on()

    async def _end_actor(self) -> None:
        with suppress(RunnerError):  # it never came to be, or has ended: that is what is wanted
            await self.supervisor.ask(self.spec, Close())
        await self.supervisor.end(self.spec.key, self._closed())

    def _closed(self) -> SessionClosed:
        return SessionClosed(f"the session {self.state.id!r} is closed")
