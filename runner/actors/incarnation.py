"""One life of an actor, in its own task: it enters what it owns, serves its mailbox, and frees it.

What it does not do: begin anew after a crash, or look after the mailbox (supervisor.py).
"""

from __future__ import annotations

from collections.abc import Callable

import trio

from runner.actors.child_spec import Handle
from runner.actors.mailbox import Mailbox
from runner.errors import RunnerError


async def incarnate(mailbox: Mailbox, on_served: Callable[[Mailbox], None]) -> RunnerError | None:
    """Run an actor once, until it is told to go; a crash is raised.

    Args:
        mailbox: the actor's.
        on_served: called when it is there.

    Returns:
        The answer to all who wait, if it could not be opened.
    """
    has_opened = False
    try:
        async with mailbox.spec.open() as handle:
            has_opened = True
            await _serve(mailbox, handle, on_served)
    except RunnerError as error:
        if has_opened:
            msg = f"the actor {mailbox.spec.key!r} ended with an error that is no answer"
            raise RuntimeError(msg) from error
        return error
    if mailbox.is_staying:
        msg = f"the actor {mailbox.spec.key!r} left of its own accord"
        raise mailbox.crash or RuntimeError(msg)
    return None


async def _serve(mailbox: Mailbox, handle: Handle, on_served: Callable[[Mailbox], None]) -> None:
    """Have messages carried out until the actor is to go."""
    mailbox.serve(handle)
    on_served(mailbox)
    try:
        await mailbox.wait_ended()
    finally:
        mailbox.pause(mailbox.crash)
        # What the callers do must have been put down before the resources go: they have been
        # cancelled, or were asked for before the mailbox closed.
        with trio.CancelScope(shield=True):
            await mailbox.wait_quiet()
    if mailbox.crash is not None:
        raise mailbox.crash
