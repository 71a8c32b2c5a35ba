"""`open_runner`: the composition root, the only place that wires the parts together.

    open_runner ──► state directory, run marker ──► process host
                ──► supervisors of workers, sessions and workspaces ──► Runner

Inside out, leaving is in the reverse order: sessions drain and end their programs, then workers,
then workspaces, on whose trees those worked, then whatever processes are left, then the marker that
says that this run is alive. A run that was killed could not do that: the next one on the same state
directory ends what it left behind.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import platformdirs
import trio

from runner.actors import open_supervisor
from runner.actors.lanes import Order
from runner.config import RunnerConfig, load_record
from runner.errors import ConfigError
from runner.processes.host import ProcessHost
from runner.processes.sweep import RunMarker, sweep_stale_runs
from runner.runner import Runner, projects_of
from runner.sessions.admission import Admission
from runner.sessions.ledger import SessionLedger, ledger_of
from runner.sessions.making import Sessions
from runner.sessions.passing import sweep_passing
from runner.sessions.store import PROMPT
from runner.watching.patterns import Rules, make_rules
from runner.workspaces.means import Means
from runner.workspaces.projects import Projects
from runner.workspaces.retaining import Retention

THREADS = 4  # that look at live trees and stores: each hashes in some more


@asynccontextmanager
async def open_runner(
    config: RunnerConfig | str | os.PathLike[str] | None = None,
    *,
    state: str | os.PathLike[str] | None = None,
) -> AsyncGenerator[Runner, None]:
    """A runner, for as long as the block lasts.

    Leaving it drains: what is asked for comes to its end within the configuration's `grace`, then
    it is cancelled; every process is gone and every worker closed when this is left. An error or
    a cancellation of the block cancels at once. An error of the block leaves it bare.

    Args:
        config: a TOML file, a record, or None for the defaults.
        state: where sessions and the run's own records are kept; None = the configuration's, or
            else the platform's directory for application state.

    Raises:
        ConfigError: the configuration or the state directory cannot be used.
    """
    options = _options(config)
    home = _home(state or options.state)
    place = projects_of(options, home)
    rules = _rules(options)
    threads = trio.CapacityLimiter(1)
    marker = await trio.to_thread.run_sync(_mark, home, limiter=threads)
    host = ProcessHost(run_id=marker.run_id)
    ledger = SessionLedger(ledger_of(home), patience=PROMPT)
    projects: Projects | None = None
    order = Order()  # what changes a workspace's tree as a whole runs beside nothing in it
    try:
        async with (
            open_supervisor(name="workspaces", grace=options.grace, order=order) as workspaces,
            open_supervisor(name="workers", grace=options.grace, order=order) as workers,
            open_supervisor(name="sessions", grace=options.grace) as sessions,
        ):
            admission = Admission(
                most=options.max_sessions or None, reserve=options.free_memory << 20
            )
            making = Sessions(sessions, host, home, ledger=ledger, admission=admission)
            means = Means(
                supervisor=workspaces,
                workers=workers,
                host=host,
                limiter=trio.CapacityLimiter(THREADS),
                idle_after=options.idle_after_worker,
                way=options.workspace.way,
                rules=rules,
                watch=options.workspace.watch,
                audit=options.workspace.audit,
                retention=Retention(
                    undo=options.workspace.keep_undo,
                    undo_for=options.workspace.keep_undo_for,
                    deleted_for=options.workspace.keep_deleted_for,
                ),
            )
            projects = Projects(place, means)
            yield Runner(options, home, host, workers, sessions, workspaces, making, projects)
    finally:
        with trio.CancelScope(shield=True):  # bounded by the host itself, and by what is there
            if projects is not None:
                await trio.to_thread.run_sync(projects.close, limiter=threads)
            await host.aclose()
            ledger.close()
            marker.close()
            await trio.to_thread.run_sync(sweep_passing, home, limiter=threads)


def _options(config: RunnerConfig | str | os.PathLike[str] | None) -> RunnerConfig:
    if config is None:
        return RunnerConfig()
    if isinstance(config, RunnerConfig):
        return config
    return load_record(config, RunnerConfig)


def _rules(config: RunnerConfig) -> Rules:
    try:
        return make_rules(config.workspace.ignore)
    except ConfigError as exc:
        raise ConfigError(f"`workspace.ignore` of the runner's options: {exc}") from exc


def _home(state: str | os.PathLike[str]) -> str:
    return os.path.abspath(state or platformdirs.user_state_path("runner"))


def _mark(home: str) -> RunMarker:
    """Say that this run is alive, and end what dead ones have left behind: seconds, perhaps."""
    try:
        os.makedirs(home, mode=0o700, exist_ok=True)
    except OSError as exc:
        what = f"the state directory {home!r} cannot be made: {exc.strerror}"
        raise ConfigError(f"{what}; `state` names another") from None
    marker = RunMarker(home, uuid.uuid4().hex)
    sweep_stale_runs(home)
    sweep_passing(home)
    return marker
