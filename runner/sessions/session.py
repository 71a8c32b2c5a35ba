"""A session: the caller's handle on a conversation with one agent program in one directory.

`send` is one turn. Turns are carried out one at a time, in the order in which they were asked for.
The program is started at the first turn, ended when it is idle, and brought back by resuming the
conversation: the caller notices nothing but time. Whatever goes wrong in a turn is in its `Turn`.

Closing is the caller's: `async with`, or `aclose`. What is kept of a session stays; a session that
is opened by the same id later, also in another process, goes on with the conversation.

What it does not do: reach the actor (way.py), own the program or start it (the actor does), or
decide the order (actors/).
"""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Self

import trio

from runner.actors.child_spec import ChildSpec
from runner.actors.supervisor import Supervisor
from runner.agents.driver import Access, Driver
from runner.agents.events import ApprovalAsked, Decision, Rewound
from runner.errors import ConfigError, SessionBusy
from runner.sessions.approving import REFUSED
from runner.sessions.branching import branch_for
from runner.sessions.followers import FOLLOWER_BUFFER, Follower
from runner.sessions.following import follow
from runner.sessions.forking import find_forked, prepare_fork
from runner.sessions.history import History
from runner.sessions.sending import check_seconds, make_options, make_send
from runner.sessions.state import SessionState, SessionStatistics
from runner.sessions.turn import Interrupt, Rewind, Steer, Turn, Warm, WhenBusy
from runner.sessions.way import Way


class Session:
    """A conversation with one agent program in one directory.

    Attributes:
        id: by which it can be opened again.
    """

    def __init__(
        self,
        supervisor: Supervisor,
        spec: ChildSpec,
        state: SessionState,
        *,
        timeout: float | None = None,
        silence: float | None = None,
        max_park: float | None = None,
        pass_on: Callable[[], bool] | None = None,
    ) -> None:
        """Make a handle; nothing happens yet.

        Args:
            supervisor: of the session's actor.
            spec: of that actor.
            state: what the two share.
            timeout: seconds for a turn that does not say otherwise; None = no limit.
            silence: seconds that its program may be silent, likewise.
            max_park: seconds that it may wait for its provider, likewise.
            pass_on: gives the actor to another session, if it is at rest; whether it was.
        """
        self.id: str = state.id
        self._state = state
        self._way = Way(supervisor, spec, state, pass_on)
        self._timeout = check_seconds("a timeout", timeout)
        self._silence = check_seconds("a silence", silence)
        self._max_park = check_seconds("a max_park", max_park)
        self._sending = 0  # turns that have no answer yet
        self._driver: Driver | None = None
        self._make: Callable[[str, str | None, History | None], Session] | None = None

    async def send(
        self,
        prompt: str,
        *,
        timeout: float | None = None,
        silence: float | None = None,
        max_park: float | None = None,
        when_busy: WhenBusy = "queue",
        access: Access | None = None,
        schema: Mapping[str, object] | None = None,
    ) -> Turn:
        """Carry out one turn.

        Args:
            prompt: reaches the agent verbatim; not empty. After a turn that was cut off, one
                sentence that says so stands before it.
            timeout: seconds for the whole turn, from the moment it is its turn (but for waiting
                until the machine has room for another start); then it is ended, politely at first,
                which may take some seconds more. None = the session's own.
            silence: seconds that its program may give no sign of life; then the turn is interrupted
                and begun again, the next time the program is ended and another goes on, and at last
                the turn fails as `stalled` (`Turn.rungs` has what was done). Five times as long for
                a tool at work that uses no processor time, and for a program that does but says
                nothing; waiting for a decision is no silence. None = the session's own.
            max_park: seconds that the turn may wait in all for a provider that limits it and says
                when it allows more: without a program and beside its timeout; then its prompt is
                sent again, which the agent is told. A limit that is reset later, or nobody knows
                when, is the error `rate_limited`. None = the session's own.
            when_busy: what to do if a turn is in flight or waits: "queue" behind all of them;
                "steer": into the turn in flight, whose answer this is then as well, or else queue;
                "interrupt" the turn in flight, and be next; or "refuse".
            access: what the agent may do in this turn; None = as always. A program that does not
                take it with a turn is ended, and another goes on.
            schema: the JSON schema of the final answer, which `Turn.structured` then is. The agent
                is told if its program knows schemas; kept to it is in any case.

        Raises:
            ConfigError: there is no prompt, or another value cannot be used.
            SessionBusy: it was to be refused.
            AgentUnavailable: the agent's program is not there, or cannot be steered or held to the
                access; nothing was started.
            NotFound: the session's directory is gone; nothing was started.
            ConversationLost: its program does not have the conversation any more.
            AgentError: another process owns the session, or its record cannot be used.
            SessionClosed: it was closed.
            ActorError: see `runner.errors`.

        Cancellation: the turn is interrupted, and ended by force if that does not help, before this
        leaves. The next turn goes on with the conversation.
        """
        seconds = self._timeout if timeout is None else check_seconds("a timeout", timeout)
        quiet = self._silence if silence is None else check_seconds("a silence", silence)
        park = self._max_park if max_park is None else check_seconds("a max_park", max_park)
        message = make_send(
            self._state,
            prompt,
            timeout=seconds,
            silence=quiet,
            max_park=park,
            when_busy=when_busy,
            options=make_options(self._state, access, schema),
        )
        if self._sending and when_busy == "refuse":
            raise SessionBusy(f"the session {self.id!r} has a turn in flight")
        is_steering = self._sending and when_busy == "steer"
        self._sending += 1
        try:
            turn = await self._way.ask(Steer(prompt=prompt)) if is_steering else None
            if turn is None:
                with self._state.arrivals.sending(message):
                    turn = await self._way.ask(message)
            return turn
        finally:
            self._sending -= 1

    async def prewarm(self) -> bool:
        """Have the program wait for the next prompt, which then need not wait for its start.

        Returns:
            Whether one waits now; a program that lives for one turn only cannot.

        Raises:
            AgentUnavailable: it is not there, or did not get ready.
            RunnerError: as for `send`.
        """
        return await self._way.ask(Warm())

    def approvals(self) -> tuple[ApprovalAsked, ...]:
        """What the agent has asked for that waits for a decision, the oldest first."""
        return self._state.approver.open

    async def decide(self, approval: str, decision: Decision | bool) -> bool:
        """Decide what the agent has asked for.

        Args:
            approval: its id.
            decision: whether it may, or more than that.

        Returns:
            Whether it still waited for that.

        Raises:
            AgentUnavailable: the program takes no other input than it asked for.
        """
        await trio.lowlevel.checkpoint()
        if isinstance(decision, bool):
            decision = Decision(allow=decision, message="" if decision else REFUSED)
        return self._state.approver.decide(approval, decision)

    async def interrupt(self) -> bool:
        """End the turn in flight, or the one that is about to begin; `send` gives what it came to.

        Returns:
            Whether there was one to end. It may still be about to end when this returns.
        """
        if not self._sending:
            await trio.lowlevel.checkpoint()
            return False
        return await self._way.ask(Interrupt())

    @asynccontextmanager
    async def events(
        self, *, since: int | None = None, buffer: int = FOLLOWER_BUFFER
    ) -> AsyncGenerator[Follower, None]:
        """Follow what happens, from now on, or from any moment of the session's life on.

        A follower that is slow slows nobody: when its buffer is full, further events are dropped
        for it and counted in its `dropped`; one that follows from a cursor gets them from the
        transcript, without a gap and without a double; of what the disk had no room for, it is
        told how much is missing (`SessionEvent.lost`). It ends when the session is closed.

        Args:
            since: the `cursor` of the last event that is known; 0 = from the start of the session;
                None = from now on.
            buffer: how many events may wait.

        Raises:
            ConfigError: the cursor is none of this session, or the session is not kept; or the
                buffer cannot be had.
            AgentError: with a cursor, when another process owns the session.
        """
        await trio.lowlevel.checkpoint()
        follower = await follow(self._state, since, buffer)
        try:
            yield follower
        finally:
            self._state.followers.remove(follower)

    def fork_with(
        self, driver: Driver, make: Callable[[str, str | None, History | None], Session]
    ) -> None:
        """Be told how a session is made that is like this one, by directory, id and history."""
        self._driver, self._make = driver, make

    async def rewind(
        self, turn: int, files: bool = True, conversation: bool = True, *, force: bool = False
    ) -> Rewound:
        """Set the session back to the end of a turn: its files, its conversation, or both.

        Its program is ended, and goes on with the next prompt. The conversation goes on as that of
        a fork would, under this session's id; the later turns stay, and one can go back to them
        likewise. If only one of the two is set back, the program is told so before that prompt.
        Whoever is killed meanwhile finds both as they were, or as they were to be.

        Args:
            turn: its number; 0 = before the first.
            files: whether the files are restored from the snapshot of that turn's end: of a session
                in a workspace, made with `snapshots="turn"`. What they were is in a snapshot, too.
            conversation: whether the conversation is set back.
            force: whether changes may be replaced that are in no snapshot and no commit.

        Raises:
            ConfigError: there is no such turn, or it has not ended; there are no snapshots of the
                files; or the session is not kept.
            SessionBusy: a turn is in flight, or waits.
            SnapshotNotFound: there is none of that turn's end.
            UncommittedChanges: the files have changes since the last turn that are in no snapshot.
            RunnerError: as for `send`. Nothing was done, in any of these cases.
        """
        if self._sending:
            await trio.lowlevel.checkpoint()
            what = f"the session {self.id!r} has a turn in flight, or one that waits"
            raise SessionBusy(f"{what}: interrupt it, or wait for its end, and then set it back")
        message = Rewind(turn=turn, files=files, conversation=conversation, force=force)
        return await self._way.ask(message)

    async def fork(
        self,
        at: int | None = None,
        directory: str | os.PathLike[str] | None = None,
        *,
        id: str | None = None,  # noqa: A002 - the session's own word
        workspace: str | None = None,
    ) -> Session:
        """Make a session that goes on from where this one was after a turn; this one stays.

        Where the program can, it makes the copy, when the fork's first turn is sent; else the turns
        so far stand as text before that turn's prompt. The fork has files, options and turns of its
        own; closing it is the caller's. If this session's turns are in snapshots of its workspace,
        it works in a new workspace, with the files as they were at the end of that turn.

        Args:
            at: the number of the last turn that it is to have; None = the last one that has ended.
            directory: where it works instead; None = in that workspace, or, where there are no
                snapshots, in the same directory, whose files are as they are.
            id: its id; None = a new one.
            workspace: the name of that workspace; None = one that says what it is from.

        Raises:
            ConfigError: there is no such turn, or it has not ended; the id is taken; the session is
                not kept; or a workspace is named, and there are no snapshots.
            SnapshotNotFound: there is none of that turn's end.
            WorkspaceExists, InvalidName: of the workspace's name.
            RunnerError: as for `send`.
        """
        await trio.lowlevel.checkpoint()
        store = self._state.store
        if store is None or self._make is None or self._driver is None:
            raise ConfigError("a session that is not kept cannot be forked")
        self._way.require_open()
        record = await self._state.load()
        turn = find_forked(store, record, at)
        async with branch_for(self._state, turn.number, directory, workspace) as (where, history):
            fork = self._make(where, id, history)
            kept = fork._state.store  # noqa: SLF001 - one of us
            assert kept is not None
            try:
                await prepare_fork(store, record, self._driver, turn, fork=kept, directory=where)
            except BaseException:
                await fork.aclose()
                raise
        return fork

    @property
    def directory(self) -> str:
        """Where its program works, absolute."""
        return self._state.directory

    async def aclose(self) -> None:
        """End the turn in flight and the program, and give the session up. May be called again.

        Cancellation: the closing goes on to its end, which is bounded.
        """
        await self._way.close()

    def statistics(self) -> SessionStatistics:
        """The session at this moment."""
        return self._state.statistics()

    async def __aenter__(self) -> Self:
        """Own the session.

        Raises:
            AgentError: another process, or another handle of this one, owns it.
        """
        await trio.lowlevel.checkpoint()
        await self._way.claim()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        return f"<Session {self._state.said}>"
