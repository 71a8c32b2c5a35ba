"""Making sessions: the one place where handle, actor, driver and store are put together."""

from __future__ import annotations

import itertools
import os
import re
import uuid
from collections.abc import Iterator, Mapping, Sequence

import attrs
import trio

from runner.actors.supervisor import Supervisor
from runner.agents.driver import Agent, Driver
from runner.agents.registry import make_agent, make_driver
from runner.errors import ConfigError
from runner.processes.host import ProcessHost
from runner.sessions.actor import READY, session_spec
from runner.sessions.changes import DEFAULT_IGNORE, Scanner
from runner.sessions.session import Session
from runner.sessions.starting import Means, Starter
from runner.sessions.state import SessionState
from runner.sessions.store import Store

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


@attrs.define(eq=False)
class Sessions:
    """Makes sessions that share a supervisor, a process host, limits and a state directory.

    Attributes:
        state: below it, in `sessions/<id>/`, is what is kept of each session.
        means: what they share; by default a start per core at a time, and two scans.
    """

    supervisor: Supervisor
    host: ProcessHost
    state: str
    environ: Mapping[str, str] = attrs.field(factory=lambda: dict(os.environ))
    means: Means = attrs.field(init=False)
    _serial: Iterator[int] = attrs.field(factory=itertools.count)
    _spare: list[str] = attrs.field(factory=list)

    def __attrs_post_init__(self) -> None:
        self.means = Means(
            host=self.host,
            environ=self.environ,
            starts=trio.CapacityLimiter(os.cpu_count() or 1),
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
        env: Mapping[str, str] | None = None,
        ignore: Sequence[str] = DEFAULT_IGNORE,
        idle_after: float = 300.0,
        ready: float = READY,
        durable: bool = True,
    ) -> Session:
        """Make a session; nothing happens before its first use.

        Args:
            directory: where the agent works, absolute.
            agent: a record, or the name of a built-in agent.
            driver: instead of the agent's own, for agents that are not built in.
            id: of a session to go on with, or for a new one: letters, digits, `.`, `_` and `-`;
                None = a new one.
            timeout: seconds for a turn that does not say otherwise; None = no limit.
            env: variables of the directory's scope.
            ignore: patterns of files whose changes do not count.
            idle_after: seconds without a turn until its program is ended.
            ready: seconds that its program may take until a turn can be sent.
            durable: whether it is kept: record, transcript, and the right to be its only owner.
                Without, nothing of it is left when it is closed.

        Raises:
            ConfigError: the agent, the id or the timeout cannot be used.
        """
        record = make_agent(agent) if isinstance(agent, str) else agent
        used = make_driver(record) if driver is None else driver
        name = str(uuid.uuid4()) if id is None else id
        if not _ID.fullmatch(name):
            raise ConfigError(
                f"{name!r} cannot be a session's id: it takes 1 to 100 letters, digits,"
                " dots, underscores and dashes, and begins with a letter or a digit"
            )
        state = self._make_state(name, used, directory, durable=durable)
        spec = session_spec(
            state,
            starter=Starter(agent=record, driver=used, means=self.means, env=dict(env or {})),
            scanner=Scanner(directory, self.means.scans, ignore),
            idle_after=idle_after,
            ready=ready,
        )
        keep = None if durable or not used.process_per_turn else self._spare.append
        return Session(self.supervisor, spec, state, timeout=timeout, give_back=keep)

    def _make_state(
        self, name: str, driver: Driver, directory: str, *, durable: bool
    ) -> SessionState:
        where = os.path.join(self.state, "sessions")
        private = os.path.join(where, name)
        key: tuple[object, ...] = ("session", name)
        if not durable:
            serial = next(self._serial)
            key = ("session", name, serial)
            if driver.process_per_turn:
                # Used again and again: making and removing a directory costs more than a turn.
                private = (
                    self._spare.pop() if self._spare else os.path.join(where, self._passing(serial))
                )
        return SessionState(
            id=name,
            agent=driver.name,
            directory=directory,
            private=private,
            store=Store(private) if durable else None,
            key=key,
        )

    def _passing(self, serial: int) -> str:
        return f"_passing-{self.host.run_id}-{serial}"
