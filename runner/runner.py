"""What a runner is for who uses it: scopes, projects, sessions and batches under supervision.

A call makes a handle, and nothing happens yet; what is asked of the handle goes as a message to the
actor that one of the three supervisors has, or starts, for it.

What is not here: how a runner is begun and left, and from which parts it is made (runtime.py).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Literal

import attrs
import trio

from runner.actors import Supervisor
from runner.actors.instruments import SupervisorStatistics
from runner.agents.billing import Billing
from runner.agents.driver import (
    Agent,
    Driver,
    ShellAgent,
)
from runner.agents.registry import make_agent
from runner.agents.secret import Value
from runner.agents.servers import McpServer
from runner.agents.varying import vary
from runner.backends.base import Backend
from runner.backends.beneath import directory_named
from runner.backends.local import LocalBackend
from runner.config import RunnerConfig
from runner.errors import ConfigError
from runner.jobs.batch import run_plan
from runner.jobs.prepare import prepare
from runner.jobs.progress import Control, Observer, Report
from runner.jobs.spec import Batch
from runner.messages import InForce, Isolation
from runner.messages.isolation import Decided, narrowed
from runner.processes.host import ProcessHost
from runner.processes.isolation.trial import try_isolation
from runner.scopes.making import NO_ENV, make_scope
from runner.scopes.operation_log import OperationLog
from runner.scopes.permissions import Permissions, Ruleset
from runner.scopes.permitted import PermittedBackend
from runner.scopes.presets import PresetName
from runner.scopes.safety import Lint, OnDangerous, Policy
from runner.scopes.scope import Asker, Ground, Scope
from runner.scopes.worker import WorkerAsker
from runner.sessions.admission import AdmissionStatistics
from runner.sessions.approving import Approvals
from runner.sessions.builds import Build
from runner.sessions.making import Sessions
from runner.sessions.session import Session
from runner.sessions.state import OnLost
from runner.workspaces.project import Project
from runner.workspaces.projects import Projects
from runner.workspaces.tenant import Tenant
from runner.workspaces.workspace import Workspace


@attrs.frozen(kw_only=True)
class RunnerStatistics:
    """A runner at one moment.

    Attributes:
        workers: the actors of scopes.
        sessions: the actors of sessions.
        workspaces: the actors of workspaces.
        programs: of those sessions: which live, and which wait for room.
    """

    workers: SupervisorStatistics
    sessions: SupervisorStatistics
    workspaces: SupervisorStatistics
    programs: AdmissionStatistics


@attrs.define(eq=False, repr=False)
class Runner:
    """Scopes, sessions and batches under supervision. Made by `open_runner`.

    Attributes:
        config: the options in force.
        state: where sessions and the run's own records are kept, absolute.
    """

    config: RunnerConfig
    state: str
    _host: ProcessHost
    _workers: Supervisor
    _sessions: Supervisor
    _workspaces: Supervisor
    _making: Sessions
    _projects: Projects

    def scope(
        self,
        path: str | os.PathLike[str],
        *,
        env: Mapping[str, str] | None = None,
        isolation: Isolation | None = None,
        decided: Decided | None = None,
        permissions: Permissions | Ruleset | PresetName | None = None,
        lint: Policy | Lint = "footgun",
        on_dangerous: OnDangerous | None = None,
        operation_log: OperationLog | None = None,
    ) -> Scope:
        """A scope on a directory of this machine; nothing happens before its first operation.

        Args:
            path: the directory, relative to the current one. It need not be there: the first
                effect makes it.
            env: variables for the programs that run in it, on top of the allow-listed ones.
            isolation: what is to hold those programs inside it; None = nothing.
            decided: told of each decision of the proxy, if the isolation lists hosts; to be quick.
                So is the operation log, as "connect".
            permissions: what may be done in it: a ruleset, "default", "permissive", "read-only" or
                "strict", or a `Permissions` with who is asked; None = everything.
            lint: which commands are taken for accidents and refused: "footgun" (`rm -rf /`, a pipe
                into a shell), "strict" (also `cd`, `sudo`, `$(…)`), or "off". It is no boundary.
            on_dangerous: told what the lint finds; True lets the command run all the same.
            operation_log: told of every operation of it, and of the scopes inside it.

        Raises:
            ConfigError: no directory can have that path, or there is no preset of that name.
        """
        name = directory_named(path)
        return make_scope(
            name,
            os.path.abspath(name),
            self._asker_of,
            env=env,
            isolation=isolation,
            decided=decided,
            permissions=permissions,
            lint=lint,
            on_dangerous=on_dangerous,
            operation_log=operation_log,
        )

    def project(
        self, path: str | os.PathLike[str], *, store: str | os.PathLike[str] | None = None
    ) -> Project:
        """A directory whose workspaces have a history; nothing happens before its first use.

        Args:
            path: the directory, relative to the current one.
            store: the directory in which its store and its live trees are kept; None = one in the
                runner's state directory.

        Raises:
            ConfigError: no directory can have that path, or the store would lie inside it.
        """
        where = None if store is None else directory_named(store)
        return Project(self._projects.shared(directory_named(path), where))

    def session(
        self,
        scope: Scope | Workspace,
        agent: Agent | Driver | str | None = None,
        *,
        id: str | None = None,  # noqa: A002 - the session's own word
        timeout: float | None = None,
        silence: float | None = None,
        max_park: float | None = None,
        durable: bool = True,
        sandbox: str | None = None,
        model: str | None = None,
        extra_args: Sequence[str] = (),
        extra_env: Mapping[str, Value] = NO_ENV,
        billing: Billing | None = None,
        ignore: Sequence[str] | None = None,
        watch: bool = True,
        approvals: Approvals | None = None,
        isolation: Isolation | None = None,
        servers: Iterable[McpServer] = (),
        recording: str | os.PathLike[str] | None = None,
        on_lost: OnLost = "error",
        snapshots: Literal["turn"] | None = None,
    ) -> Session:
        """A session with an agent program in the directory of a scope; use it with `async with`.

        A session's turn is no effect of its scope: the scope can be used while the agent works.

        Args:
            scope: whose directory, variables and isolation the program gets; or a workspace, or a
                scope in one: its live tree is held as long as the program lives.
            agent: "shell", "claude", "codex", the name of an installed package's agent, an agent's
                record, or a driver of your own; None = the configuration's `default_agent`.
            id: of a session to go on with, or for a new one; None = a new one.
            timeout: seconds for a turn that does not say otherwise; None = the configuration's.
            silence: seconds that its program may be silent, likewise (see `Session.send`).
            max_park: seconds that a turn may wait for its provider, likewise.
            durable: whether it is kept, so that it can be gone on with after this run.
            sandbox: what the agent may do, instead of what its record says: "read-only",
                "workspace-write" or "danger-full-access".
            model: as its program calls it, instead of the record's.
            extra_args: more arguments for its program, after the record's.
            extra_env: more variables for it, on top of the record's.
            billing: which kind of credential its program has to say that it uses, instead of the
                record's: "any", "subscription" or "api_key". One that uses another is ended.
            ignore: patterns of files whose changes do not count; None = the configuration's.
            watch: whether a large directory may be watched for changes, if the configuration lets
                it. If not, it is walked through, which is slower and misses nothing.
            approvals: who decides what the agent asks for, where the scope's permissions do not;
                None = nobody: it is refused, and the agent told.
            isolation: what is to hold its program, within what holds the scope's; None = the
                configuration's, which is nothing more by default. It sees its private directory
                besides, but neither its program's, if that is not in /usr, nor its provider's host:
                name them. `Turn.isolation` says what is in force.
            servers: of tools (MCP), which its program is handed besides those of its record; they
                end with it.
            recording: the path of a file that is to be made: all that is said between the session
                and its program, without secrets, for the agent `replay`.
            on_lost: what is done where its program does not have the conversation any more: "error"
                (`ConversationLost`), or a "fresh" one is begun, which is told the turns so far.
            snapshots: "turn" = in a workspace, what the files are at the end of each turn, and
                before the first, is in a snapshot (`Turn.snapshot`), to which one can go back
                (`Session.rewind`, `Session.fork`).

        Raises:
            ConfigError: the agent, the id, the timeout, a server or the recording cannot be used,
                or the agent does not have an option; or there are to be snapshots of what is no
                workspace; or the scope's permissions do not allow all programs, and the agent does
                not ask before it runs some.
            AgentUnavailable: there are approvals, and the agent never asks; or servers, and it
                takes none.
            Destroyed: the scope was destroyed.
        """
        if isinstance(scope, Workspace):
            scope = scope.scope()
        scope.require_alive("session")
        options = {
            "sandbox": sandbox,
            "model": model,
            "extra_args": extra_args,
            "extra_env": extra_env,
            "billing": billing,
        }
        held = self.config.session
        chosen = _default_of(self.config) if agent is None else agent
        record, driver = _chosen(chosen, options)
        return self._making.make_session(
            scope.directory,
            record,
            driver=driver,
            id=id,
            timeout=(held.timeout or None) if timeout is None else timeout,
            silence=(held.silence or None) if silence is None else silence,
            max_park=(held.max_park or None) if max_park is None else max_park,
            env=scope.env,
            ignore=held.ignore if ignore is None else ignore,
            watch=watch if held.watch else False,
            idle_after=self.config.idle_after_session,
            durable=durable,
            isolation=narrowed(scope.ground.isolation, _isolation(isolation) or held.held()),
            decided=scope.ground.reaching,
            approvals=approvals,
            grants=scope.ground.permissions,
            servers=servers,
            recording=recording,
            on_lost=on_lost,
            history=self._history(scope, snapshots),
        )

    def _history(self, scope: Scope, snapshots: object) -> Tenant | None:
        """What a session asks of its directory, if that is the live tree of a workspace."""
        if snapshots not in {None, "turn"}:
            raise ConfigError(f"snapshots={snapshots!r}: it is 'turn', or None for none")
        ground = scope.ground
        shared = self._projects.having(ground.workspace) if ground.workspace else None
        if shared is None:
            if snapshots:
                what = f"{scope.path!r} is in no workspace"
                raise ConfigError(f"snapshots={snapshots!r}: {what}, so its files have no history")
            return None
        keeps = snapshots == "turn"
        return Tenant(shared, ground.workspace, ground.inner, keeps, ground.who)

    async def run_batch(
        self,
        batch: Batch | str | os.PathLike[str],
        *,
        output: str | os.PathLike[str],
        overrides: Sequence[str] = (),
        select: str | None = None,
        observer: Observer | None = None,
        control: Control | None = None,
    ) -> Report:
        """Carry a batch of jobs out, or go on with it if the output directory is its own.

        Args:
            batch: a TOML file, or a record (its paths are then relative to the current directory).
            output: the output directory; made if need be.
            overrides: `key=value` texts laid over the batch.
            select: an expression over row, id, index and repeat: only these jobs.
            observer: told what happens, from this task and its children.
            control: ends the batch early.

        Raises:
            ConfigError: with everything that is wrong, before anything is created.
            LedgerBusy: another process is at work there.
            LedgerError: the ledger cannot be written.

        Cancellation: everything that runs is put down, and the results so far are written; the
        same call goes on from there.
        """
        prepared = partial(
            prepare,
            batch,
            overrides,
            select,
            output=output,
            default_agent=self.config.default_agent,
            projects=projects_of(self.config, self.state),
        )
        plan = await trio.to_thread.run_sync(prepared)
        return await run_plan(plan, self, output, observer=observer, control=control)

    async def build_of(
        self,
        agent: Agent,
        directory: str,
        *,
        env: Mapping[str, str] = NO_ENV,
        isolation: Isolation | None = None,
    ) -> Build | None:
        """Which build of its program an agent would be carried out by now, told by its file.

        Args:
            agent: its record.
            directory: where it is asked for its version, if that matters.
            env: variables of the scope in which it would work.
            isolation: what is to hold it when it is asked.

        Returns:
            None if it has no program of its own (a shell, a recording), or it is not there, or
            only the scope or the package knows where.
        """
        return await self._making.means.build_of(agent, directory, env, isolation)

    async def try_isolation(self, isolation: Isolation) -> InForce:
        """What is in force here when this is asked for: found out by running a program in it.

        Raises:
            ExecFailed: it is required and cannot be had, or a path of it cannot be shown.
        """
        return await try_isolation(self._host, isolation)

    def statistics(self) -> RunnerStatistics:
        """The runner at this moment."""
        return RunnerStatistics(
            workers=self._workers.statistics(),
            sessions=self._sessions.statistics(),
            workspaces=self._workspaces.statistics(),
            programs=self._making.admission.statistics(),
        )

    def __repr__(self) -> str:
        return f"<Runner with {self._workers!r} and {self._sessions!r}, state in {self.state!r}>"

    def _asker_of(self, ground: Ground) -> Asker:
        return WorkerAsker(self._workers, ground, self._make_backend, self.config.idle_after_worker)

    def _make_backend(self, ground: Ground) -> Backend:
        backend = LocalBackend(
            ground.directory,
            host=self._host,
            isolation=ground.isolation,
            decided=ground.reaching,
            beneath=None if ground.inner == "." else ground.root,
        )
        granted = PermittedBackend(backend, ground.permissions) if ground.permissions else backend
        return granted.straight() if ground.is_straight else granted


def _isolation(isolation: Isolation | None) -> Isolation | None:
    if isolation is None or isinstance(isolation, Isolation):
        return isolation
    raise ConfigError(f"`isolation` must be an Isolation, not {isolation!r}")


def _default_of(config: RunnerConfig) -> Agent:
    """The agent of what names none.

    Raises:
        ConfigError: the options name one that is none.
    """
    try:
        return make_agent(config.default_agent)
    except ConfigError as exc:
        raise ConfigError(f"`default_agent` of the runner's options: {exc}") from exc


def _chosen(agent: Agent | Driver | str, options: Mapping[str, Any]) -> tuple[Agent, Driver | None]:
    """The record that is meant, with these options; for a driver, a record that stands for it."""
    if isinstance(agent, str | Agent):
        return vary(make_agent(agent), **options), None
    if not hasattr(agent, "launch"):
        raise ConfigError(f"{agent!r} is no agent: no name, no record and no driver")
    if any(options.values()):
        names = ", ".join(name for name, value in options.items() if value)
        raise ConfigError(f"{names}: a driver of your own has its options already")
    return ShellAgent(), agent


def projects_of(config: RunnerConfig, home: str) -> str:
    """Where projects are kept; `home` is the state directory."""
    return os.path.abspath(config.workspace.place or os.path.join(home, "projects"))
