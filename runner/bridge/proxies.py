"""Stand-ins for objects that live in trio's thread, made from their classes.

A stand-in has the public names of its target. What is a coroutine there is a blocking call here,
or an asyncio coroutine; async context managers and iterators likewise; plain methods are carried
out in trio's thread too, so that nothing is changed from two threads. Plain values pass as they
are; whatever has async methods is given as a stand-in, and is itself again when it is handed in.

What it does not do: know any class by name. The two ways of waiting are in `Manner`'s subclasses.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Self, TypeVar

import attrs

from runner.bridge.callbacks import is_callback
from runner.bridge.calls import Call
from runner.bridge.home import Home
from runner.bridge.stay import Stay

T = TypeVar("T")
_ASYNC = ("__aenter__", "__aiter__", "__anext__")
_CLOSING = ("aclose", "close")


class StandIn:
    """What all stand-ins have. Their names begin with an underscore, as no public name does."""

    __slots__ = ("__weakref__", "_home", "_is_owner", "_stays", "_target")
    _manner: Manner
    _kind: type

    def __init__(self, /, *args: Any, **kwargs: Any) -> None:
        """One for an object that is made for it; nothing of ours does more than that when made."""
        home = Home()
        target = self._manner.bind(home, self._kind, args, kwargs)()
        self._stand_for(target, home, is_owner=True)

    def _stand_for(self, target: Any, home: Home, *, is_owner: bool = False) -> Self:
        self._target = target
        self._home = home
        self._is_owner = is_owner  # with it, the home is left
        self._stays: list[Stay] = []
        return self

    def __getattr__(self, name: str) -> object:
        if name.startswith("_"):
            raise AttributeError(f"{type(self).__name__!r} has no public attribute {name!r}")
        return self._manner.give(getattr(self._target, name), self._home)

    def __setattr__(self, name: str, value: object) -> None:
        if name.startswith("_"):
            object.__setattr__(self, name, value)
        else:
            given = self._manner.take(value, self._home)
            self._manner.do(self._home, partial(setattr, self._target, name, given))

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *(n for n in dir(self._target) if n[0] != "_")})

    def __repr__(self) -> str:
        return f"<{self._manner.word} {self._target!r}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, StandIn) and bool(self._target == other._target)

    def __hash__(self) -> int:
        return hash(self._target)


@attrs.define(eq=False)
class Manner(ABC):
    """How a program that is not trio's waits for what is carried out in trio's thread."""

    word: str
    _classes: dict[type, type[StandIn] | None] = attrs.field(factory=dict)

    # ------------------------------------------------------------ the two ways

    @abstractmethod
    def method(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """A method for stand-ins from a coroutine function of their targets."""

    @abstractmethod
    def run(self, home: Home, work: Callable[[], Awaitable[Any]]) -> Any:
        """Have something carried out: what came of it, or an awaitable of that."""

    @abstractmethod
    def do(self, home: Home, work: Callable[[], T]) -> T:
        """Have something short carried out at once, and wait for it."""

    @abstractmethod
    def protocols(self, cls: type) -> dict[str, Any]:
        """The special methods for a class with async ones."""

    @abstractmethod
    def callback(self, function: Callable[..., Any], home: Home) -> Callable[..., Any]:
        """A function that was handed in, as it is called in trio's thread."""

    # ------------------------------------------------------------ in and out

    def wrap(self, target: Any, home: Home | None = None) -> Any:
        """A stand-in with a home of its own, which it holds until it is closed or forgotten."""
        cls = self._class_of(type(target)) or self._make_class(type(target))
        return _bare(cls)._stand_for(target, home or Home(), is_owner=True)  # noqa: SLF001

    def class_of(self, cls: type) -> type:
        """The class of the stand-ins for objects that live in trio's thread; others are as here."""
        return (self._class_of(cls) or cls) if _has_coroutines(cls) else cls

    def give(self, value: Any, home: Home) -> Any:
        """A value as the caller gets it."""
        cls = type(value)
        if cls in (tuple, list):
            return cls(self.give(each, home) for each in value)
        if cls is dict:
            return {key: self.give(each, home) for key, each in value.items()}
        made = self._class_of(cls)
        if made is not None:
            return _bare(made)._stand_for(value, home)  # noqa: SLF001 - one room
        if inspect.isroutine(value):
            return self._plain(value, home)
        return value

    def take(self, value: Any, home: Home) -> Any:
        """A value as the target gets it."""
        if isinstance(value, StandIn):
            return value._target  # noqa: SLF001 - one room
        cls: type = type(value)
        if cls in (tuple, list):
            return cls(self.take(each, home) for each in value)
        if cls is dict:
            return {key: self.take(each, home) for key, each in value.items()}
        if _is_frozen(cls):
            return self._take_record(value, home)
        return self.callback(value, home) if is_callback(value) else value

    def _take_record(self, record: Any, home: Home) -> Any:
        """A record of ours, in which functions may be handed in too."""
        found = {
            field.alias: getattr(record, field.name)
            for field in attrs.fields(type(record))
            if field.init and is_callback(getattr(record, field.name, None))
        }
        if not found:
            return record
        return attrs.evolve(record, **{n: self.callback(f, home) for n, f in found.items()})

    def bind(
        self, home: Home, function: Callable[..., T], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Callable[[], T]:
        """A call with what a caller has handed in."""
        return partial(
            function,
            *(self.take(each, home) for each in args),
            **{name: self.take(each, home) for name, each in kwargs.items()},
        )

    # ------------------------------------------------------------ classes

    def _class_of(self, cls: type) -> type[StandIn] | None:
        """The class of the stand-ins for a class; None if its objects pass as they are."""
        try:
            return self._classes[cls]
        except KeyError:
            made = self._make_class(cls) if _is_async(cls) else None
            return self._classes.setdefault(cls, made)

    def _make_class(self, cls: type) -> type[StandIn]:
        names: dict[str, Any] = {
            name: self._make(cls, name)
            for name in dir(cls)
            if not name.startswith("_")
            and inspect.isroutine(inspect.getattr_static(cls, name))
            and callable(getattr(cls, name))
        }
        if "aclose" in names:
            names.setdefault("close", names["aclose"])
        names |= self.protocols(cls)
        names |= {"__slots__": (), "__doc__": cls.__doc__, "_manner": self, "_kind": cls}
        names["__module__"] = cls.__module__
        with contextlib.suppress(ValueError):  # some of C have none
            names["__signature__"] = inspect.signature(cls)
        return type(cls.__name__, (StandIn,), names)

    def _make(self, cls: type, name: str) -> Callable[..., Any]:
        function = getattr(cls, name)
        if inspect.iscoroutinefunction(function):
            return (
                self.closing(self.method(function)) if name in _CLOSING else self.method(function)
            )

        def method(stand_in: StandIn, /, *args: Any, **kwargs: Any) -> Any:
            target, home = stand_in._target, stand_in._home  # noqa: SLF001 - one room
            return self._plain(partial(function, target), home)(*args, **kwargs)

        return not_wrapping(method, function)

    @abstractmethod
    def closing(self, method: Callable[..., Any]) -> Callable[..., Any]:
        """A method after which the stand-in's home is left, if it is its owner."""

    def _plain(self, function: Callable[..., Any], home: Home) -> Callable[..., Any]:
        """A plain function of a target, carried out in trio's thread."""

        def plain(*args: Any, **kwargs: Any) -> Any:
            value = self.do(home, self.bind(home, function, args, kwargs))
            if inspect.isawaitable(value) and self._class_of(type(value)) is None:
                return self.run(home, lambda: value)
            return self.give(value, home)

        return plain


def not_wrapping(method: Callable[..., Any], function: Callable[..., Any]) -> Callable[..., Any]:
    """The method, named and described as the function, but not taken for what that is."""
    functools.update_wrapper(method, function)
    del method.__wrapped__  # type: ignore[attr-defined]  # inspect would say: a coroutine function
    with contextlib.suppress(ValueError):  # some of C have none
        method.__signature__ = inspect.signature(function)  # type: ignore[attr-defined]
    return method


def post(work: Callable[[], Awaitable[T]]) -> Callable[[Call[T]], None]:
    """How a call with this work is posted."""
    return lambda call: call.post(work)


def post_now(work: Callable[[], T]) -> Callable[[Call[T]], None]:
    """How a call with this short work is posted."""
    return lambda call: call.post_now(work)


def _bare(cls: type[StandIn]) -> StandIn:
    return cls.__new__(cls)


@functools.cache
def _is_frozen(cls: type) -> bool:
    return (
        attrs.has(cls)
        and cls.__setattr__ is not object.__setattr__
        and (cls.__setattr__.__name__ == "_frozen_setattrs")
    )


@functools.cache
def _is_async(cls: type) -> bool:
    """Whether a class has async methods, not asyncio's: its objects belong to trio's thread.

    So do context managers of ours that are not async: they give something back there.
    """
    tops = {each.__module__.partition(".")[0] for each in cls.__mro__}
    if "asyncio" in tops:
        return False
    if "runner" in tops and hasattr(cls, "__enter__"):
        return True
    return _has_coroutines(cls)


@functools.cache
def _has_coroutines(cls: type) -> bool:
    return any(hasattr(cls, name) for name in _ASYNC) or any(
        inspect.iscoroutinefunction(inspect.getattr_static(cls, name))
        for name in dir(cls)
        if not name.startswith("_")
    )
