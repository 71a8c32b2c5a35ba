"""AgentFS's `workspace.sync`."""

from __future__ import annotations

import os
from collections.abc import Awaitable
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import TypeVar, cast

from runner.agents.secret import Secret
from runner.compat.agentfs.config import Config
from runner.compat.agentfs.houses import Place
from runner.compat.agentfs.twins import Twinned, both
from runner.compat.agentfs.words import ConfigError, SyncConflictError, SyncError, SyncStatus
from runner.workspaces.sync.settings import INTERVAL, Mode, Strategy
from runner.workspaces.sync.sync import SyncConflict
from runner.workspaces.workspace import Workspace as OurWorkspace

T = TypeVar("T")
_STRATEGIES: dict[str, Strategy] = {"local-wins": "local", "remote-wins": "remote"}


class Sync(Twinned):
    """The sync of a workspace."""

    def __init__(self, place: Place, workspace: OurWorkspace, config: Config) -> None:
        """Nothing happens yet."""
        self._place, self._workspace, self._config = place, workspace, config

    @both
    async def enable(
        self,
        url: str | None = None,
        *,
        turso_db: str | None = None,
        token: str | Secret | None = None,
        token_file: str | os.PathLike[str] | None = None,
        mode: Mode | None = None,
        interval: float | None = None,
        conflict_resolution: str | None = None,
    ) -> None:
        """Sync with a remote from now on, once it was seen to be usable.

        Args:
            url: as for `turso_db`, or `file://`, `git+…://`, `s3://`.
            turso_db: a Turso database: `libsql://…`, `https://…`, or its name in TURSO_ORG.
            token: of the remote, or "env:NAME"; None = the variable TURSO_TOKEN, if it is set.
            token_file: a file that has it.
            mode: "real-time", "periodic" or "manual"; None = `sync.default_mode`, or "manual".
            interval: seconds; None = `sync.interval`.
            conflict_resolution: "manual", "last-write-wins", "local-wins", "remote-wins", "merge".

        Raises:
            ConfigError: something of that cannot be.
            SyncError: the remote cannot be used; nothing was changed.
        """
        if (url is None) == (turso_db is None):
            raise ConfigError("sync.enable: either `turso_db` or `url` has to be given")
        await self._enable(
            url or _url(turso_db or ""),
            _token(token, token_file),
            mode=mode,
            interval=interval,
            strategy=conflict_resolution,
        )

    async def _enable(
        self,
        url: str,
        token: str | Secret,
        *,
        mode: Mode | None = None,
        interval: float | None = None,
        strategy: str | None = None,
    ) -> None:
        setting = self._config.setting
        await self._workspace.sync.enable(
            url,
            token=token,
            mode=mode or setting("sync.default_mode") or "manual",
            interval=interval or setting("sync.interval") or INTERVAL,
            strategy=_strategy(strategy or setting("sync.conflict_resolution") or "manual"),
        )

    async def _push_if_enabled(self) -> None:
        """Send what was committed, if there is where to; what cannot be sent now goes out later."""
        await self._enable_as_configured()
        if (await self._workspace.sync.status()).url:
            with suppress(SyncError):  # the commit stands; `status` says what is to be sent
                await self._workspace.sync.push()

    async def _enable_as_configured(self) -> None:
        """With the remote of the configuration, if there is one and no other is in use."""
        setting = self._config.setting
        url = setting("sync.url", "sync.turso_db")
        if url is not None and not (await self._workspace.sync.status()).url:
            token = _token(setting("sync.token"), setting("sync.token_file"))
            await self._enable(_url(url), token)

    @both
    async def config(
        self,
        *,
        mode: Mode | None = None,
        interval: float | None = None,
        conflict_resolution: str | None = None,
    ) -> None:
        """Sync in another way from now on; what is not given stays as it is."""
        strategy = None if conflict_resolution is None else _strategy(conflict_resolution)
        await self._workspace.sync.config(mode=mode, interval=interval, strategy=strategy)

    @both
    async def push(self, *, force: bool = False) -> None:
        """Send what is here; what the remote has more is taken over first.

        Raises:
            SyncConflictError: both sides changed the same paths; nothing was changed.
            SyncError: the remote cannot be used; nothing was changed.
        """
        await self._enable_as_configured()
        await _with_conflicts(self._workspace.sync.push(force=force))

    @both
    async def pull(
        self, *, at: datetime | None = None, version: str | None = None, force: bool = False
    ) -> None:
        """Take over what the remote has; or be what it had `at` a time, or in a snapshot.

        Raises:
            SyncConflictError, SyncError: as for `push`.
        """
        await self._enable_as_configured()
        await _with_conflicts(self._workspace.sync.pull(at=at, version=version, force=force))

    @both
    async def status(self) -> SyncStatus:
        """How it is; the remote is not asked."""
        found = await self._workspace.sync.status()
        return SyncStatus(
            enabled=bool(found.url),
            url=found.url,
            mode=found.mode,
            state=found.state,
            last_sync=found.last_sync,
            pending_changes=found.pending_changes,
            conflicts=found.conflicts,
            trouble=found.trouble,
        )

    @both
    async def conflicts(self) -> list[SyncConflict]:
        """What both sides had changed when that was tried last."""
        return list(await self._workspace.sync.conflicts())

    @both
    async def resolve(
        self,
        *conflicts: SyncConflict | str,
        use_local: bool = False,
        use_remote: bool = False,
    ) -> None:
        """Decide conflicts, or all of them; the next push or pull is done so."""
        if use_local == use_remote:
            raise ConfigError("sync.resolve: either `use_local` or `use_remote` has to be true")
        paths = [each if isinstance(each, str) else each.path for each in conflicts]
        clean = [each.lstrip("/") for each in paths]
        await self._workspace.sync.resolve(*clean, use="local" if use_local else "remote")

    @both
    async def disable(self) -> None:
        """Sync no more. What is on the remote stays there."""
        await self._workspace.sync.disable()


async def _with_conflicts(work: Awaitable[T]) -> T:
    try:
        return await work
    except SyncError as exc:
        if not exc.conflicts or isinstance(exc, SyncConflictError):
            raise
        made = SyncConflictError(str(exc))
        made.conflicts = exc.conflicts
        raise made from exc


def _url(database: str) -> str:
    if "://" in database:
        return database
    organisation = os.environ.get("TURSO_ORG")
    if not organisation:
        raise ConfigError(f"turso_db={database!r}: it must be a URL, or TURSO_ORG has to be set")
    return f"libsql://{database}-{organisation}.turso.io"


def _token(token: str | Secret | None, file: str | os.PathLike[str] | None) -> str | Secret:
    if file is not None:
        return Secret(file=str(Path(file).absolute()))
    if isinstance(token, str) and token.startswith("env:"):
        return Secret(env=token.removeprefix("env:"))
    if token is None:
        return Secret(env="TURSO_TOKEN") if os.environ.get("TURSO_TOKEN") else ""
    return token


def _strategy(name: str) -> Strategy:
    return _STRATEGIES.get(name, cast("Strategy", name))  # ours says what cannot be
