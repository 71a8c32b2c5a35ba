"""One thread that writes, and commits together what was posted while it waited for the disk.

    post ──► entries ──► thread: commit(all that wait) ──► trio's thread: callbacks, waiters

What is posted is committed in the order of posting. A callback is called after the commit of what
it was posted with, in the same order; so whoever tells something about a change by its callback
tells only what is durable. After a failed commit nothing is committed any more, no callback is
called, and everybody who posts or waits gets the error.

A post that nobody waits for lingers a little, so that others come with it: every commit waits for
the disk once.

It knows nothing of SQL: what a commit is, is passed in.
"""

from __future__ import annotations

import contextlib
import functools
import queue
import threading
import time
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

import attrs
import trio

ItemT = TypeVar("ItemT")

LINGER = 0.025  # seconds


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
        # What waits, and whether the thread was woken for it. Lists and flags change hands under
        # the lock; the queue only wakes: True = at once, False = when it has lingered.
        self._entries: list[_Entry[ItemT]] = []
        self._is_woken = False
        self._is_open = True
        self._lock = threading.Lock()
        self._wakes: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self._token = trio.lowlevel.current_trio_token()
        self._ended = trio.Event()
        self.error: Exception | None = None
        self.commits = 0
        self._thread = threading.Thread(target=self._serve, name=name, daemon=True)
        self._thread.start()

    def post(
        self,
        items: Sequence[ItemT],
        then: Callable[[], None] | None = None,
        *,
        at_once: bool = False,
    ) -> None:
        """Have items committed soon, and `then` called once they are durable.

        Args:
            items: what to commit.
            then: called in trio's thread.
            at_once: do not linger.

        Raises:
            Exception: that of an earlier commit.
        """
        if self.error is not None:
            raise self.error
        self._add(_Entry(items, then, None), at_once=at_once)

    def _add(self, entry: _Entry[ItemT], *, at_once: bool) -> None:
        with self._lock:
            self._entries.append(entry)
            wakes = at_once or not self._is_woken
            self._is_woken = True
        if wakes:
            self._wakes.put(at_once)

    async def write(self, items: Sequence[ItemT]) -> None:
        """Commit items; all that was posted before is durable as well when this returns.

        Raises:
            Exception: that of this commit, or an earlier one.

        Cancellation: they may be committed nevertheless.
        """
        if self.error is not None:
            raise self.error
        written = trio.Event()
        self._add(_Entry(items, None, written), at_once=True)
        await written.wait()
        if self.error is not None:
            raise self.error

    async def aclose(self) -> None:
        """Commit what has been posted, and end the thread."""
        self._is_open = False
        self._wakes.put(True)
        with trio.CancelScope(shield=True):  # bounded by the commit of what has been posted
            await self._ended.wait()
        self._thread.join()

    # ------------------------------------------------------------ in the thread

    def _serve(self) -> None:
        error: Exception | None = None
        while True:
            entries = self._take()
            if entries and error is None:
                try:
                    self._commit([item for entry in entries for item in entry.items])
                except Exception as exc:  # noqa: BLE001  # handed on to all who post and wait
                    error = exc
            if entries:
                self._tell(functools.partial(self._written, entries, error))
            elif not self._is_open:
                break
        self._tell(self._ended.set)

    def _take(self) -> list[_Entry[ItemT]]:
        """Wait until there is something to commit, or the end, and take all that is there."""
        if self._is_open and not self._wakes.get():
            until = time.monotonic() + LINGER
            with contextlib.suppress(queue.Empty):
                while not self._wakes.get(timeout=max(0.0, until - time.monotonic())):
                    continue
        with self._lock:
            entries, self._entries = self._entries, []
            self._is_woken = False
        return entries

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
