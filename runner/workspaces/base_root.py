"""The root of a workspace's base, as it was when that was made: found out once, then written down.

The workspace's actor finds it out in its own time; whoever needs it waits for that.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial

import attrs
import trio

from runner.errors import ObjectMissing, RunnerError, StoreError
from runner.workspaces import origins
from runner.workspaces.live import Live
from runner.workspaces.objects import ObjectId
from runner.workspaces.origins import Origin
from runner.workspaces.records import WorkspaceRecord

FindBase = Callable[[WorkspaceRecord, int], Origin]


@attrs.define(eq=False)
class BaseRoot:
    """Of one workspace.

    Attributes:
        live: the workspace.
        find: what its base was when it was made, and since when it is there; in a thread.
        limiter: of threads.
    """

    live: Live
    find: FindBase
    limiter: trio.CapacityLimiter
    _finding: trio.Lock = attrs.field(factory=trio.Lock)

    @property
    def is_sought(self) -> bool:
        """Whether somebody finds it out now."""
        return self._finding.locked()

    async def ask(self) -> ObjectId:
        """The root.

        Raises:
            StoreError: the base is gone, or cannot be read.
        """
        asked = time.monotonic_ns()
        async with self._finding:
            return await trio.to_thread.run_sync(partial(self._found, asked), limiter=self.limiter)

    async def ask_if_known(self, *, or_else: bool) -> ObjectId | None:
        """The root; None if nobody can know it any more, where that may be."""
        try:
            return await self.ask()
        except StoreError:
            if not or_else:
                raise
            return None

    async def find_soon(self) -> None:
        """Find it out; whoever asks for it is told why not."""
        with suppress(RunnerError):
            await self.ask()

    def _found(self, asked: int) -> ObjectId:
        record = self.live.record()
        if record.base_root is not None:
            return record.base_root
        store = self.live.store
        with store.lease():
            try:
                return origins.settle(store, record, self.find(record, asked))
            except ObjectMissing:  # somebody has dropped what nobody named yet
                found = self.find(record, time.monotonic_ns())
                return origins.settle(store, record, found)
