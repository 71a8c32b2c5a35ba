"""Preparing a process for a session: what it finds, what it is told, which conversation it is in.

Everything that can be wrong is found here, before anything is started.
"""

from __future__ import annotations

import glob
import os
import uuid
from collections.abc import Callable, Mapping
from contextlib import nullcontext

import attrs
import trio

from runner.agents.driver import PLAIN, Agent, Driver, Launch, Origin, Setting, TurnOptions
from runner.agents.events import Event
from runner.agents.servers import McpServer
from runner.errors import AgentError
from runner.messages import Isolation
from runner.messages.isolation import Decided
from runner.processes.sweep import SESSION_TAG
from runner.scopes.redaction import secret_values
from runner.sessions.confining import check_needs
from runner.sessions.credentials import Blanks, plain_of
from runner.sessions.forking import origin_of
from runner.sessions.linking import make_links
from runner.sessions.means import Means
from runner.sessions.private import age_files, copy_files, make_private, seed, write_files
from runner.sessions.program import Program, ignore
from runner.sessions.state import SessionState
from runner.sessions.traffic import Traffic
from runner.sessions.versions import find_program


@attrs.frozen(kw_only=True)
class Starter:
    """How a session's program is started.

    Attributes:
        env: variables of the session's scope; the driver's own win.
        isolation: what is to hold the program inside that scope, and the session's private
            directory; None = nothing.
        decided: told what the network's proxy decides.
        servers: of tools, which the program is handed.
        approvals: somebody decides what the program asks for.
        guarded: it is to ask before every command.
    """

    agent: Agent
    driver: Driver
    means: Means
    env: Mapping[str, str]
    isolation: Isolation | None = None
    decided: Decided | None = None
    servers: tuple[McpServer, ...] = ()
    approvals: bool = False
    guarded: bool = False

    async def check_program(
        self, state: SessionState, turn: int, prompt: str, options: TurnOptions = PLAIN
    ) -> None:
        """See whether there is a program for a turn, before anything of it is begun.

        Where nothing is kept, a program that serves one turn says so itself when it is started.

        Raises:
            AgentUnavailable: there is none, or it is too old.
            ConfigError: the prompt cannot be given to the program.
        """
        if state.store is None and self.driver.process_per_turn:
            return
        launch = self.driver.launch(self._setting(state, turn, prompt, options, Blanks()))
        env = self.means.environment(launch.pass_env, {**self.env, **dict(launch.env)})
        path = self._find(state, launch, plain_of(env))
        held = self._isolation(state.private, None)
        await self.means.versions.check(self.agent, path, state.directory, held)
        if state.store is not None:
            state.record.program_sha256 = await self.means.digests.of(path)

    async def copy_origin(
        self, state: SessionState, turn: int, prompt: str, options: TurnOptions = PLAIN
    ) -> None:
        """Copy what the program is to find of the conversation that is forked, which may be much.

        Raises:
            AgentError: it cannot be.

        Cancellation: between two files.
        """
        if origin_of(state.record) is None:
            return
        launch = self.driver.launch(self._setting(state, turn, prompt, options, Blanks()))
        try:
            await trio.to_thread.run_sync(copy_files, launch.copies, limiter=self.means.scans)
        except OSError as exc:
            raise _unusable(state.private, exc) from exc

    def make_program(
        self,
        state: SessionState,
        turn: int,
        prompt: str,
        on_event: Callable[[Program, Event], None],
        options: TurnOptions = PLAIN,
        *,
        is_nested: bool = False,
    ) -> Program:
        """Prepare a process; nothing runs yet.

        Args:
            state: of the session.
            turn: the number of the turn.
            prompt: of the turn, for a program that serves one only.
            on_event: gets all that the program says.
            options: what holds for the turn.
            is_nested: it will make a sandbox of its own inside our isolation.

        Raises:
            AgentUnavailable: there is no such program.
            AgentError: the private directory cannot be used.
            ConfigError: the prompt cannot be given to the program, or the recording not be made.
            LedgerError: that it is about to be started cannot be written.
        """
        self._name_conversation(state)
        blanks, store = Blanks(), state.store
        setting = self._setting(state, turn, prompt, options, blanks, is_nested=is_nested)
        launch = self.driver.launch(setting)
        env = self.means.environment(launch.pass_env, {**self.env, **dict(launch.env)})
        self._prepare(state, launch, plain_of(env))
        if state.recording is not None:
            state.recording.prepare(setting)
        if store is not None:
            env[SESSION_TAG] = state.id  # by which whoever comes after us finds what we leave
            state.record.program = launch.argv[0]
            store.begin_process()
        return Program(
            host=state.host or self.means.host,
            launch=launch,
            ladder=self.driver.ladder,
            cwd=state.reached or state.directory,
            env=env,
            billing=getattr(self.agent, "billing", "any"),
            hidden=secret_values({name: str(env.get(name, "")) for name in launch.pass_env}),
            conversation=self.driver.conversation(setting),
            blanks=blanks,
            traffic=Traffic(state.recording),
            pace=self.means.pace,
            together=nullcontext() if store is None else store.transcript,
            on_event=on_event,
            on_started=ignore if store is None else store.set_pid,
            on_gone=ignore if store is None else store.end_process,
            isolation=self._isolation(state.private, setting.origin),
            decided=self.decided,
        )

    def _name_conversation(self, state: SessionState) -> None:
        """Give a conversation that is to begin an id: one that may be known cannot begin again."""
        record = state.record
        if not self.driver.process_per_turn and not record.resume:
            record.conversation = str(uuid.uuid4())
            state.save()

    def _setting(
        self,
        state: SessionState,
        turn: int,
        prompt: str,
        options: TurnOptions,
        blanks: Blanks,
        *,
        is_nested: bool = False,
    ) -> Setting:
        record = state.record
        return Setting(
            cwd=state.directory,
            private=state.private,
            conversation=record.conversation,
            resume=record.resume,
            history=self._history(state),
            real=os.path.realpath(state.directory) if record.resume else "",
            prompt=prompt,
            turn=turn,
            options=options,
            servers=blanks.leave(self.servers),
            approvals=self.approvals,
            files="files" in self.driver.abilities and not self._is_held,
            guarded=self.guarded,
            nested=is_nested,
            origin=origin_of(record),
        )

    def _history(self, state: SessionState) -> str:
        """The program's own file of the conversation that it goes on with."""
        record = state.record
        if not record.resume:
            return ""
        pattern = self.driver.history(glob.escape(state.private), record.conversation)
        return max(glob.glob(pattern), key=_changed, default="") if pattern else ""

    @property
    def _is_held(self) -> bool:
        return self.isolation is not None and self.isolation.mode != "none"

    def _isolation(self, private: str, origin: Origin | None) -> Isolation | None:
        held = self.isolation
        if held is None or not os.path.isdir(private):
            return held
        seen = () if origin is None else (os.path.dirname(origin.history),)
        return attrs.evolve(
            held, writable=(*held.writable, private), readable=(*held.readable, *seen)
        )

    def _find(self, state: SessionState, launch: Launch, env: Mapping[str, str]) -> str:
        path = env.get("PATH")
        found = find_program(self.driver.name, launch.argv[0], state.directory, path)
        check_needs(self.driver.name, launch.needs, path)
        return found

    def _prepare(self, state: SessionState, launch: Launch, env: Mapping[str, str]) -> None:
        private = state.private
        try:
            if not self.driver.process_per_turn:  # for these, the start itself says it as well
                self._find(state, launch, env)
                make_private(private)
            write_files(private, launch.files)
            seed(self.agent, env)
            age_files(launch.aged)
            make_links(launch.links)
        except OSError as exc:
            raise _unusable(private, exc) from exc


def _unusable(private: str, exc: OSError) -> AgentError:
    return AgentError(f"the session's directory {private!r} cannot be used: {exc}")


def _changed(path: str) -> float:
    try:
        return os.stat(path).st_mtime
    except OSError:
        return 0.0
