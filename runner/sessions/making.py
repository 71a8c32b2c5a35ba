"""Making sessions: the one place where handle, actor, driver and store are put together."""

from __future__ import annotations

import itertools
import os
import uuid
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import get_args

import attrs
import trio

from runner.actors.supervisor import Supervisor
from runner.agents.driver import Agent, Driver
from runner.agents.registry import make_agent, make_driver
from runner.agents.servers import McpServer, check_servers
from runner.errors import ConfigError
from runner.messages import Isolation
from runner.messages.isolation import Decided
from runner.processes.host import ProcessHost
from runner.scopes.permissions import Grant
from runner.sessions.actor import SessionActor
from runner.sessions.admission import Admission
from runner.sessions.approving import Approvals
from runner.sessions.changes import Scanner
from runner.sessions.giving import (
    check_flags,
    check_id,
    make_approver,
    make_recording,
    make_servers,
)
from runner.sessions.history import History
from runner.sessions.keeping import READY
from runner.sessions.ledger import SessionLedger, ledger_of
from runner.sessions.means import Means
from runner.sessions.opening import make_setup
from runner.sessions.owning import Owners
from runner.sessions.passing import passing_name
from runner.sessions.places import Places
from runner.sessions.ruling import allows_programs, is_guarded
from runner.sessions.session import Session
from runner.sessions.starting import Starter
from runner.sessions.state import OnLost, SessionState
from runner.sessions.store import PROMPT, Store
from runner.watching.patterns import DEFAULT_IGNORE

OWN = ("self", "directory", "id", "recording", "history", "grants")  # what a fork has of its own


@attrs.define(eq=False)
class Sessions:
    """Makes sessions that share a supervisor, a process host, limits and a state directory.

    Attributes:
        state: below it, in `sessions/<id>/`, is what is kept of each session.
        admission: who of them may start a program.
        means: what they share; among it two scans at a time.
        ledger: of the sessions that are kept.
        owners: which of them we own.
    """

    supervisor: Supervisor
    host: ProcessHost
    state: str
    environ: Mapping[str, str] = attrs.field(factory=lambda: dict(os.environ))
    ledger: SessionLedger = attrs.field(
        default=attrs.Factory(
            lambda self: SessionLedger(ledger_of(self.state), patience=PROMPT), takes_self=True
        )
    )
    owners: Owners = attrs.field(
        default=attrs.Factory(lambda self: Owners(self.state), takes_self=True)
    )
    admission: Admission = attrs.field(factory=Admission)
    means: Means = attrs.field(init=False)
    _serial: Iterator[int] = attrs.field(factory=itertools.count)
    _spare: list[SessionActor] = attrs.field(factory=list)
    _places: Places = attrs.field(factory=Places)

    def __attrs_post_init__(self) -> None:
        self.admission.attend(self.supervisor)
        self.means = Means(
            host=self.host,
            environ=self.environ,
            admission=self.admission,
            scans=trio.CapacityLimiter(2),
        )

    def make_session(
        self,
        directory: str,
        agent: Agent | str = "shell",
        *,
        driver: Driver | None = None,
        id: str | None = None,  # noqa: A002 - the session's own word
        timeout: float | None = None,
        silence: float | None = None,
        max_park: float | None = None,
        env: Mapping[str, str] | None = None,
        ignore: Sequence[str] = DEFAULT_IGNORE,
        watch: bool = True,
        idle_after: float = 300.0,
        ready: float = READY,
        durable: bool = True,
        isolation: Isolation | None = None,
        decided: Decided | None = None,
        approvals: Approvals | None = None,
        grants: Sequence[Grant] = (),
        servers: Iterable[McpServer] = (),
        recording: str | os.PathLike[str] | None = None,
        on_lost: OnLost = "error",
        history: History | None = None,
    ) -> Session:
        """Make a session; nothing happens before its first use.

        Args:
            directory: where the agent works, absolute.
            agent: a record, or the name of a built-in agent.
            driver: instead of the agent's own, for agents that are not built in.
            id: of a session to go on with, or for a new one: letters, digits, `.`, `_` and `-`;
                None = a new one.
            timeout: seconds for a turn that does not say otherwise; None = no limit.
            silence: seconds that its program may be silent, likewise (see `Session.send`).
            max_park: seconds that a turn may wait for its provider, likewise.
            env: variables of the directory's scope.
            ignore: patterns of files whose changes do not count, as in a shell with globstar; one
                without a slash is for names at any depth.
            watch: whether a large directory may be watched for changes.
            idle_after: seconds without a turn until its program is ended.
            ready: seconds that its program may take until a turn can be sent.
            durable: whether it is kept: record, transcript, and the right to be its only owner.
                Without, nothing of it is left when it is closed, but for snapshots of its turns.
            isolation: what is to hold its program inside the directory; None = nothing.
            decided: told what the network's proxy decides, if the isolation lists hosts.
            approvals: who decides what the agent asks for, where the grants do not; None = nobody:
                it is refused.
            grants: the permissions of the directory's scope.
            servers: of tools (MCP), which its program is handed besides those of its record.
            recording: the path of a file that is to be made, for the agent `replay`; forks are not
                in it. It is none of the files that a turn says it created. If it cannot be written
                to its end, `Turn.unrecorded` says why.
            on_lost: what is done where its program does not have the conversation any more: "error"
                (`ConversationLost`), or a "fresh" one is begun, which is told the turns so far.
            history: of the directory; None = it has none.

        Raises:
            ConfigError: the agent, the id, the timeout, a server or the recording cannot be used;
                or the grants do not allow all programs, and the agent's does not ask before it runs
                some.
            AgentUnavailable: there are approvals, and the agent's program does not ask; or servers,
                and it takes none.
        """
        servers = check_servers(servers)
        if on_lost not in get_args(OnLost):
            raise ConfigError(f"on_lost={on_lost!r}: it is 'error' or 'fresh'")
        # Whatever else there is to give, a fork gets as well.
        given = {k: v for k, v in locals().items() if k not in OWN}
        record = make_agent(agent) if isinstance(agent, str) else agent
        used = make_driver(record) if driver is None else driver
        name = str(uuid.uuid4()) if id is None else check_id(id)
        check_flags(durable=durable, watch=watch)
        approver = make_approver(record, used, approvals, grants, directory)
        starter = Starter(
            agent=record,
            driver=used,
            means=self.means,
            env=dict(env or {}),
            isolation=isolation,
            decided=decided,
            servers=make_servers(record, used, servers),
            approvals=approver.is_attended and "approvals" in used.abilities,
            guarded=is_guarded(grants),
        )
        recorded = make_recording(recording, record, driver)
        own = "" if recorded is None else recorded.path
        scanner = Scanner(
            directory,
            self.means.scans,
            ignore,
            self._places,
            own=own,
            state=self.state,
            watch=watch,
        )
        pass_on = None
        if durable or not used.process_per_turn:
            setup = ""
            if durable:
                setup = make_setup(
                    record if driver is None else None,
                    env or {},
                    isolation,
                    servers,
                    ignore=scanner.ignore,
                    watch=watch,
                    has_permissions=bool(grants),
                    workspace=None if history is None else history.said,
                )
            state = self._make_state(name, used, directory, setup, durable=durable)
            state.approver, state.is_guarded = approver, not allows_programs(grants)
            state.on_lost = on_lost
            actor = SessionActor(
                state=state, starter=starter, scanner=scanner, idle_after=idle_after, ready=ready
            )
        else:
            actor = self._passing_actor(name, starter, scanner)
            pass_on = partial(self._pass_on, actor)
        actor.state.recording, actor.state.history = recorded, history
        session = Session(
            self.supervisor,
            actor.spec,
            actor.state,
            timeout=timeout,
            silence=silence,
            max_park=max_park,
            pass_on=pass_on,
        )
        if pass_on is None:

            def make(where: str, name: str | None, its: History | None) -> Session:
                moved = [_moved(each, directory, where) for each in grants] if its else grants
                return self.make_session(where, id=name, history=its, grants=moved, **given)

            session.fork_with(used, make)
        return session

    def _make_state(
        self, name: str, driver: Driver, directory: str, setup: str, *, durable: bool
    ) -> SessionState:
        serial, run = next(self._serial), self.host.run_id
        private = self._private(name if durable else passing_name(run, serial))
        return SessionState(
            id=name,
            agent=driver.name,
            directory=directory,
            private=private,
            store=Store(name, private, self.ledger, self.owners, run, setup) if durable else None,
            abilities=driver.abilities,
            max_prompt=driver.max_prompt,
            key=("session", name) if durable else ("session", name, serial),
        )

    def _private(self, name: str) -> str:
        return os.path.join(self.state, "sessions", name)

    # ------------------------------------------------------------ passing sessions

    def _passing_actor(self, name: str, starter: Starter, scanner: Scanner) -> SessionActor:
        """The actor of a session that leaves nothing, whose program lives for a turn.

        It and its private directory are used again and again: nothing of a session is left in them
        between two turns, and making and ending them costs as much as a short turn.
        """
        actor = self._spare.pop() if self._spare else None
        if actor is None:
            serial = next(self._serial)
            private = self._private(passing_name(self.host.run_id, serial))
            key: Hashable = ("session", "passing", serial)
        else:
            private, key = actor.state.private, actor.state.key
        state = SessionState(
            id=name,
            agent=starter.driver.name,
            directory=scanner.directory,
            private=private,
            store=None,
            abilities=starter.driver.abilities,
            max_prompt=starter.driver.max_prompt,
            key=key,
        )
        if actor is None:
            return SessionActor(state=state, starter=starter, scanner=scanner)
        actor.take_over(state, starter, scanner)
        return actor

    def _pass_on(self, actor: SessionActor) -> bool:
        if not actor.is_at_rest:
            return False
        actor.forget_files()
        self._spare.append(actor)
        return True


def _moved(grant: Grant, there: str, here: str) -> Grant:
    """A permission for a directory, as one for another that has the same files."""
    base = grant.base
    if base is not None and (base == there or base.startswith(there.rstrip("/") + "/")):
        return attrs.evolve(grant, base=here + base.removeprefix(there))
    return grant
