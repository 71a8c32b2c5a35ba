"""The program of a session: started, waited for, ended. One at a time; for one incarnation.

    make ──► start ──► ready ──► … ──► end
      └────── begin ─────┘              ▲ or by itself

Everything that changes which program a session has lives here. It is run by a task of the actor's
nursery, whoever wanted it. What is not here: the process itself (program.py), what is to be found
before it starts (starting.py), and what it is used for (turning.py).
"""

from __future__ import annotations

import contextvars
import glob
import os
from collections.abc import Callable

import attrs
import trio

from runner.agents.driver import PLAIN, TurnOptions
from runner.agents.events import Event
from runner.errors import ConversationLost, NotFound
from runner.sessions.confining import check_confinement
from runner.sessions.forgetting import told_again
from runner.sessions.forking import lose, lost_nothing
from runner.sessions.linking import remove_links
from runner.sessions.phases import Input
from runner.sessions.private import remove_files
from runner.sessions.program import Program
from runner.sessions.starting import Starter
from runner.sessions.state import SessionState

# How long a program may take from its start until a turn can be sent: 32 claudes at once on two
# cores took 22 s (measured), and there is a limiter of starts.
READY = 60.0
# How long the end of a tree may take after SIGKILL before we go on without it.
FORCE = 10.0


@attrs.define(eq=False, kw_only=True)
class Keeper:
    """Who has the program of a session.

    Attributes:
        on_event: told what the program says, in its task; must not wait.
        on_end: told when it has ended, in its task.
        ready: seconds that a program may take until a turn can be sent.
        program: the one that there is, or was in the last turn.
    """

    state: SessionState
    starter: Starter
    on_event: Callable[[Event], None]
    on_end: Callable[[], None]
    ready: float = READY
    program: Program | None = None
    forgotten: str = ""  # a note for the program that was started last: what it has lost
    _is_nested: bool = False  # a program that is started makes its sandbox inside our isolation
    _nursery: trio.Nursery | None = None
    _context: contextvars.Context | None = None

    def move_in(self, nursery: trio.Nursery) -> None:
        """Have a nursery for programs from now on: an incarnation begins."""
        self._nursery = nursery
        self._context = contextvars.copy_context()  # so that no caller's gets into a program

    @property
    def is_per_turn(self) -> bool:
        """Whether each program serves one turn only."""
        return self.starter.driver.process_per_turn

    def living(self) -> Program | None:
        """The program, if it lives."""
        program = self.program
        return None if program is None or program.ended.is_set() else program

    def make(self, turn: int, prompt: str, options: TurnOptions = PLAIN) -> Program:
        """Prepare a program; nothing runs yet.

        Raises:
            RunnerError: see `Starter.make_program`.
        """
        self.program = program = self.starter.make_program(
            self.state, turn, prompt, self._happened, options, is_nested=self._is_nested
        )
        return program

    async def check_program(self, turn: int, prompt: str, options: TurnOptions = PLAIN) -> None:
        """See whether a program could be started now, unless one lives.

        Raises:
            RunnerError: see `Starter.check_program`.
        """
        if self.living() is None:
            await self.starter.check_program(self.state, turn, prompt, options)

    async def check_confinement(self, options: TurnOptions) -> None:
        """See whether a program can be held to the turn's access, before one is started.

        Raises:
            AgentUnavailable: it cannot be.
        """
        starter = self.starter
        host = self.state.host or starter.means.host
        self._is_nested = await check_confinement(starter.agent, options, starter.isolation, host)

    async def check(self, turn: int, prompt: str, options: TurnOptions = PLAIN) -> None:
        """See whether a turn can be begun, before anything is done about it.

        Raises:
            NotFound: the session's directory is gone.
            RunnerError: see the three checks below.
        """
        self._check_directory()
        self.check_known()
        await self.check_confinement(options)
        await self.check_program(turn, prompt, options)

    def _check_directory(self) -> None:
        directory = self.state.directory
        if not os.path.isdir(self.state.reached or directory):
            reason = "the session's directory is gone"
            raise NotFound("send", directory, reason, hint="make it again, and go on")

    def check_known(self) -> None:
        """See whether the program can go on with the conversation: it has a file of it.

        If it has none, another is begun where that was asked for, or nothing good was in it. It is
        not looked for while the program lives, nor where it is not known what file that is.

        Raises:
            ConversationLost: it has none.
        """
        record, state = self.state.record, self.state
        if not record.resume or self.is_per_turn or self.living() is not None:
            return
        state.step(Input.FOUND)
        private = glob.escape(state.private)
        pattern = self.starter.driver.history(private, record.conversation)
        if pattern and not glob.glob(pattern):
            state.step(Input.LOST)
            self._begin_anew(f"there is no file {pattern!r}")

    def _begin_anew(self, reason: str) -> None:
        """Have another conversation instead of one that the program does not have, if that may be.

        Raises:
            ConversationLost: it may not.
        """
        record, state = self.state.record, self.state
        if not record.last_good:
            lost_nothing(record)
        elif state.on_lost == "fresh":
            self.on_event(lose(record, reason, is_kept=state.store is not None))
        else:
            raise ConversationLost(
                f"the program of the session {state.id!r} does not have the conversation"
                f" {record.conversation!r} any more: {reason}; bring it back, or have a fresh one"
                " begun that is told of it (on_lost='fresh'), or fork this session"
            )
        state.step(Input.FRESH)

    async def start(self, program: Program) -> None:
        """Give a program its task; it has been started when this returns.

        Raises:
            AgentUnavailable: it cannot be.
        """
        assert self._nursery is not None
        assert self._context is not None
        self.starter.means.admission.lives(self.state)
        self._context.run(self._nursery.start_soon, self._be_program, program)
        await program.started.wait()
        if program.failure is not None:
            raise program.failure
        self.state.pid = program.pid

    async def begin(
        self, turn: int, prompt: str, options: TurnOptions = PLAIN
    ) -> tuple[Program, bool]:
        """Start a program that lives over many turns; whether a turn can be sent to it.

        Raises:
            ConversationLost: it says that it does not have the conversation.
            RunnerError: it cannot be started.
        """
        while True:
            # Before it is made: what is made and never started would be waited for.
            means = self.starter.means
            self.forgotten = await told_again(self.state, self.starter.driver, means.scans)
            await self.starter.copy_origin(self.state, turn, prompt, options)
            program = self.make(turn, prompt, options)
            await self.start(program)
            with trio.move_on_after(self.ready):
                await program.ready.wait()
            lost = getattr(program.conversation, "lost", "")
            if not (lost and self.state.record.resume):
                break
            self.state.step(Input.LOST)
            await self.end_shielded()
            await trio.lowlevel.checkpoint_if_cancelled()
            self._begin_anew(lost)
            self.state.step(Input.TURN)
        is_ready = program.conversation.ready and not program.ended.is_set()
        if is_ready:
            self.state.step(Input.READY)
        return program, is_ready

    async def end(self) -> None:
        """End the program if it lives, politely at first. Shield this, until `bound` at least."""
        program = self.living()
        if program is not None:
            await program.end()

    async def end_shielded(self) -> None:
        """End it, whatever becomes of the caller meanwhile."""
        with trio.CancelScope(shield=True, deadline=self.bound()):
            await self.end()

    def bound(self) -> float:
        """By when, on trio's clock, a turn that is interrupted now and its program have ended."""
        program = self.program
        patience = 0.0 if program is None else program.interrupt_patience + program.patience
        return trio.current_time() + patience + FORCE

    def _happened(self, program: Program, event: Event) -> None:
        if self.program is program:
            self.on_event(event)

    async def _be_program(self, program: Program) -> None:
        self.state.starts += 1
        try:
            await program.run()
        finally:
            self.starter.means.admission.gone(self.state.key)
            remove_links(program.launch.links)
            if self.is_per_turn:
                remove_files(program.launch.files)
            if self.program is program:
                self.state.pid = None
                self.state.step(Input.ENDED)
                self.on_end()
