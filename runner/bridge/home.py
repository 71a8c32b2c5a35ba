"""Where stand-ins live: how long one or several of them hold trio's thread."""

from __future__ import annotations

import threading
import weakref

from runner.bridge.thread import TrioThread, hold, let_go, let_go_soon
from runner.errors import SupervisorClosed


class Home:
    """Where stand-ins live: trio's thread, held from their first use until they are closed.

    Args:
        once: whether it cannot be used again when it has been left.
    """

    def __init__(self, *, once: bool = False) -> None:
        self._once = once
        self._is_left = False
        self._lock = threading.Lock()
        self._thread: TrioThread | None = None
        self._forgotten: weakref.finalize[..., Home] | None = None

    @property
    def thread(self) -> TrioThread:
        """The thread; from now on it is held.

        Raises:
            SupervisorClosed: it was left for good.
        """
        thread = self._thread
        return self._hold() if thread is None else thread

    def _hold(self) -> TrioThread:
        with self._lock:
            if self._is_left and self._once:
                raise SupervisorClosed("this is closed")
            if self._thread is None:
                self._thread = hold()
                self._forgotten = weakref.finalize(self, let_go_soon, self._thread)
                self._forgotten.atexit = False
            return self._thread

    def leave(self) -> TrioThread | None:
        """Hold the thread no more; gives it if it ends by that."""
        with self._lock:
            self._is_left = True
            thread, self._thread = self._thread, None
            if self._forgotten is not None:
                self._forgotten.detach()
        return thread if thread is not None and let_go(thread) else None
