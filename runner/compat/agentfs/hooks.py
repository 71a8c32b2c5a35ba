"""Hooks that programs which are not trio's hand in: called where they live.

In a task of asyncio's that is its event loop, in a synchronous program the thread that waits; what
nobody waits for (such as a sync from time to time) has a thread of its own. So they may use AgentFS
themselves. They get our events' arguments in AgentFS's words: a `Workspace`, a `Snapshot`, …
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

import trio

from runner.bridge.callbacks import InLoop, InThread
from runner.bridge.calls import current_call
from runner.errors import ConfigError
from runner.workspaces.hooks import EVENTS
from runner.workspaces.hooks import Hooks as OurHooks
from runner.workspaces.project import Project

Function = Callable[..., Any]
Give = Callable[[object], object]


class Hooks:
    """The hooks of a project; which there are, see `runner.workspaces.hooks`.

    `hooks.on_commit = f` takes the one place of that event, `@hooks.commit` adds a hook. As in
    AgentFS's TypeScript, `on("workspaceCreate", f)` adds one as well, `once` for one time, and
    `off` has it called no more.
    """

    def __init__(self, give: Give) -> None:
        """No hooks yet.

        Args:
            give: makes of an argument of ours what AgentFS's hooks get.
        """
        object.__setattr__(self, "_give", give)
        object.__setattr__(self, "_own", OurHooks())  # says what cannot be
        object.__setattr__(self, "_all", [])
        object.__setattr__(self, "_added", [])
        object.__setattr__(self, "_there", None)

    def put_on(self, project: Project) -> None:
        """Have a project know them, once; from now on also of those that are set later."""
        if project.hooks is not self._there:
            object.__setattr__(self, "_there", project.hooks)
            for work in self._all:
                work(project.hooks)

    def on(self, event: str, hook: Function) -> Function:
        """Add a hook; the event is such as "commit" or "workspaceCreate"."""
        return self._add(_event(event), hook)

    def once(self, event: str, hook: Function) -> Function:
        """Add a hook that is called one time at most."""
        self._do(partial(_add, _event(event), self._placed(_event(event), hook, is_once=True)))
        return hook

    def off(self, event: str, hook: Function | None = None) -> None:
        """Call a hook no more that was added; or none of the event."""
        name = _event(event)
        for each in self._added:
            if each.event == name and hook in {None, each.hook}:
                each.is_off = True

    def __setattr__(self, name: str, hook: object) -> None:
        if not name.startswith("on_"):
            setattr(self._own, name, hook)  # it says how it is done
            return
        self._do(partial(_place, name, self._hook(hook)))

    def __getattr__(self, name: str) -> Any:
        if name.startswith("on_"):
            found = getattr(self._own, name)
            return None if found is None else found.hook
        if name.removeprefix("before_") in EVENTS:
            return partial(self._add, name)
        raise AttributeError(f"there is no event {name!r}")

    def _add(self, name: str, hook: Function) -> Function:
        self._do(partial(_add, name, self._placed(name, hook)))
        return hook

    def _placed(self, name: str, hook: Function, *, is_once: bool = False) -> Placed:
        made = Placed(hook, self._give, event=name, is_once=is_once)
        self._added.append(made)
        return made

    def _hook(self, hook: object) -> object:
        return Placed(hook, self._give) if callable(hook) else hook

    def _do(self, work: Callable[[OurHooks], None]) -> None:
        work(self._own)
        self._all.append(work)
        if self._there is not None:
            work(self._there)


class Placed:
    """A hook, as ours are called: in trio's thread."""

    def __init__(
        self, hook: Function, give: Give, *, event: str = "", is_once: bool = False
    ) -> None:
        """Keep it."""
        self.hook, self._give = hook, give
        self.event, self.is_once, self.is_off = event, is_once, False
        self.__qualname__ = getattr(hook, "__qualname__", repr(hook))

    async def __call__(self, *about: object) -> object:
        """Have it called where it lives, and give what it answers."""
        if self.is_off:
            return None
        self.is_off = self.is_once
        given = [self._give(each) for each in about]
        call = current_call()
        if call is not None and call.loop is not None:
            answer = InLoop(self.hook, _same, _same, call.thread, call.loop)(*given)  # type: ignore[arg-type]  # has a thread, as a home has
        elif call is not None and call.inbox is not None:
            answer = InThread(partial(_carried_out, self.hook), _same, _same, call)(*given)
        else:
            answer = await trio.to_thread.run_sync(partial(_carried_out, self.hook, *given))
        return await answer if inspect.isawaitable(answer) else answer


def _event(event: str) -> str:
    """An event of AgentFS's as ours are called.

    Raises:
        ConfigError: there is none.
    """
    name = "".join(f"_{each.lower()}" if each.isupper() else each for each in event)
    if name.removeprefix("before_") not in EVENTS:
        raise ConfigError(f"there is no event {event!r}; the events are {', '.join(EVENTS)}")
    return name


def _carried_out(hook: Function, *about: object) -> object:
    """What a hook answers in a thread that waits; a coroutine function has a loop of its own."""
    answer = hook(*about)
    return asyncio.run(_awaited(answer)) if inspect.isawaitable(answer) else answer


async def _awaited(answer: Any) -> object:
    return await answer


def _same(value: object) -> object:
    return value


def _place(name: str, hook: object, hooks: OurHooks) -> None:
    setattr(hooks, name, hook)


def _add(name: str, hook: Function, hooks: OurHooks) -> None:
    getattr(hooks, name)(hook)
