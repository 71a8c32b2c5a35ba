"""The thread in which trio runs for programs that are synchronous or run under asyncio.

Model. There is one such thread in a process: it starts when it is first held and ends when the last
who holds it lets go, or when Python ends: then what is still open is cancelled and put down first.
Nothing of it crosses a fork: the child begins without; what the parent had opened refuses there.

What it does not do: wait for anything in the caller's way (calls.py), or know what it carries out.
"""

from __future__ import annotations

import atexit
import os
import threading
import weakref
from collections.abc import Callable
from typing import TypeVarTuple

import trio

from runner.errors import SupervisorClosed

AT_EXIT = 30.0  # seconds that what is still open gets when Python ends; each part bounds itself

Ts = TypeVarTuple("Ts")


class TrioThread:
    """A thread in which trio runs.

    Attributes:
        pid: of the process that it is in.
        nursery: where calls are carried out.
    """

    nursery: trio.Nursery
    _token: trio.lowlevel.TrioToken
    _stopping: trio.Event

    def __init__(self) -> None:
        """Start it, and wait until it takes calls: about a millisecond."""
        self.pid = os.getpid()
        self.holders = 0
        self._error: BaseException | None = None
        self._ready = threading.Event()
        self._end_lock = threading.Lock()
        self._at_end: list[Callable[[], object]] | None = []
        self._thread = threading.Thread(target=self._run, name="runner trio", daemon=True)
        self._thread.start()
        self._ready.wait()
        if self._error is not None:
            raise self._error

    def post(self, work: Callable[[*Ts], object], *args: *Ts) -> None:
        """Have a function called in trio's thread, in the order of posting. Never waits.

        Raises:
            SupervisorClosed: the thread has ended, or is not of this process.
        """
        if not self.is_ours:
            raise SupervisorClosed(
                f"this was opened in process {self.pid}, and process {os.getpid()} was forked from"
                " it: open a runner or a backend of its own after the fork"
            )
        try:
            self._token.run_sync_soon(work, *args)
        except trio.RunFinishedError:
            raise SupervisorClosed("this is closed: its trio thread has ended") from None

    @property
    def is_ours(self) -> bool:
        """Whether it is a thread of this process, and not of one that this was forked from."""
        return self.pid == os.getpid()

    @property
    def is_here(self) -> bool:
        """Whether the caller is in this thread."""
        return threading.get_ident() == self._thread.ident

    def stop(self) -> None:
        """Let it end; what is still in it is cancelled."""
        self.post(self._stopping.set)

    def when_ended(self, work: Callable[[], object]) -> None:
        """Have a function called at the thread's very end, in it; at once if that has passed."""
        with self._end_lock:
            if self._at_end is not None:
                self._at_end.append(work)
                return
        work()

    def join(self, timeout: float | None = None) -> None:
        """Wait for its end, unless the caller is in it."""
        if not self.is_here:
            self._thread.join(timeout)

    def _run(self) -> None:
        try:
            trio.run(self._main)
        except BaseException as error:  # noqa: BLE001, ASYNC103 - whoever starts it raises it
            self._error = error
        self._ready.set()
        with self._end_lock:
            rest, self._at_end = self._at_end or [], None
        for work in rest:
            work()

    async def _main(self) -> None:
        self._token = trio.lowlevel.current_trio_token()
        self._stopping = trio.Event()
        async with trio.open_nursery() as self.nursery:
            self._ready.set()
            await self._stopping.wait()
            self.nursery.cancel_scope.cancel(reason="the trio thread ends")


_lock = threading.Lock()
_current: TrioThread | None = None


def hold() -> TrioThread:
    """The thread, started if need be; it lasts until everybody has let go of it."""
    global _current  # noqa: PLW0603 - one thread in a process
    with _lock:
        if _current is None:
            _current = TrioThread()
        _current.holders += 1
        return _current


def let_go(thread: TrioThread) -> bool:
    """Hold the thread no more; whether it ends by that."""
    global _current  # noqa: PLW0603
    if not thread.is_ours:
        return False
    with _lock:
        thread.holders -= 1
        if thread.holders:
            return False
        if _current is thread:
            _current = None
    thread.stop()
    return True


def let_go_soon(thread: TrioThread) -> None:
    """Hold the thread no more; for finalizers, which may run while anything is locked."""
    if thread.is_ours:
        try:
            thread.post(let_go, thread)
        except SupervisorClosed:
            return  # Python ends, and has ended it


def _end() -> None:
    global _current
    with _lock:
        thread, _current = _current, None
    if thread is not None:
        thread.stop()
        thread.join(AT_EXIT)


def _forget() -> None:
    global _current, _lock  # noqa: PLW0603
    _current = None
    _lock = threading.Lock()  # another thread may have held it at the fork


# At exit, what was registered last comes first, and all finalizers come with the first of them that
# there ever was: so that one is made here. They close what trio's thread still needs to put down
# what is open: its sockets to programs.
weakref.finalize(TrioThread, _end).detach()
atexit.register(_end)
os.register_at_fork(after_in_child=_forget)
