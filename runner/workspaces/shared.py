"""A project in this process: what all handles on it, and on its workspaces, share.

Its store is opened at the first use, in a thread. Then, too, whatever a killed process has left
half made or half deleted is finished or taken away (tidying.py); nobody else's is touched: whoever
makes or deletes a workspace has its lock. Each workspace has one actor, however many handles.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import TypeVar

import attrs
import trio

from runner.errors import (
    ConfigError,
    RunnerError,
    StoreError,
    SupervisorClosed,
    WorkspaceBusy,
    WorkspaceError,
    WorkspaceNotFound,
)
from runner.messages import AnswerT, Message
from runner.scopes.making import ScopeOptions
from runner.scopes.scope import Scope
from runner.scopes.who import Who
from runner.workspaces.actor import WorkspaceActor
from runner.workspaces.basing import Bases
from runner.workspaces.directory_base import finish_commits
from runner.workspaces.hook_files import HookFiles, Occasion, more_of
from runner.workspaces.hooks import Event, Hooks
from runner.workspaces.live import Live
from runner.workspaces.means import Means
from runner.workspaces.messages import Unmount
from runner.workspaces.objects import ObjectId
from runner.workspaces.origins import settle
from runner.workspaces.records import Json, WorkspaceRecord
from runner.workspaces.scoping import scope_on
from runner.workspaces.settling import tidy_logs
from runner.workspaces.store import Store
from runner.workspaces.sync.actor import SyncActor
from runner.workspaces.sync.keeping import read_settings
from runner.workspaces.sync.messages import Wake
from runner.workspaces.sync.wiring import make_sync_actor, tidy_caches
from runner.workspaces.tidying import tidy
from runner.workspaces.trail import Trail
from runner.workspaces.whole_acts import Act, acting

T = TypeVar("T")
STORE = "store.db"
WORKSPACES = "workspaces"
HOOKS = "hooks"


@attrs.define(eq=False)
class Shared:
    """A project in this process, for all handles on it.

    Attributes:
        base: the project's directory, absolute.
        directory: where its store and its live trees are.
        means: what it has of the runner.
        hooks: what is told and asked.
    """

    base: str
    directory: str
    means: Means
    hooks: Hooks = attrs.field(init=False)
    _store: Store | None = None
    _bases: Bases | None = None
    _is_closed: bool = False
    _opening: trio.Lock = attrs.field(factory=trio.Lock)
    _actors: dict[str, WorkspaceActor] = attrs.field(factory=dict)
    _syncs: dict[str, SyncActor] = attrs.field(factory=dict)

    def __attrs_post_init__(self) -> None:
        self.hooks = Hooks(HookFiles(self.means.host, [os.path.join(self.directory, HOOKS)]))

    @property
    def store(self) -> Store:
        """Its store, which somebody has opened."""
        assert self._store is not None
        return self._store

    def place(self, id_: str) -> str:
        """The directory of a workspace."""
        return os.path.join(self.directory, WORKSPACES, id_)

    async def open(self) -> Store:
        """Its store.

        Raises:
            ConfigError: there is no such directory, and there never was a project on it.
            StoreError: the store cannot be used.
            SupervisorClosed: the runner was left.
        """
        if self._is_closed:
            raise SupervisorClosed(f"the project {self.base!r} is closed: its runner was left")
        async with self._opening:
            if self._store is None:
                self._store = await self.means.in_thread(self._open)
                means = self.means
                self._bases = Bases(
                    self._store, means.rules, watch=means.watch, allowance=means.allowance
                )
        return self._store

    def _open(self) -> Store:
        path = os.path.join(self.directory, STORE)
        if not os.path.isdir(self.base) and not os.path.exists(path):
            raise ConfigError(f"the project {self.base!r}: there is no such directory")
        try:
            os.makedirs(os.path.join(self.directory, WORKSPACES), mode=0o700, exist_ok=True)
        except OSError as exc:
            how = "`store` names another directory"
            raise StoreError(f"it cannot be made: {exc.strerror}", self.directory, how) from exc
        store = Store.open(path)
        try:
            tidy(store, os.path.join(self.directory, WORKSPACES))
            tidy_caches(self.directory, store)
            tidy_logs(store)
            finish_commits(store, self.directory)
        except BaseException:
            store.close()
            raise
        return store

    async def do(self, work: Callable[[Store], T]) -> T:
        """Carry out something on the store, in a thread."""
        store = await self.open()
        return await self.means.in_thread(partial(work, store))

    # ------------------------------------------------------------ who is told

    async def before(self, event: Event, record: WorkspaceRecord, *about: object) -> None:
        """Ask the hooks before something is done.

        Raises:
            HookVeto: one refuses it.
        """
        if self.hooks.has(event):
            occasion = self._occasion(event, record, about)
            async with self.acting(record, "hook", event=f"before_{event}") as act:
                act.is_said = False
                act.parts += map(attrs.asdict, await self.hooks.before(event, occasion, *about))

    async def after(self, event: Event, record: WorkspaceRecord, *about: object) -> None:
        """Tell the hooks what was done."""
        if self.hooks.has(event):
            occasion = self._occasion(event, record, about)
            async with self.acting(record, "hook", event=event) as act:
                act.is_said = False
                act.parts += map(attrs.asdict, await self.hooks.after(event, occasion, *about))

    @asynccontextmanager
    async def acting(
        self, record: WorkspaceRecord, operation: str, **details: Json
    ) -> AsyncIterator[Act]:
        """Write into the audit what is done to a workspace as a whole: before it, and its end."""
        if not self.means.audit:
            yield Act({})
            return
        actor = self._actors.get(record.id)
        trail = Trail(await self.open(), record.id) if actor is None else actor.live.trail
        who = Who(agent=record.agent_id)
        try:
            async with acting(trail, self.means.in_thread, who, operation, **details) as act:
                yield act
        finally:
            if actor is None:  # there is no such workspace yet, or no more
                with trio.CancelScope(shield=True):
                    await self.means.in_thread(trail.close)

    def whose(self, record: WorkspaceRecord, who: Who) -> Who | None:
        """On whose behalf an act is written down; None = it is not."""
        return who.within(Who(agent=record.agent_id)) if self.means.audit else None

    def _occasion(
        self, event: Event, record: WorkspaceRecord, about: tuple[object, ...]
    ) -> Occasion:
        cwd = record.tree if os.path.isdir(record.tree) else self.directory
        more = more_of(event, about)
        return Occasion(name=record.name, path=record.tree, cwd=cwd, more=more)

    def close(self) -> None:
        """Close the store, for good; its workspaces have no actors any more."""
        self._is_closed = True
        for actor in self._actors.values():
            actor.live.leave()
        if self._store is not None:
            self._store.close()
            self._store = None

    # ------------------------------------------------------------ workspaces

    def actor(self, record: WorkspaceRecord) -> WorkspaceActor:
        """The actor of a workspace."""
        found = self._actors.get(record.id)
        if found is None:
            assert self._bases is not None
            live = Live(
                id=record.id,
                name=record.name,
                place=self.place(record.id),
                store=self.store,
                make_capture=self._bases.capture,
                audited=self.means.audit,
                rules=self.means.rules,
            )
            found = self._actors[record.id] = WorkspaceActor(
                live=live,
                find_base=self._bases.find,
                limiter=self.means.limiter,
                beside=partial(self._sync_unasked, record),
                idle_after=self.means.idle_after,
            )
        return found

    def has(self, id_: str) -> bool:
        """Whether the workspace of an id is one of its, and was used here."""
        return id_ in self._actors

    async def capture_new(self, record: WorkspaceRecord) -> ObjectId:
        """The root of a live tree that nobody has changed yet; what is known of it is kept."""
        assert self._bases is not None
        return await self.means.in_thread(partial(self._bases.capture_new, record))

    def look_at_base(self, record: WorkspaceRecord) -> ObjectId:
        """The root of a workspace's base, as it is now; for a thread."""
        assert self._bases is not None
        return self._bases.look(record)

    def know_bases(self, path: str) -> None:
        """Find out what workspaces were made of before that is changed; for a thread."""
        assert self._bases is not None
        for each in self.store.workspaces.list():
            if each.base.path == path and each.base_root is None and each.state == "ready":
                with suppress(RunnerError, OSError):  # whoever asks for it is told why
                    settle(self.store, each, self._bases.find(each))

    def settled(self, record: WorkspaceRecord) -> None:
        """A live tree that is a copy was made; for a thread."""
        assert self._bases is not None
        self._bases.settled(record.id)

    async def ask(self, record: WorkspaceRecord, message: Message[AnswerT]) -> AnswerT:
        """Ask the actor of a workspace."""
        return await self.means.supervisor.ask(self.actor(record).spec, message)

    async def ask_sync(self, record: WorkspaceRecord, message: Message[AnswerT]) -> AnswerT:
        """Ask the actor of a workspace's sync."""
        await self.open()
        found = self._syncs.get(record.id)
        if found is None:
            found = self._syncs[record.id] = make_sync_actor(self, record)
        return await self.means.supervisor.ask(found.spec, message)

    async def _sync_unasked(self, record: WorkspaceRecord) -> None:
        """A workspace that is in use is synced, if that is wanted."""
        with suppress(RunnerError):  # whoever asks for its status is told why
            settings = await self.do(partial(read_settings, workspace=record.id))
            if settings is not None and settings.mode != "manual":
                await self.ask_sync(record, Wake())

    async def unmount(self, record: WorkspaceRecord) -> None:
        """Have the tree of a workspace away from its place, until somebody asks for it again.

        Raises:
            WorkspaceNotFound: there is none.
            WorkspaceBusy: another process has it.
            WorkspaceError: somebody uses it.
        """
        live = self.actor(record).live
        try:
            await self.ask(record, Unmount())
        except (WorkspaceBusy, WorkspaceNotFound):
            raise
        except WorkspaceError:
            if live.is_here:
                raise
            await self.means.in_thread(live.release)  # it cannot be entered: its base is gone

    async def end(self, record: WorkspaceRecord) -> None:
        """End the actors of a workspace that is gone."""
        for actor in (self._syncs.get(record.id), self._actors.get(record.id)):
            if actor is not None:
                await self.means.supervisor.end(actor.spec.key)

    def forget(self, record: WorkspaceRecord) -> None:
        """Keep nothing of a workspace that is gone."""
        self._syncs.pop(record.id, None)
        actor = self._actors.pop(record.id, None)
        if actor is not None:
            actor.live.trail.close()

    async def discard(self, record: WorkspaceRecord, who: Who) -> None:
        """Take away what is left of a workspace whose tree cannot be had, on somebody's behalf.

        Raises:
            WorkspaceError: something of it is in use.
        """
        await self.means.in_thread(partial(self.actor(record).live.discard, who))

    def scope(self, record: WorkspaceRecord, options: ScopeOptions) -> Scope:
        """A scope on the live tree of a workspace."""
        return scope_on(self.actor(record), record, self.means, options)
