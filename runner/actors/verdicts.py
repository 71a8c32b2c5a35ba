"""What askers are told when an actor ends under their messages; and what of an error is a crash."""

from __future__ import annotations

from collections.abc import Hashable

import trio

from runner.errors import ActorCrashed, RunnerError


def crash_in(error: Exception | BaseExceptionGroup) -> Exception | None:
    """The crash that something ended with, without the `Cancelled`s that came with it, if any."""
    if isinstance(error, Exception):
        return error
    rest = error.split(trio.Cancelled)[1]
    return rest if isinstance(rest, ExceptionGroup) else None


def ended(key: Hashable, cause: Exception | None) -> ActorCrashed:
    """What the asker of a message is told that began and did not come to its end."""
    if cause is None:
        return ActorCrashed(f"{key!r} ended while it carried the message out")
    error = ActorCrashed(f"{key!r} crashed: {type(cause).__name__}: {cause}")
    error.__cause__ = cause
    return error


def one_more(error: RunnerError) -> RunnerError:
    """An error for one asker of many: each adds its own traceback, cause and notes to it."""
    # Not by its constructor, as `copy` would: what that was called with is not what it shows.
    another = type(error).__new__(type(error), *error.args)
    another.__dict__.update(error.__dict__)
    another.__cause__ = error.__cause__
    return another
