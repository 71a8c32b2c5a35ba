"""Where a fork works: in a workspace of its own, if the forked session's turns are in snapshots.

no directory named, and snapshots ──► a new workspace, from the snapshot of the turn's end
else                              ──► the directory that was named, or the same one
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from runner.errors import ConfigError
from runner.sessions.history import History
from runner.sessions.state import SessionState

# How long it may take to remove a workspace whose fork came to nothing.
REMOVING = 60.0


@asynccontextmanager
async def branch_for(
    state: SessionState, turn: int, directory: str | os.PathLike[str] | None, name: str | None
) -> AsyncIterator[tuple[str, History | None]]:
    """A directory for a fork, and its history; if the block fails, what was made is removed.

    Args:
        state: of the session that is forked.
        turn: the last turn that the fork has.
        directory: that was named; None = none was.
        name: of the new workspace; None = one that says what it is from.

    Raises:
        ConfigError: a workspace is named, and there is nothing to make it of.
        RunnerError: it cannot be made.
    """
    history = state.history
    if directory is not None or history is None or not history.keeps:
        if name is not None:
            what = "there are no snapshots to make it of" if directory is None else "or a directory"
            raise ConfigError(f"workspace={name!r}: {what}")
        # In the same live tree it is held for the fork as well.
        same = history if directory is None else None
        where = state.directory if directory is None else os.path.abspath(directory)  # noqa: ASYNC240
        yield where, None if same is None else same.again()
        return
    branch = await history.branch(state.id, turn, name)
    try:
        yield branch.directory, branch.history
    except BaseException:
        with trio.move_on_after(REMOVING, shield=True):
            await branch.remove()
        raise
