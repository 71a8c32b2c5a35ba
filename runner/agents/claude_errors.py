"""Why a turn of Claude Code failed: from the structured fields of its messages to a class.

A failure of the provider is `subtype: "success", is_error: true`; the sentence is for people and
is not read. In order, the first that says something:

1. how the turn was stopped (`terminal_reason`, `subtype`, `stop_reason`);
2. the program's word on the failure (`error` of its synthetic answer), where it says more than
   the status: a spent credit is a 400;
3. the HTTP status; a failure without one is the last retry's, or the network's.
"""

from __future__ import annotations

from runner.agents.claude_read import Record
from runner.agents.events import ErrorClass, Retry
from runner.agents.lines import list_of, number_of, text_of, whole_of
from runner.agents.provider import by_status

_STOPS = {
    "aborted_streaming": ErrorClass.INTERRUPTED,
    "aborted_tools": ErrorClass.INTERRUPTED,
    "prompt_too_long": ErrorClass.CONTEXT_OVERFLOW,
    "blocking_limit": ErrorClass.CONTEXT_OVERFLOW,
    "budget_exhausted": ErrorClass.BUDGET,
    "max_turns": ErrorClass.BUDGET,
    "error_max_budget_usd": ErrorClass.BUDGET,
    "error_max_turns": ErrorClass.BUDGET,
    "error_max_structured_output_retries": ErrorClass.FAILED,
    "refusal": ErrorClass.REFUSED,
}

_WORDS = {
    "authentication_failed": ErrorClass.AUTH,
    "oauth_org_not_allowed": ErrorClass.AUTH,
    "billing_error": ErrorClass.BUDGET,
    "rate_limit": ErrorClass.RATE_LIMITED,
    "overloaded": ErrorClass.OVERLOADED,
    "model_not_found": ErrorClass.BAD_REQUEST,
}


def of_retry(message: Record) -> Retry:
    """The event of an `api_retry` message.

    Without a status there was no answer: the connection failed, or the time was up.
    """
    word, status = text_of(message, "error"), whole_of(message, "error_status") or None
    delay = number_of(message, "retry_delay_ms")
    other = ErrorClass.NETWORK if status is None else ErrorClass.FAILED
    return Retry(
        attempt=whole_of(message, "attempt"),
        of=whole_of(message, "max_retries") or None,
        delay=None if delay is None else delay / 1000,
        status=status,
        error=_WORDS.get(word) or by_status(status) or other,
        message=word,
    )


def of_result(
    result: Record, word: str, retry: Retry | None, *, interrupted: bool
) -> ErrorClass | None:
    """The class of a turn's end; None if it is a good one.

    Args:
        result: the program's `result` message.
        word: the `error` of its synthetic answer in this turn; may be empty.
        retry: the last retry of the turn.
        interrupted: whether we asked for the end.
    """
    if result.get("is_error") is False and text_of(result, "subtype") == "success":
        return None
    for key in ("terminal_reason", "subtype", "stop_reason"):
        if found := _STOPS.get(text_of(result, key)):
            return found
    if interrupted:
        return ErrorClass.INTERRUPTED
    if found := _WORDS.get(word) or by_status(whole_of(result, "api_error_status") or None):
        return found
    if word == "server_error":
        return ErrorClass.NETWORK if retry is None else retry.error
    return ErrorClass.FAILED


def stop(result: Record) -> str:
    """The program's own word for the end: the most telling that it gives."""
    subtype = text_of(result, "subtype")
    return text_of(result, "terminal_reason") or subtype or text_of(result, "stop_reason")


def sentence(result: Record) -> str:
    """The program's own sentence about a failure."""
    errors = [each for each in list_of(result, "errors") if isinstance(each, str)]
    return text_of(result, "result") or "; ".join(errors) or stop(result)
