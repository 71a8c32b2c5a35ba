"""Where the runner of an `AgentFS` lives: in the bridge's thread, one for all with its options.

    Place (a project's directory, options) ──holds──► House (one runner) ──► its Project

A house is opened at the first use and left when the last place that holds it is closed or
forgotten. One that is made anew waits until the one before it has been left: a workspace is one
runner's at a time. Nothing of it crosses a fork: the child begins without.
"""

from __future__ import annotations

import asyncio
import os
import threading
import weakref
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import TypeAlias, TypeVar

import attrs
import trio

from runner.bridge.calls import wait, wait_in_asyncio
from runner.bridge.home import Home
from runner.bridge.proxies import post
from runner.bridge.stay import Stay
from runner.bridge.thread import TrioThread
from runner.config import RunnerConfig
from runner.errors import SupervisorClosed
from runner.runner import Runner
from runner.runtime import open_runner
from runner.workspaces.project import Project

T = TypeVar("T")
Key: TypeAlias = tuple[RunnerConfig, str]
_houses: dict[Key, House] = {}
_lock = threading.Lock()


@attrs.define(eq=False)
class House:
    """A runner for programs that are not trio's.

    Attributes:
        key: its options and its state directory.
        home: keeps trio's thread.
        thread: that.
    """

    key: Key
    before: House | None
    home: Home = attrs.field(factory=lambda: Home(once=True))
    thread: TrioThread = attrs.field(init=False)
    _holders: int = 0
    _runner: Runner | None = None
    _stay: Stay | None = None
    _opening: trio.Lock = attrs.field(factory=trio.Lock)
    _left: trio.Event = attrs.field(factory=trio.Event)

    def __attrs_post_init__(self) -> None:
        self.thread = self.home.thread

    @classmethod
    def hold(cls, key: Key) -> House:
        """The house of those options; it is there until everybody has let go of it."""
        with _lock:
            found = _houses.get(key)
            if found is None or not found._holders:  # noqa: SLF001 - of the same class
                found = _houses[key] = cls(key, found)
            found._holders += 1
            return found

    async def runner(self) -> Runner:
        """Its runner; in trio's thread."""
        async with self._opening:
            if self.before is not None:
                await self.before._left.wait()  # noqa: SLF001 - of the same class
                self.before = None
            if self._runner is None:
                config, state = self.key
                stay = Stay(self.thread, open_runner(config, state=state))
                self._runner = await stay.enter()  # type: ignore[assignment]  # what it gives
                self._stay = stay
            assert self._runner is not None
            return self._runner

    # ------------------------------------------------------------ letting go

    def let_go(self) -> None:
        """For a thread that waits."""
        if self.thread.is_ours and self._is_last():
            with suppress(SupervisorClosed):
                wait(self.thread, post(self._leave))
            ended = self.home.leave()
            if ended is not None:
                ended.join()

    async def let_go_in_asyncio(self) -> None:
        """For a task of asyncio's."""
        if self.thread.is_ours and self._is_last():
            with suppress(SupervisorClosed):
                await wait_in_asyncio(self.thread, post(self._leave))
            ended = self.home.leave()
            if ended is not None:
                await asyncio.get_running_loop().run_in_executor(None, ended.join)

    def forget(self) -> None:
        """For a finalizer, which may run while anything is locked."""
        if self.thread.is_ours:
            with suppress(SupervisorClosed):  # Python ends, and has ended it
                self.thread.post(self._let_go_here)

    def _let_go_here(self) -> None:
        if self._is_last():
            with suppress(RuntimeError):  # the nursery is closed: all of it is being put down
                self.thread.nursery.start_soon(self._end)

    async def _end(self) -> None:
        await self._leave()
        self.home.leave()

    async def _leave(self) -> None:
        try:
            async with self._opening:
                stay, self._stay, self._runner = self._stay, None, None
                if stay is not None:
                    await stay.leave(None, None, None)
        finally:
            self._left.set()
            with _lock:
                if _houses.get(self.key) is self:
                    del _houses[self.key]

    def _is_last(self) -> bool:
        with _lock:
            self._holders -= 1
            return not self._holders


@attrs.define(eq=False)
class Place:
    """A project, for whoever has its names.

    Attributes:
        base: its directory, absolute.
        store: where its store and live trees are; None = in the runner's state.
        key: the options of its runner, and its state directory.
        prepared: is called with the project whenever it was got.
    """

    base: str
    store: str | None
    key: Key
    prepared: Callable[[Project], object] = lambda project: None
    _house: House | None = None
    _forgotten: weakref.finalize[..., Place] | None = None
    _lock: threading.Lock = attrs.field(factory=threading.Lock)

    @property
    def home(self) -> Home:
        """Where its objects live."""
        return self.house.home

    @property
    def house(self) -> House:
        """Its runner's; from now on it is held."""
        with self._lock:
            if self._house is None or not self._house.thread.is_ours:
                self._house = House.hold(self.key)
                self._forgotten = weakref.finalize(self, self._house.forget)
                self._forgotten.atexit = False
            return self._house

    async def project(self) -> Project:
        """The project; in trio's thread."""
        runner = await self.house.runner()
        project = runner.project(self.base, store=self.store)
        self.prepared(project)
        return project

    def wait(self, work: Callable[[], Awaitable[T]]) -> T:
        """Have something carried out in trio's thread, and wait for it in this one."""
        return wait(self.house.thread, post(work))

    async def wait_in_asyncio(self, work: Callable[[], Awaitable[T]]) -> T:
        """Have something carried out in trio's thread, and wait for it in this task."""
        return await wait_in_asyncio(self.house.thread, post(work))

    def close(self) -> None:
        """Let go of it; it may be used again."""
        house = self._let_go()
        if house is not None:
            house.let_go()

    async def close_in_asyncio(self) -> None:
        """The same for a task of asyncio's."""
        house = self._let_go()
        if house is not None:
            await house.let_go_in_asyncio()

    def _let_go(self) -> House | None:
        with self._lock:
            house, self._house = self._house, None
            if self._forgotten is not None:
                self._forgotten.detach()
        return house


def _forget_all() -> None:
    global _lock  # noqa: PLW0603 - another thread may have held it at the fork
    _houses.clear()
    _lock = threading.Lock()


os.register_at_fork(after_in_child=partial(_forget_all))
