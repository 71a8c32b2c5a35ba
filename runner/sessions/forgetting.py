"""Turns that a program has forgotten: they came to a good end, and are not in its own file of them.

Where a disk is full, claude says "success" and writes nothing; killed as a turn ends, it has not
written that one yet (it does so up to 0.1 s later); and there are answers that it does not find
again in its file. Started anew it would go on without them, and nobody would know. So it is told
them, as text, before its next prompt.

What is not here: a file that is gone as a whole (keeping.py).
"""

from __future__ import annotations

import glob
from functools import partial

import trio

from runner.agents.driver import Driver
from runner.sessions.context import context_of, quoted
from runner.sessions.markers import Knows, knows_of
from runner.sessions.record import lineage
from runner.sessions.state import SessionState

TOLD_AGAIN = (
    "(Note: your own record of this conversation lacks what came last in it, which stands here as"
    " text. It is over; do nothing of it again.)\n\n{}\n\n"
)


async def told_again(state: SessionState, driver: Driver, limiter: trio.CapacityLimiter) -> str:
    """What a program that is about to be started again has forgotten, as a note; mostly nothing.

    Args:
        state: of the session.
        driver: of the program.
        limiter: of threads that read files.

    Raises:
        LedgerError: the turns cannot be read.
    """
    record, store = state.record, state.store
    if store is None or not (record.resume and record.last_good) or record.context:
        return ""
    pattern = driver.history(glob.escape(state.private), record.conversation)
    turns = store.ledger.turns(state.id)
    only = lineage(turns, record.head)
    good = [each for each in turns if each.state == "ok" and each.marker and each.number in only]
    if not pattern or not good or good[-1].number != record.last_good:
        return ""
    markers = {turn.number: turn.marker for turn in good}
    look = partial(last_kept, pattern, markers, knows_of(driver))
    kept = await trio.to_thread.run_sync(look, limiter=limiter)
    if kept is None or kept == record.last_good:
        return ""
    text = context_of(store.transcript.path, record.last_good, since=kept, only=only)
    return TOLD_AGAIN.format(quoted(text))


def last_kept(pattern: str, markers: dict[int, str], knows: Knows) -> int | None:
    """The last of the turns that its file lets it know, 0 if none; None if it cannot be read."""
    try:
        lines: list[bytes] = []
        for path in glob.glob(pattern):
            with open(path, "rb") as file:
                lines += file
    except OSError:
        return None
    numbers = sorted(markers, reverse=True)
    return next((each for each in numbers if knows(lines, markers[each], in_short=True)), 0)
