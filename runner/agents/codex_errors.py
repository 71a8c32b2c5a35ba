"""Why a turn of codex failed: from `codexErrorInfo` to a class.

It is a word, or an object of one word with the HTTP status in it. `other` is what codex says of
all that it has no word for: then the last retry of the turn says what it was about, or the
provider's own error body, which is passed on as the message. Other sentences are not read.
"""

from __future__ import annotations

from runner.agents.events import ErrorClass, Retry
from runner.agents.lines import decode, mapping_of, text_of, whole_of
from runner.agents.provider import by_status

_WORDS = {
    "contextWindowExceeded": ErrorClass.CONTEXT_OVERFLOW,
    "sessionBudgetExceeded": ErrorClass.BUDGET,
    "usageLimitExceeded": ErrorClass.BUDGET,  # a plan's limit, or a spent quota
    "rateLimitExceeded": ErrorClass.RATE_LIMITED,
    "serverOverloaded": ErrorClass.OVERLOADED,
    "internalServerError": ErrorClass.OVERLOADED,
    "unauthorized": ErrorClass.AUTH,
    "badRequest": ErrorClass.BAD_REQUEST,
    "cyberPolicy": ErrorClass.REFUSED,
}

_CONNECTION = {
    "httpConnectionFailed",
    "responseStreamConnectionFailed",
    "responseStreamDisconnected",
    "responseTooManyFailedAttempts",
}


def of_info(info: object) -> tuple[ErrorClass | None, int | None]:
    """The class and the HTTP status that an error info says; None for what it does not say."""
    if isinstance(info, str):
        return _WORDS.get(info), None
    if not isinstance(info, dict):
        return None, None
    for word in info:
        status = whole_of(mapping_of(info, word), "httpStatusCode") or None
        if found := by_status(status) or _WORDS.get(word):
            return found, status
        if word in _CONNECTION:
            return (ErrorClass.NETWORK if status is None else ErrorClass.FAILED), status
    return None, None


def of_failure(error: dict[str, object], retry: Retry | None) -> ErrorClass:
    """The class of a turn that failed."""
    found, _ = of_info(error.get("codexErrorInfo"))
    if found is not None:
        return found
    if retry is not None:
        return retry.error
    body = decode(text_of(error, "message").encode("utf-8", "replace")) or {}
    return ErrorClass.BAD_REQUEST if mapping_of(body, "error") else ErrorClass.FAILED
