"""Beginning to follow a session's events: what a caller says of it, checked."""

from __future__ import annotations

from runner.errors import ConfigError
from runner.sessions.followers import Follower
from runner.sessions.state import SessionState


async def follow(state: SessionState, since: int | None, buffer: int) -> Follower:
    """Follow what happens in a session, from now on or from a cursor.

    Raises:
        ConfigError: see `Session.events`.
        AgentError: with a cursor, when another process owns the session.
    """
    followers, store = state.followers, state.store
    if isinstance(buffer, bool) or not isinstance(buffer, int) or buffer < 0:
        raise ConfigError(f"a buffer is a number of events of 0 or more, not {buffer!r}")
    if since is None:
        return followers.add(buffer)
    if isinstance(since, bool) or not isinstance(since, int) or since < 0:
        raise ConfigError(f"a cursor is a number of 0 or more, not {since!r}")
    if store is None:
        raise ConfigError("a session that is not kept has no events but those to come")
    await store.claim()
    if since > store.transcript.cursor:
        raise ConfigError(
            f"since={since}: the session {state.id!r} has events up to cursor"
            f" {store.transcript.cursor} only; is it a cursor of another session?"
        )
    return followers.add_from(since, store.transcript, buffer)
