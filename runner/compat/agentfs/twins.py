"""Each method twice: `name` waits in the caller's thread, `name_async` in a task of asyncio's.

Both are made from one coroutine function, which is carried out in trio's thread. A block likewise:
one object for `with` and for `async with`.
"""

from __future__ import annotations

import functools
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Concatenate, Generic, ParamSpec, TypeVar

from runner.asyncio import ASYNCIO
from runner.blocking import BLOCKING
from runner.compat.agentfs.houses import Place

P = ParamSpec("P")
T = TypeVar("T")
SelfT = TypeVar("SelfT", bound="Twinned")


class Twinned:
    """What has methods of both kinds; a subclass says which place they are about."""

    _place: Place

    def __init_subclass__(cls) -> None:
        """Give each method that was made by `both` its twin."""
        for name, method in list(vars(cls).items()):
            work = getattr(method, "work", None)
            if work is not None:
                setattr(cls, f"{name}_async", _twin(work, name))

    if TYPE_CHECKING:  # the twins, of which type checkers know only that they are coroutines

        def __getattr__(self, name: str) -> Callable[..., Coroutine[Any, Any, Any]]: ...


def both(
    work: Callable[Concatenate[SelfT, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[SelfT, P], T]:
    """The method that waits, from what is carried out in trio's thread."""

    @functools.wraps(work)
    def method(self: SelfT, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self._place.wait(partial(work, self, *args, **kwargs))

    del method.__wrapped__  # inspect would say: a coroutine function
    method.work = work  # type: ignore[attr-defined]  # for the twin
    return method


def _twin(work: Callable[..., Coroutine[Any, Any, Any]], name: str) -> Callable[..., Any]:
    @functools.wraps(work)
    async def method(self: Twinned, /, *args: Any, **kwargs: Any) -> Any:
        place = self._place
        return await place.wait_in_asyncio(partial(work, self, *args, **kwargs))

    method.__name__ = f"{name}_async"
    method.__qualname__ += "_async"
    return method


class Block(Generic[T]):
    """A block of trio's for programs that are not: `with`, or `async with` under asyncio."""

    def __init__(self, place: Place, make: Callable[[], AbstractAsyncContextManager[T]]) -> None:
        """Nothing happens before it is entered."""
        self._place, self._make = place, make
        self._inner: list[Any] = []

    @asynccontextmanager
    async def _stay(self, found: list[T]) -> AsyncGenerator[None, None]:
        async with self._make() as value:
            found.append(value)  # as it is: the bridge would give a stand-in
            yield

    def __enter__(self) -> T:
        found: list[T] = []
        inner = BLOCKING.give(self._stay(found), self._place.home)
        inner.__enter__()
        self._inner.append(inner)
        return found[0]

    def __exit__(self, *raised: object) -> bool | None:
        left: bool | None = self._inner.pop().__exit__(*raised)
        return left

    async def __aenter__(self) -> T:
        found: list[T] = []
        inner = ASYNCIO.give(self._stay(found), self._place.home)
        await inner.__aenter__()
        self._inner.append(inner)
        return found[0]

    async def __aexit__(self, *raised: object) -> bool | None:
        left: bool | None = await self._inner.pop().__aexit__(*raised)  # noqa: ASYNC102 - of asyncio
        return left
