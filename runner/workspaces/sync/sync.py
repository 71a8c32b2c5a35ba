"""Sync of a workspace: the caller's handle. Nothing happens before it is used.

    await ws.sync.enable("file:///mnt/share/project", mode="real-time")
    await ws.sync.push()
    await ws.sync.pull()

Every place that has the workspace pushes to and pulls from one remote. What each place has is whole
at any time, and whatever cannot be sent now is sent later.
"""

from __future__ import annotations

import socket
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

import attrs

from runner.agents.secret import Secret
from runner.errors import ConfigError, WorkspaceBusy
from runner.messages import AnswerT, Message
from runner.workspaces.comparing import compare
from runner.workspaces.messages import Look, Restore
from runner.workspaces.names import check_name
from runner.workspaces.sync.keeping import read_settings
from runner.workspaces.sync.messages import (
    Configure,
    Disable,
    Enable,
    Fetch,
    Pull,
    Push,
    Resolve,
)
from runner.workspaces.sync.settings import (
    INTERVAL,
    SIDES,
    Mode,
    Settings,
    Side,
    Strategy,
    check_settings,
)
from runner.workspaces.sync.syncing import common_root

if TYPE_CHECKING:
    from runner.workspaces.objects import ObjectId
    from runner.workspaces.records import SnapshotRecord, WorkspaceRecord
    from runner.workspaces.shared import Shared
    from runner.workspaces.store import Store
    from runner.workspaces.sync.syncing import Synced


@attrs.frozen(kw_only=True)
class SyncConflict:
    """A path that both sides changed.

    Attributes:
        path: where.
        reason: what each side did to it.
        choice: which side somebody has decided for; None = nobody has.
    """

    path: str
    reason: str
    choice: Side | None = None


@attrs.frozen(kw_only=True)
class SyncStatus:
    """How a workspace's sync is.

    Attributes:
        url: the remote; empty = it is not synced.
        mode: see `Sync.enable`.
        last_sync: when both sides had the same last; None = never yet.
        pending_changes: paths that are not as they were then.
        conflicts: what is to be decided before anything is synced again.
        trouble: why the last try was none, if it was made unasked; else empty.
    """

    url: str = ""
    mode: Mode = "manual"
    last_sync: datetime | None = None
    pending_changes: int = 0
    conflicts: tuple[SyncConflict, ...] = ()
    trouble: str = ""

    @property
    def state(self) -> str:
        """In a word: "off", "conflicts", "trouble", "pending" or "synced"."""
        if not self.url:
            return "off"
        if any(each.choice is None for each in self.conflicts):
            return "conflicts"
        if self.trouble:
            return "trouble"
        return "pending" if self.pending_changes or self.last_sync is None else "synced"


class Sync:
    """The sync of a workspace; `Workspace.sync`."""

    def __init__(self, shared: Shared, record: WorkspaceRecord, workspace: object) -> None:
        """Make a handle.

        Args:
            shared: the project.
            record: the workspace.
            workspace: its handle, for hooks.
        """
        self._shared, self._record, self._workspace = shared, record, workspace

    async def enable(
        self,
        url: str,
        *,
        token: str | Secret = "",
        mode: Mode = "manual",
        interval: float = INTERVAL,
        strategy: Strategy = "manual",
        under: str | None = None,
    ) -> None:
        """Sync with a remote from now on, once it was seen to be usable.

        Args:
            url: `file:///directory`, `git+ssh://…` (or https, http, file), `libsql://…` (or https,
                http: a Turso database), `s3://bucket/prefix?endpoint=…&region=…`.
            token: of the remote: a `Secret` says where it is to be found, and that is kept; text is
                known to this process only, and is not kept anywhere.
            mode: "manual" does nothing unasked; "periodic" pulls and pushes every `interval`
                seconds; "real-time" pushes within a second or so of a change, and pulls every
                `interval` seconds. Unasked, it is done as long as the runner is open.
            interval: seconds.
            strategy: what becomes of a path that both sides changed: "manual" is somebody's
                decision (`resolve`); "last-write-wins"; "local"; "remote"; "merge" takes lines of
                both, and is as "manual" where that cannot be.
            under: the workspace's name on the remote; None = its name.

        Raises:
            ConfigError: something of that cannot be, or a package is missing.
            RemoteUnreachable, RemoteRefused: the remote cannot be used; nothing was changed.
        """
        name = self._record.name if under is None else check_name(under)
        settings = check_settings(
            Settings(
                url=url,
                under=name,
                token=token if isinstance(token, Secret) else None,
                mode=mode,
                interval=interval,
                strategy=strategy,
                device=socket.gethostname(),
            )
        )
        await self._ask(Enable(settings=settings, token=token if isinstance(token, str) else ""))

    async def config(
        self,
        *,
        mode: Mode | None = None,
        interval: float | None = None,
        strategy: Strategy | None = None,
    ) -> None:
        """Sync in another way from now on; what is not given stays as it is.

        Raises:
            ConfigError: something of that cannot be.
            SyncError: the workspace is not synced.
        """
        await self._ask(Configure(mode=mode, interval=interval, strategy=strategy))

    async def push(self, *, force: bool = False) -> Synced:
        """Make the live tree the remote's newest version; what the remote has more is pulled first.

        Args:
            force: the remote's newest version is what is here, whatever it was. It can still be had
                there (`pull(at=…)`).

        Raises:
            SyncError: there are conflicts, or the remote cannot be used: nothing was changed.
        """
        return await self._sync("push", Push(force=force))

    async def pull(
        self,
        *,
        at: datetime | None = None,
        version: str | None = None,
        force: bool = False,
    ) -> Synced | SnapshotRecord | None:
        """Take over what the remote has and the live tree does not.

        Args:
            at: make the live tree exactly what the remote had then; naive times are local ones.
            version: make it exactly one of the snapshots that the remote has, by name.
            force: with `at` or `version`: whether changes may be replaced that are in no snapshot.

        Returns:
            What was changed; with `at` or `version` the undo snapshot, or None.

        Raises:
            SyncError: there are conflicts, or the remote cannot be used: nothing was changed.
            UncommittedChanges: with `at` or `version`; nothing was done.
        """
        if at is None and version is None:
            return await self._sync("pull", Pull())
        if at is not None and version is not None:
            raise ConfigError("pull: `at` and `version` cannot both be given")
        root = await self._sync("pull", Fetch(at=at, snapshot=version))
        what = version if version is not None else f"the remote of {at}"
        return await self._shared.ask(self._record, Restore(root=root, what=what, force=force))

    async def status(self) -> SyncStatus:
        """How it is; the remote is not asked.

        If another process has the workspace, its files are taken as they were captured last.
        """
        settings = await self._settings()
        if settings is None:
            return SyncStatus()
        try:
            root = (await self._shared.ask(self._record, Look())).root
        except WorkspaceBusy:
            root = None
        pending = await self._shared.do(
            partial(_pending, id_=self._record.id, root=root, known=settings)
        )
        last = settings.last_sync_ns
        return SyncStatus(
            url=settings.url,
            mode=settings.mode,
            last_sync=datetime.fromtimestamp(last / 1e9, UTC) if last else None,
            pending_changes=pending,
            conflicts=_conflicts(settings),
            trouble=settings.trouble,
        )

    async def conflicts(self) -> tuple[SyncConflict, ...]:
        """What both sides had changed when that was tried last."""
        settings = await self._settings()
        return () if settings is None else _conflicts(settings)

    async def resolve(self, *paths: str, use: Side) -> None:
        """Decide conflicts; the next push or pull is done so.

        To have something of both, write it into the live tree and use "local".

        Args:
            paths: of conflicts; none = all of them.
            use: "local" or "remote".

        Raises:
            ConfigError: there is no such side.
            SyncError: there is no conflict at one of the paths.
        """
        if use not in SIDES:
            raise ConfigError(f"resolve: `use` is {use!r}; it can be 'local' or 'remote'")
        chosen = paths or tuple(each.path for each in await self.conflicts())
        await self._ask(Resolve(choices=dict.fromkeys(chosen, use)))

    async def disable(self) -> None:
        """Sync no more. What is on the remote stays there."""
        await self._ask(Disable())

    async def _sync(self, direction: str, message: Message[AnswerT]) -> AnswerT:
        shared, record = self._shared, self._record
        await shared.before("sync", record, self._workspace, direction)
        done = await self._ask(message)
        await shared.after("sync", record, self._workspace, direction)
        return done

    async def _settings(self) -> Settings | None:
        return await self._shared.do(lambda store: read_settings(store, self._record.id))

    async def _ask(self, message: Message[AnswerT]) -> AnswerT:
        return await self._shared.ask_sync(self._record, message)


def _pending(store: Store, id_: str, root: ObjectId | None, known: Settings) -> int:
    common = common_root(store, id_, known)
    return len(compare(store.listing, common, root or store.workspaces.get(id_).root or common))


def _conflicts(settings: Settings) -> tuple[SyncConflict, ...]:
    return tuple(
        SyncConflict(path=path, reason=reason, choice=settings.choices.get(path))
        for path, reason in settings.conflicts
    )
