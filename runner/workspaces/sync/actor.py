"""The actor that syncs one workspace: it owns the way to the remote, and what is done unasked.

    manual      only what is asked for
    periodic    pull and push every `interval` seconds
    real-time   push as soon as the live tree is another one; pull every `interval` seconds

It is one task that does one thing at a time. A remote that cannot be reached is tried again, at
longer and longer intervals (`LONGEST` at most): being offline is normal, and what was changed
meanwhile goes out later. What else goes wrong is written down (`Settings.trouble`) and tried again
likewise; conflicts wait for somebody, or for another version of the remote.

Another process may say meanwhile how it is to be synced, or that it is not: what is written down is
read before each round, and what came of one is written beside it. Only who has the workspace syncs
it; another process that has it open as well leaves that to it.

What is done there, and what is written down of it, is syncing.py's.
"""

from __future__ import annotations

import logging
import math
import random
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from functools import partial
from typing import Any

import attrs
import trio

from runner.actors.child_spec import ChildSpec, Handle
from runner.errors import RunnerError, SupervisorClosed, SyncError, WorkspaceBusy
from runner.messages import Message
from runner.workspaces.objects import ObjectId
from runner.workspaces.records import WorkspaceRecord
from runner.workspaces.store import Store
from runner.workspaces.sync.keeping import forget, keep, read_settings, say
from runner.workspaces.sync.link import LEAVING, Link
from runner.workspaces.sync.messages import (
    Configure,
    Disable,
    Enable,
    Fetch,
    Pull,
    Push,
    Resolve,
    Wake,
)
from runner.workspaces.sync.remote import Remote
from runner.workspaces.sync.settings import Settings, check_settings
from runner.workspaces.sync.syncing import Synced, Syncing
from runner.workspaces.sync.transfer import InThread
from runner.workspaces.whole_acts import Act

logger = logging.getLogger("runner.workspaces.sync")

LONGEST = 300.0  # seconds between two tries
SOON = 1.0  # seconds between two looks for changes
_CALM = 20  # a look takes a twentieth of the time at most


@attrs.define(eq=False)
class _Known:
    """What was seen last: when there, and what here."""

    pulled: float = -math.inf
    root: ObjectId | None = None


@attrs.define(eq=False, kw_only=True)
class SyncActor:
    """What syncs a workspace.

    Attributes:
        store: of the project.
        record: the workspace.
        look: the root of its live tree.
        apply: makes that tree another one; see `Syncing`.
        connect: see `Link`.
        acting: writes down what is done.
        clear: takes away what remotes keep beside the store; for a thread.
        in_thread: for the store.
        spec: how it is run.
    """

    store: Store
    record: WorkspaceRecord
    look: Callable[[], Awaitable[ObjectId]]
    apply: Callable[[ObjectId, ObjectId], Awaitable[object]]
    connect: Callable[[Settings, str], Awaitable[Remote]]
    acting: Callable[..., AbstractAsyncContextManager[Act]]
    clear: Callable[[], object]
    in_thread: InThread
    spec: ChildSpec = attrs.field(init=False)
    _settings: Settings | None = None
    _link: Link = attrs.field(init=False)
    _busy: trio.Lock = attrs.field(factory=trio.Lock)
    _news: trio.Event = attrs.field(factory=trio.Event)
    _failures: int = 0

    def __attrs_post_init__(self) -> None:
        self._link = Link(self.connect)
        self.spec = ChildSpec(
            key=("sync", self.record.id), open=self.open, holds=lambda _handle: self._is_at_work()
        )

    def _is_at_work(self) -> bool:
        return self._settings is not None and self._settings.mode != "manual"

    @asynccontextmanager
    async def open(self) -> AsyncGenerator[Handle, None]:
        """Be there, and do what is to be done unasked."""
        await self._read()
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._unasked)
                yield self._handle
                nursery.cancel_scope.cancel(reason="the actor of a sync has ended")
        finally:
            with trio.move_on_after(LEAVING, shield=True):
                await self._link.close()

    async def _handle(self, message: Message[Any]) -> object:
        async with self._busy:
            await self._read()
            match message:
                case Push():
                    return await self._do("push", lambda sync: sync.push(force=message.force))
                case Pull():
                    return await self._do("pull", lambda sync: sync.pull())
                case Fetch():
                    at, snapshot = message.at, message.snapshot
                    get = partial(Syncing.fetch, at=at, snapshot=snapshot)
                    return await self._do("pull", get)
                case _:
                    await self._arrange(message)
                    return None

    async def _arrange(self, message: Message[Any]) -> None:
        match message:
            case Enable():
                await self._enable(message)
            case Configure():
                await self._configure(message)
            case Resolve():
                await self._resolve(message)
            case Disable():
                await self._disable()
            case Wake():
                self._tell()
            case _:
                raise TypeError(f"the actor of a sync does not know {message!r}")

    # ------------------------------------------------------------ how it is synced

    async def _enable(self, message: Enable) -> None:
        settings, old = message.settings, self._settings
        await self._link.close()
        if old is not None and old.url != settings.url:
            await self.in_thread(self.clear)  # what it has, may be had again
        try:
            await self._link.begin(settings, message.token)
        except BaseException:
            if old is None:
                with trio.move_on_after(LEAVING, shield=True):
                    await self.in_thread(self.clear)
            raise
        if old is not None and (old.url, old.under) == (settings.url, settings.under):
            settings = attrs.evolve(
                settings,
                version=old.version,
                number=old.number,
                sent=old.sent,
                last_sync_ns=old.last_sync_ns,
            )
        await self._save(settings)

    async def _configure(self, message: Configure) -> None:
        old = self._require()
        new = attrs.evolve(
            old,
            mode=old.mode if message.mode is None else message.mode,
            interval=old.interval if message.interval is None else message.interval,
            strategy=old.strategy if message.strategy is None else message.strategy,
        )
        await self._save(check_settings(new))

    async def _resolve(self, message: Resolve) -> None:
        settings = self._require()
        known = {path for path, _ in settings.conflicts}
        strange = [each for each in message.choices if each not in known]
        if strange:
            raise SyncError(f"there is no conflict at {strange[0]!r}")
        await self._save(attrs.evolve(settings, choices={**settings.choices, **message.choices}))

    async def _disable(self) -> None:
        await self.in_thread(partial(forget, self.store, self.record.id))
        self._settings = None
        await self._link.close()
        await self.in_thread(self.clear)
        self._tell()

    async def _read(self) -> None:
        self._settings = await self.in_thread(partial(read_settings, self.store, self.record.id))

    async def _save(self, settings: Settings) -> None:
        await self.in_thread(partial(say, self.store, self.record.id, settings))
        self._settings = settings
        self._failures = 0
        self._tell()

    def _write(self, settings: Settings, refs: Mapping[str, ObjectId]) -> None:
        keep(self.store, self.record.id, settings, refs)

    def _require(self) -> Settings:
        if self._settings is None:
            how = "enable it with the URL of a remote"
            raise SyncError(f"the workspace {self.record.name!r} is not synced: {how}")
        return self._settings

    def _tell(self) -> None:
        self._news.set()
        self._news = trio.Event()

    # ------------------------------------------------------------ syncing

    async def _do(
        self,
        direction: str,
        work: Callable[[Syncing], Awaitable[Any]],
        *,
        is_asked: bool = True,
    ) -> Any:
        """Sync, written down; unasked, only what has come of it, and the first failure of a row."""
        settings = self._require()
        async with self.acting(direction=direction) as act:
            act.is_failure_said = is_asked or not self._failures
            try:
                done = await self._carry_out(settings, work)
            except WorkspaceBusy:
                act.is_failure_said = is_asked
                raise
            if isinstance(done, Synced):
                act.is_said = is_asked or bool(done.changes or done.objects)
                act.details |= {"changes": len(done.changes), "version": done.version}
            return done

    async def _carry_out(
        self, settings: Settings, work: Callable[[Syncing], Awaitable[Any]]
    ) -> Any:
        sync = Syncing(
            store=self.store,
            record=self.record,
            remote=await self._link.remote(settings),
            settings=settings,
            save=self._write,
            look=self.look,
            apply=self.apply,
            in_thread=self.in_thread,
        )
        try:
            return await work(sync)
        except SyncError as exc:
            if not exc.conflicts:
                await self._link.close()  # noqa: ASYNC120 - cancelled, nobody asks why
            raise
        finally:
            self._settings = sync.settings

    # ------------------------------------------------------------ unasked

    async def _unasked(self) -> None:
        pause, known = 0.0, _Known()
        while True:
            news = self._news
            if not self._is_at_work():
                await news.wait()
            else:
                with trio.move_on_after(pause):
                    await news.wait()
            if news.is_set():
                pause, known = 0.0, _Known()  # in another way, perhaps not at all
            try:
                async with self._busy:
                    await self._read()
                    if self._settings is not None and self._settings.mode != "manual":
                        pause = await self._once(self._settings, known)
                self._failures = 0
            except WorkspaceBusy:
                pause = LONGEST  # who has it syncs it
            except SupervisorClosed:
                await trio.sleep_forever()  # until we are ended as well
            except RunnerError as exc:
                await self._note(exc)
                pause = min(LONGEST, 2.0**self._failures) * (0.5 + random.random() / 2)  # noqa: S311

    async def _once(self, settings: Settings, known: _Known) -> float:
        """Sync if it is time to; how long there is nothing to do then."""
        start = trio.current_time()
        is_due = start - known.pulled >= settings.interval
        root = await self.look() if settings.mode == "real-time" else None
        took = trio.current_time() - start
        if is_due:
            await self._do("pull", lambda sync: sync.pull(), is_asked=False)
            known.pulled = start
        if is_due or root != known.root:
            await self._do("push", lambda sync: sync.push(), is_asked=False)
            known.root = None if root is None else await self.look()
        left = max(0.0, known.pulled + settings.interval - trio.current_time())
        return left if root is None else min(left, max(SOON, took * _CALM))

    async def _note(self, error: RunnerError) -> None:
        """It did not work: say so once, and write it down."""
        self._failures = min(self._failures + 1, 20)
        settings = self._settings
        if settings is not None and settings.trouble != str(error):
            logger.warning("the workspace %r is not synced: %s", self.record.name, error)
            said = self._settings = attrs.evolve(settings, trouble=str(error))
            with suppress(RunnerError):
                await self.in_thread(partial(self._write, said, {}))
