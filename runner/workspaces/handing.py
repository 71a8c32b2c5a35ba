"""Hands objects to a store in batches, in their order: what an object names is there before it.

Few objects go in the caller's thread. Many go in a second thread, where the store compresses and
writes them while the caller reads on: hashing, compressing and writing let go of the interpreter.
So much waits at most: `WAITING` batches; then the caller waits.

What fails in the second thread is raised by the next `keep`, or by `close`.
"""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Self

import attrs

from runner.workspaces.objects import Object
from runner.workspaces.store import Store

# Of one batch, and so of one transaction: whichever comes first.
BYTES = 4 << 20
COUNT = 2048
WAITING = 3


@attrs.define(eq=False)
class Handing:
    """The objects of one capture, on their way to the store. A context manager.

    Left by an exception it hands over no more; what the store has by then is named by nothing.
    """

    store: Store
    _batch: list[Object] = attrs.field(factory=list)
    _bytes: int = 0
    _waiting: deque[Future[int]] = attrs.field(factory=deque)
    _thread: ThreadPoolExecutor | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if kind is None:
                self._finish()
        finally:
            if self._thread is not None:
                self._thread.shutdown(cancel_futures=True)

    def keep(self, found: Object) -> None:
        """Take one object."""
        self._batch.append(found)
        self._bytes += len(found.data)
        if self._bytes >= BYTES or len(self._batch) >= COUNT:
            self._hand_over()

    def _hand_over(self) -> None:
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, "runner-store")
        if len(self._waiting) >= WAITING:
            self._waiting.popleft().result()
        batch, self._batch, self._bytes = self._batch, [], 0
        self._waiting.append(self._thread.submit(self.store.put, batch))

    def _finish(self) -> None:
        while self._waiting:
            self._waiting.popleft().result()
        self.store.put(self._batch)
