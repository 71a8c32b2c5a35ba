"""Hooks: what is told, or asked, when something is done to a project's workspaces.

    hooks.on_commit = told            the one hook in that place; another one takes its place
    @hooks.commit                     one more
    hooks.on_before_commit = asked    as well before it: raising `HookVeto`, or False, refuses it
    @hooks.before_commit

Hooks are plain functions or coroutine functions. They get what the event is about:

    workspace_create(workspace)       snapshot(workspace, snapshot)    sync(workspace, direction)
    command(workspace, command)       restore(workspace, snapshot)
    commit(workspace, message)        delete(workspace)

Before a workspace is made, there is none: then `workspace` is its name. Order: the place's hook,
those that were added, executable files (hook_files.py).

Rules:

1. Those before are asked before anything is changed; the first that refuses ends it.
2. A hook that fails (any other exception, or no end within `deadline` seconds) loses nothing: the
   operation stands, or goes on. It is logged and answered, so that it can be audited.
3. What is cancelled is cancelled: a hook's time is its caller's.

A plain function is called in trio's thread, and has to be short.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Literal, TypeAlias, TypeVar, get_args, overload

import attrs
import trio

from runner.errors import ConfigError, HookVeto
from runner.workspaces.hook_files import NO_FILES, HookFiles, Occasion

logger = logging.getLogger("runner.workspaces.hooks")

Event: TypeAlias = Literal[
    "workspace_create", "command", "snapshot", "commit", "restore", "delete", "sync"
]
EVENTS: tuple[Event, ...] = get_args(Event)
Hook: TypeAlias = Callable[..., object]
HookT = TypeVar("HookT", bound=Hook)
DEADLINE = 60.0  # seconds
NOTHING: Mapping[str, str] = MappingProxyType({})


@attrs.frozen(kw_only=True)
class HookFailure:
    """A hook that failed; the operation is none the worse.

    Attributes:
        event: as in `EVENTS`, with "before_" in front where it was asked before.
        hook: its name.
        reason: what it failed with.
    """

    event: str
    hook: str
    reason: str


class _Place:
    """`hooks.on_…`: the one hook in that place, or None."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._event = name.removeprefix("on_")

    @overload
    def __get__(self, hooks: None, owner: type) -> _Place: ...
    @overload
    def __get__(self, hooks: Hooks, owner: type) -> Hook | None: ...
    def __get__(self, hooks: Hooks | None, owner: type) -> Hook | _Place | None:
        return self if hooks is None else hooks.places.get(self._event)

    def __set__(self, hooks: Hooks, hook: Hook | None) -> None:
        if hook is None:
            hooks.places.pop(self._event, None)
        else:
            hooks.places[self._event] = _callable(self._event, hook)


class _Added:
    """`@hooks.…`: adds a hook."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._event = name

    @overload
    def __get__(self, hooks: None, owner: type) -> _Added: ...
    @overload
    def __get__(self, hooks: Hooks, owner: type) -> Callable[[HookT], HookT]: ...
    def __get__(self, hooks: Hooks | None, owner: type) -> Callable[[HookT], HookT] | _Added:
        if hooks is None:
            return self

        def add(hook: HookT) -> HookT:
            hooks.added.setdefault(self._event, []).append(_callable(self._event, hook))
            return hook

        return add

    def __set__(self, hooks: Hooks, hook: object) -> None:
        way = f"`hooks.on_{self._event} = …` puts one there, `@hooks.{self._event}` adds one"
        raise ConfigError(f"hooks.{self._event} cannot be set: {way}")


class Hooks:
    """The hooks of a project.

    Args:
        files: executable files that are hooks as well.
        deadline: seconds for each hook.
    """

    on_workspace_create = _Place()
    on_command = _Place()
    on_snapshot = _Place()
    on_commit = _Place()
    on_restore = _Place()
    on_delete = _Place()
    on_sync = _Place()
    on_before_workspace_create = _Place()
    on_before_command = _Place()
    on_before_snapshot = _Place()
    on_before_commit = _Place()
    on_before_restore = _Place()
    on_before_delete = _Place()
    on_before_sync = _Place()

    workspace_create = _Added()
    command = _Added()
    snapshot = _Added()
    commit = _Added()
    restore = _Added()
    delete = _Added()
    sync = _Added()
    before_workspace_create = _Added()
    before_command = _Added()
    before_snapshot = _Added()
    before_commit = _Added()
    before_restore = _Added()
    before_delete = _Added()
    before_sync = _Added()

    def __init__(self, files: HookFiles = NO_FILES, *, deadline: float = DEADLINE) -> None:
        """No hooks yet but the files."""
        self.files = files
        self.deadline = deadline
        self.places: dict[str, Hook] = {}
        self.added: dict[str, list[Hook]] = {}

    def __setattr__(self, name: str, value: object) -> None:
        if name.startswith("on_") and not hasattr(type(self), name):
            events = ", ".join(EVENTS)
            raise ConfigError(f"there is no event for hooks.{name}; the events are {events}")
        super().__setattr__(name, value)

    def has(self, event: Event) -> bool:
        """Whether there may be any hook for an event, before or after it."""
        names = (event, f"before_{event}")
        return bool(self.files) or any(self._hooks(name) for name in names)

    async def before(
        self, event: Event, occasion: Occasion, *about: object
    ) -> tuple[HookFailure, ...]:
        """Ask the hooks before something is done; nothing may have been changed yet.

        Args:
            event: what is to be done.
            occasion: the workspace, for executable files.
            about: what the other hooks get.

        Returns:
            Those that failed: their word does not count.

        Raises:
            HookVeto: one refuses it.
        """
        name = f"before_{event}"
        failures = []
        for hook in self._hooks(name):
            answer = await self._call(name, hook, about)
            if isinstance(answer, HookFailure):
                failures.append(answer)
            elif answer is False:
                raise HookVeto(_name_of(hook))
        await self.files.ask(event, occasion)
        return tuple(failures)

    async def after(
        self, event: Event, occasion: Occasion, *about: object
    ) -> tuple[HookFailure, ...]:
        """Tell the hooks what was done; those that failed are answered."""
        failures = []
        for hook in self._hooks(event):
            answer = await self._call(event, hook, about)
            if isinstance(answer, HookFailure):
                failures.append(answer)
        for path, reason in await self.files.tell(event, occasion):
            failures.append(_failure(event, path, reason))
        return tuple(failures)

    def _hooks(self, name: str) -> tuple[Hook, ...]:
        place = self.places.get(name)
        return (*([] if place is None else [place]), *self.added.get(name, ()))

    async def _call(self, event: str, hook: Hook, about: tuple[object, ...]) -> object:
        """A hook's answer; or its failure, unless it refuses where it may."""
        try:
            with trio.fail_after(self.deadline):
                answer = hook(*about)
                return await answer if inspect.isawaitable(answer) else answer
        except trio.TooSlowError:
            return _failure(event, _name_of(hook), f"it took more than {self.deadline:g} seconds")
        except Exception as error:
            veto = _veto_in(error)
            if veto is not None and event.startswith("before_"):
                raise veto from veto.__cause__
            if veto is not None:
                late = f"it is too late to refuse it: {veto.reason}"
                return _failure(event, _name_of(hook), late)
            logger.debug("a hook failed", exc_info=error)
            return _failure(event, _name_of(hook), f"{type(error).__name__}: {error}")


def _failure(event: str, hook: str, reason: str) -> HookFailure:
    logger.warning("the hook %s of %s failed: %s", hook, event, reason)
    return HookFailure(event=event, hook=hook, reason=reason)


def _veto_in(error: BaseException) -> HookVeto | None:
    """What refuses it, also among what tasks of a hook have raised together."""
    if isinstance(error, BaseExceptionGroup):
        return next(filter(None, map(_veto_in, error.exceptions)), None)
    return error if isinstance(error, HookVeto) else None


def _callable(event: str, hook: HookT) -> HookT:
    if not callable(hook):
        raise ConfigError(f"the hook for {event} is {hook!r}, which cannot be called")
    return hook


def _name_of(hook: Any) -> str:
    return str(getattr(hook, "__qualname__", None) or repr(hook))
