"""What a provider's failure means: from HTTP statuses and from the programs' own words to classes.

Tables only. The classes decide whether another attempt makes sense (events.ErrorClass), so a
word that is not in a table counts as nothing rather than as a guess.
"""

from __future__ import annotations

from runner.agents.events import ErrorClass

_STATUS = {
    400: ErrorClass.BAD_REQUEST,
    401: ErrorClass.AUTH,
    402: ErrorClass.BUDGET,
    403: ErrorClass.AUTH,
    404: ErrorClass.BAD_REQUEST,  # both programs: the model does not exist, or not for you
    408: ErrorClass.NETWORK,
    413: ErrorClass.CONTEXT_OVERFLOW,
    422: ErrorClass.BAD_REQUEST,
    429: ErrorClass.RATE_LIMITED,
    529: ErrorClass.OVERLOADED,  # Anthropic's "overloaded_error"
}


def by_status(status: int | None) -> ErrorClass | None:
    """The class of an HTTP status; None if it says nothing."""
    if status is None:
        return None
    if status in _STATUS:
        return _STATUS[status]
    return ErrorClass.OVERLOADED if 500 <= status <= 599 else None
