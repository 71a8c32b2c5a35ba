"""One thread that writes, and commits together what was posted while it waited for the disk.

    post ──► entries ──► thread: commit(all that wait) ──► trio's thread: callbacks, waiters

What is posted is committed in the order of posting. A callback is called after the commit of what
it was posted with, in the same order; so whoever tells something about a change by its callback
tells only what is durable. After a failed commit nothing is committed any more, no callback is
called, and everybody who posts or waits gets the error.

It knows nothing of SQL: what a commit is, is passed in.
"""

from __future__ import annotations

import contextlib
import functools
import queue
import threading
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

import attrs
import trio

ItemT = TypeVar("ItemT")


@attrs.frozen
class _Entry(Generic[ItemT]):
    """What is posted together, what is to be called after its commit, and who waits for it."""

    items: Sequence[ItemT]
    then: Callable[[], None] | None
    waiting: trio.Event | None


class GroupCommit(Generic[ItemT]):
    """A writing thread; used from trio's thread, ended by `aclose`."""

    def __init__(self, commit: Callable[[list[ItemT]], None], name: str) -> None:
        """Begin.

        Args:
            commit: called in the writing thread only: makes the items durable, all or none.
            name: the thread's.
        """
        self._commit = commit
        self._entries: queue.SimpleQueue[_Entry[ItemT] | None] = queue.SimpleQueue()
        self._token = trio.lowlevel.current_trio_token()
        self._ended = trio.Event()
        self.error: Exception | None = None
        self.commits = 0
        self._thread = threading.Thread(target=self._serve, name=name, daemon=True)
        self._thread.start()

    def post(self, items: Sequence[ItemT], then: Callable[[], None] | None = None) -> None:
        """Have items committed soon, and `then` called once they are durable.

        Raises:
            Exception: that of an earlier commit.
        """
        if self.error is not None:
            raise self.error
        self._entries.put(_Entry(items, then, None))

    async def write(self, items: Sequence[ItemT]) -> None:
        """Commit items; all that was posted before is durable as well when this returns.

        Raises:
            Exception: that of this commit, or an earlier one.

        Cancellation: they may be committed nevertheless.
        """
        if self.error is not None:
            raise self.error
        written = trio.Event()
        self._entries.put(_Entry(items, None, written))
        await written.wait()
        if self.error is not None:
            raise self.error

    async def aclose(self) -> None:
        """Commit what has been posted, and end the thread."""
        self._entries.put(None)
        with trio.CancelScope(shield=True):  # bounded by the commit of what has been posted
            await self._ended.wait()
        self._thread.join()

    # ------------------------------------------------------------ in the thread

    def _serve(self) -> None:
        error: Exception | None = None
        is_open = True
        while is_open:
            entries, is_open = self._take()
            if entries and error is None:
                try:
                    self._commit([item for entry in entries for item in entry.items])
                except Exception as exc:  # noqa: BLE001  # handed on to all who post and wait
                    error = exc
            self._tell(functools.partial(self._written, entries, error))
        self._tell(self._ended.set)

    def _take(self) -> tuple[list[_Entry[ItemT]], bool]:
        """Wait for an entry and take all that are there; whether there may be more."""
        entries: list[_Entry[ItemT]] = []
        entry = self._entries.get()
        while entry is not None:
            entries.append(entry)
            try:
                entry = self._entries.get_nowait()
            except queue.Empty:
                return entries, True
        return entries, False

    def _tell(self, call: Callable[[], object]) -> None:
        with contextlib.suppress(trio.RunFinishedError):  # nobody is left to be told
            self._token.run_sync_soon(call)

    # ------------------------------------------------------------ in trio's thread

    def _written(self, entries: Sequence[_Entry[ItemT]], error: Exception | None) -> None:
        self.error = self.error or error
        self.commits += 1
        for entry in entries:
            if entry.then is not None and self.error is None:
                entry.then()
            if entry.waiting is not None:
                entry.waiting.set()
