"""Acts on a workspace as a whole that are no transaction of the store: syncs, and what hooks do.

Their intent is written before them as those of all others are. Nobody need have the workspace's
lock meanwhile, so the intent says which process is at it: who opens the workspace says of it what
there is to say once that process is gone (settling.py).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Protocol

import attrs
import trio

from runner.errors import RunnerError
from runner.scopes.who import Who
from runner.workspaces.audit_acts import Begun, Doing
from runner.workspaces.beside import PROCESS, this_process
from runner.workspaces.records import AuditRecord, Json
from runner.workspaces.trail import Trail


class InThread(Protocol):
    """Carries out what waits for the disk."""

    def __call__(self, work: Callable[[], Any], /) -> Awaitable[Any]:
        """Carry it out."""
        ...


@attrs.define(eq=False)
class Act:
    """What is being done.

    Attributes:
        details: what there is to say of it by its end.
        is_said: whether it gets a row of its own if it comes to its end.
        is_failure_said: likewise, if it fails.
        parts: what failed of it without an end to the rest, each a row.
    """

    details: dict[str, Json]
    is_said: bool = True
    is_failure_said: bool = True
    parts: list[dict[str, Json]] = attrs.field(factory=list)


@asynccontextmanager
async def acting(
    trail: Trail, in_thread: InThread, who: Who, operation: str, **details: Json
) -> AsyncIterator[Act]:
    """Write down that something is about to be done in a block; and at its end, how it went.

    Args:
        trail: of the workspace.
        in_thread: for the store.
        who: on whose behalf.
        operation: what it is called.
        details: what is known of it before.

    Raises:
        StoreError: it cannot be written down, so nothing was begun.
    """
    doing = Doing(operation=operation, details={**details, PROCESS: this_process()})
    begun = await in_thread(partial(trail.begin, doing, who, {}))
    act = Act(dict(details))
    end = partial(_end, trail, in_thread, begun, act)
    try:
        yield act
    except RunnerError as error:
        act.details |= trail.secrets.why(error)
        act.is_said = act.is_failure_said
        await end(False)  # noqa: ASYNC120 - shielded there
        raise
    except BaseException:
        act.is_said = True
        act.details["cancelled"] = True
        await end(None)  # noqa: ASYNC102 - shielded there
        raise
    await end(True)


async def _end(trail: Trail, in_thread: InThread, begun: Begun, act: Act, ok: bool | None) -> None:
    row, operation = trail.row, begun.doing.operation
    said: list[AuditRecord] = [
        row(operation, begun.who, ok=False, details=each) for each in act.parts
    ]
    if act.is_said:
        said.append(row(operation, begun.who, ok=ok, details=act.details, at=begun.at))
    with trio.CancelScope(shield=True):  # bounded by the store's patience
        await in_thread(partial(trail.end, begun, said))
