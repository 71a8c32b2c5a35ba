"""What was done at once, written into the store shortly after: for others who read its audit."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial

import trio

from runner.errors import StoreError
from runner.workspaces.trail import Trail

SOON = 0.05  # seconds
_PATIENCE = 1.0  # seconds; then it is tried again


async def keep_writing_down(
    trail: Trail, in_thread: Callable[[Callable[[], bool]], Awaitable[bool]]
) -> None:
    """Write down what a trail has done at once, until cancelled."""
    while True:
        pending = trio.Event()
        trail.on_pending = pending.set
        if not trail.is_behind:
            await pending.wait()
        await trio.sleep(SOON - min(SOON, max(0.0, trail.behind)))
        if trail.behind < SOON:
            continue  # many come: they are written down in tens as it is
        is_done = False
        with suppress(StoreError):  # the log has it still
            is_done = await in_thread(partial(trail.write_down, _PATIENCE))
        if not is_done:
            await trio.sleep(_PATIENCE)
