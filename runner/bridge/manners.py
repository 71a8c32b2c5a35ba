"""The two ways in which a program that is not trio's waits: a thread, or an asyncio task."""

from __future__ import annotations

import asyncio
import functools
import sys
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, TypeVar

from runner.bridge.callbacks import InLoop, InThread, is_async
from runner.bridge.calls import current_call, wait, wait_in_asyncio
from runner.bridge.home import Home
from runner.bridge.proxies import Manner, StandIn, not_wrapping, post, post_now
from runner.bridge.stay import Stay, is_just

T = TypeVar("T")

# Stand-ins and manners are one room: they use each other's private names.
# ruff: noqa: SLF001


class Blocking(Manner):
    """The caller's thread waits."""

    def __init__(self) -> None:
        super().__init__("blocking")

    def method(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """A method that waits."""

        @functools.wraps(function)
        def method(stand_in: StandIn, /, *args: Any, **kwargs: Any) -> Any:
            home = stand_in._home
            work = self.bind(home, partial(function, stand_in._target), args, kwargs)
            return self.run(home, work)

        return not_wrapping(method, function)

    def closing(self, method: Callable[..., Any]) -> Callable[..., Any]:
        """A method after which the home is left."""

        @functools.wraps(method)
        def closing(stand_in: StandIn, /, *args: Any, **kwargs: Any) -> Any:
            try:
                return method(stand_in, *args, **kwargs)
            finally:
                _leave(stand_in)

        return closing

    def run(self, home: Home, work: Callable[[], Awaitable[Any]]) -> Any:
        """What came of it."""
        return self.give(wait(home.thread, post(work)), home)

    def do(self, home: Home, work: Callable[[], T]) -> T:
        """What came of it."""
        return wait(home.thread, post_now(work))

    def callback(self, function: Callable[..., Any], home: Home) -> Callable[..., Any]:
        """A coroutine function can only be trio's; any other is called in the caller's thread."""
        if is_async(function):
            return function
        give, take = partial(self.give, home=home), partial(self.take, home=home)
        return InThread(function, give, take, current_call())

    def bind(
        self, home: Home, function: Callable[..., T], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Callable[[], T]:
        """A call with what a caller has handed in, which is looked at in the call itself."""
        bind = super().bind
        return lambda: bind(home, function, args, kwargs)()  # noqa: PLW0108 - not before that

    def protocols(self, cls: type) -> dict[str, Any]:
        """`with` for `async with`, `for` for `async for`."""
        made = _of_blocks(cls)
        if hasattr(cls, "__aenter__"):
            made |= {"__enter__": _enter, "__exit__": _exit}
        if hasattr(cls, "__aiter__"):
            made["__iter__"] = _iterate
        if hasattr(cls, "__anext__"):
            made["__next__"] = _next
        return made


def _enter(stand_in: StandIn) -> Any:
    home = stand_in._home
    stay = Stay(home.thread, stand_in._target)
    try:
        value = wait(home.thread, post(stay.enter))
    except BaseException:
        try:
            if stay.is_inside:  # interrupted at the very moment when it was entered
                wait(home.thread, post(partial(stay.leave, *sys.exc_info())))
        finally:
            _leave(stand_in)
        raise
    stand_in._stays.append(stay)
    return stand_in if value is stand_in._target else stand_in._manner.give(value, home)


def _exit(stand_in: StandIn, *raised: Any) -> bool | None:
    stay = stand_in._stays.pop()
    if not stay.is_ours:  # the block is the parent's, too, and it is the parent that leaves
        return False
    try:
        return wait(stand_in._home.thread, post(partial(stay.leave, *raised)))
    except BaseException as error:
        if is_just(error, raised[1]):
            return False  # noqa: ASYNC104 - then `with` raises it
        raise
    finally:
        _leave(stand_in)


def _leave(stand_in: StandIn) -> None:
    ended = stand_in._home.leave() if stand_in._is_owner else None
    if ended is not None:
        ended.join()


def _of_blocks(cls: type) -> dict[str, Any]:
    """For a class whose block is entered and left without waiting."""
    if not hasattr(cls, "__enter__"):
        return {}

    def enter(stand_in: StandIn) -> Any:
        value = stand_in._manner.do(stand_in._home, stand_in._target.__enter__)
        return (
            stand_in if value is stand_in._target else stand_in._manner.give(value, stand_in._home)
        )

    def leave(stand_in: StandIn, *raised: Any) -> Any:
        return stand_in._manner.do(stand_in._home, partial(stand_in._target.__exit__, *raised))

    return {"__enter__": enter, "__exit__": leave}


def _iterate(stand_in: StandIn) -> Any:
    value = stand_in._manner.do(stand_in._home, stand_in._target.__aiter__)
    return stand_in if value is stand_in._target else stand_in._manner.give(value, stand_in._home)


def _next(stand_in: StandIn) -> Any:
    try:
        return stand_in._manner.run(stand_in._home, stand_in._target.__anext__)
    except StopAsyncIteration:
        raise StopIteration from None


class Asyncio(Manner):
    """The caller's task waits; its event loop goes on."""

    def __init__(self) -> None:
        super().__init__("asyncio")

    def method(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """A coroutine function of asyncio."""

        @functools.wraps(function)
        async def method(stand_in: StandIn, /, *args: Any, **kwargs: Any) -> Any:
            home = stand_in._home
            work = self.bind(home, partial(function, stand_in._target), args, kwargs)
            return self.give(await wait_in_asyncio(home.thread, post(work)), home)

        return method

    def closing(self, method: Callable[..., Any]) -> Callable[..., Any]:
        """A method after which the home is left."""

        @functools.wraps(method)
        async def closing(stand_in: StandIn, /, *args: Any, **kwargs: Any) -> Any:
            try:
                return await method(stand_in, *args, **kwargs)
            finally:
                await _leave_in_asyncio(stand_in)

        return closing

    async def run(self, home: Home, work: Callable[[], Awaitable[Any]]) -> Any:
        """What came of it, for whoever awaits this."""
        return self.give(await wait_in_asyncio(home.thread, post(work)), home)

    def do(self, home: Home, work: Callable[[], T]) -> T:
        """What came of it; the event loop waits, but only as long as trio's needs for one step."""
        return wait(home.thread, post_now(work), serve=False)

    def callback(self, function: Callable[..., Any], home: Home) -> Callable[..., Any]:
        """A function, or a coroutine function, that is called in the caller's event loop."""
        return InLoop(function, partial(self.give, home=home), partial(self.take, home=home), home)

    def protocols(self, cls: type) -> dict[str, Any]:
        """The same, of asyncio."""
        made = _of_blocks(cls)
        if hasattr(cls, "__aenter__"):
            made |= {"__aenter__": _aenter, "__aexit__": _aexit}
        if hasattr(cls, "__aiter__"):
            made["__aiter__"] = _iterate
        if hasattr(cls, "__anext__"):
            made["__anext__"] = _anext
        return made


async def _aenter(stand_in: StandIn) -> Any:
    home = stand_in._home
    stay = Stay(home.thread, stand_in._target)
    try:
        value = await wait_in_asyncio(home.thread, post(stay.enter))
    except BaseException:
        try:
            if stay.is_inside:  # cancelled at the very moment when it was entered
                leave = post(partial(stay.leave, *sys.exc_info()))
                await wait_in_asyncio(home.thread, leave)
        finally:
            await _leave_in_asyncio(stand_in)
        raise
    stand_in._stays.append(stay)
    return stand_in if value is stand_in._target else stand_in._manner.give(value, home)


async def _aexit(stand_in: StandIn, *raised: Any) -> bool | None:
    stay = stand_in._stays.pop()
    if not stay.is_ours:  # as above
        return False
    try:
        leave = post(partial(stay.leave, *raised))
        return await wait_in_asyncio(stand_in._home.thread, leave)
    except BaseException as error:
        if is_just(error, raised[1]):
            return False  # noqa: ASYNC104 - then `with` raises it
        raise
    finally:
        await _leave_in_asyncio(stand_in)


async def _leave_in_asyncio(stand_in: StandIn) -> None:
    ended = stand_in._home.leave() if stand_in._is_owner else None
    if ended is None:
        return
    loop = asyncio.get_running_loop()
    at_end = asyncio.Event()
    ended.when_ended(lambda: loop.call_soon_threadsafe(at_end.set))
    await at_end.wait()
    ended.join()  # it is past its last line


async def _anext(stand_in: StandIn) -> Any:
    work = stand_in._target.__anext__
    home = stand_in._home
    return stand_in._manner.give(await wait_in_asyncio(home.thread, post(work)), home)
