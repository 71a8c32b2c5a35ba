"""What the bridge's tests share: places, waiting on facts, and an object of trio's to be wrapped."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any

import attrs
import pytest
import trio


def _until(fact: Callable[[], Any], seconds: float = 20.0) -> Any:
    """Poll a fact until it is true, and give it."""
    deadline = time.monotonic() + seconds
    while not (found := fact()):
        assert time.monotonic() < deadline, "it has not come to be in time"
        threading.Event().wait(0.005)
    return found


def _is_alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.fixture(autouse=True)
def ctrl_c():
    """Ctrl-C interrupts, also where the tests were started in the background: there it is ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def until():
    return _until


@pytest.fixture
def is_alive():
    return _is_alive


@pytest.fixture
def trio_threads():
    """How many threads of the bridge there are."""
    return lambda: sum(each.name == "runner trio" for each in threading.enumerate())


@pytest.fixture(autouse=True)
def nothing_is_left(trio_threads):
    before = trio_threads()  # not 0 after a test that failed, which keeps its objects
    yield
    _until(lambda: trio_threads() <= before, 5.0)


@attrs.frozen(kw_only=True)
class Wish:
    """A record with a function in it."""

    ask: Callable[[str], Any]
    text: str = "?"


class Ticker:
    """An async iterator of three numbers."""

    def __init__(self) -> None:
        self.next = 0

    def __aiter__(self) -> Ticker:
        return self

    async def __anext__(self) -> int:
        await trio.lowlevel.checkpoint()
        self.next += 1
        if self.next > 3:
            raise StopAsyncIteration
        return self.next

    async def aclose(self) -> None:
        self.next = 100


class Thing:
    """Something of trio's, as scopes and sessions are."""

    def __init__(self, name: str = "thing") -> None:
        self.name = name
        self.seen: list[str] = []
        self.was_put_down = threading.Event()
        self.is_waiting = threading.Event()
        self.thread: int | None = None

    async def twice(self, number: int, *, plus: int = 0) -> int:
        """Twice a number."""
        await trio.lowlevel.checkpoint()
        return 2 * number + plus

    def plain(self, text: str) -> str:
        self.thread = threading.get_ident()
        return text.upper()

    def another(self) -> Thing:
        return Thing(self.name + "'s")

    async def others(self) -> tuple[Thing, dict[str, Thing]]:
        await trio.lowlevel.checkpoint()
        return Thing("a"), {"b": Thing("b")}

    async def names(self, *things: Thing) -> list[str]:
        await trio.lowlevel.checkpoint()
        assert all(type(each) is Thing for each in things)
        return [each.name for each in things]

    async def fail(self, error: BaseException) -> None:
        await trio.lowlevel.checkpoint()
        raise error

    async def hang(self, slow: float = 0.0) -> None:
        """Wait for ever; to be put down takes `slow` seconds."""
        try:
            self.is_waiting.set()
            await trio.sleep_forever()
        finally:
            with trio.move_on_after(slow, shield=True):
                await trio.sleep_forever()
            self.was_put_down.set()

    def ticker(self) -> Ticker:
        return Ticker()

    async def generated(self) -> AsyncGenerator[int, None]:
        for number in range(3):
            await trio.lowlevel.checkpoint()
            yield number

    @asynccontextmanager
    async def opened(self, *, slow: float = 0.0) -> AsyncGenerator[Thing, None]:
        """A context manager with a nursery in it."""
        self.seen.append("entering")
        raised = None
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.hang, slow)
            try:
                await trio.lowlevel.checkpoint()
                yield Thing("opened")
            except trio.Cancelled:
                raise
            except BaseException as error:  # noqa: BLE001
                raised = error
                self.seen.append(type(error).__name__)
            else:
                self.seen.append("left")
            nursery.cancel_scope.cancel()
        if raised is not None:
            raise raised

    @asynccontextmanager
    async def breaking(self) -> AsyncGenerator[Thing, None]:
        """One whose background ends it with an error."""
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self.fail, LookupError("in the background"))
                yield self
        except ExceptionGroup as group:
            raise group.exceptions[0] from None

    async def ask(self, wish: Wish) -> object:
        return await wish.ask(wish.text)

    async def tell(self, observer: Callable[[int], object], hang: bool = False) -> str:
        await trio.lowlevel.checkpoint()
        for number in range(5):
            observer(number)
        if hang:
            await trio.sleep_forever()
        return "told"

    async def tell_in_the_background(self, observer: Callable[[int], object]) -> None:
        trio.lowlevel.spawn_system_task(self.tell, observer)
        await trio.lowlevel.checkpoint()

    async def context(self, variable: Any) -> object:
        await trio.lowlevel.checkpoint()
        return variable.get()

    async def pid(self) -> int:
        await trio.lowlevel.checkpoint()
        return os.getpid()

    async def aclose(self) -> None:
        await trio.lowlevel.checkpoint()
        self.seen.append("closed")


@pytest.fixture
def thing():
    return Thing()


@pytest.fixture
def wish():
    return Wish
