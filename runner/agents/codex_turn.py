"""A turn of codex while it is in flight: what has been seen of it, and how it ends.

The conversation (codex_server) decides which messages are this turn's and when it is over.
"""

from __future__ import annotations

import re

import attrs

from runner.agents import codex_errors
from runner.agents.codex_read import Record, usage_of
from runner.agents.events import ErrorClass, RateLimited, Retry, TurnEnded, Usage
from runner.agents.lines import decode_value, list_of, mapping_of, text_of
from runner.agents.live import LiveTurn


@attrs.define(eq=False, kw_only=True)
class CodexTurn(LiveTurn):
    """What is known of the turn in flight.

    Attributes:
        request: the number of our request for it.
        theirs: codex's id of it; empty until codex has said it.
        has_schema: its final answer is to keep to a schema.
        retries: how often it said that it would ask its provider again.
        items: the tools that are running, by their ids.
        is_answered: the model has said or done something.
    """

    request: int
    theirs: str = ""
    has_schema: bool = False
    retries: int = 0
    items: dict[str, Record] = attrs.field(factory=dict)
    is_answered: bool = False

    def retried(self, error: Record) -> Retry:
        """Note that codex asks its provider again, because of an error."""
        found, status = codex_errors.of_info(error.get("codexErrorInfo"))
        message = text_of(error, "message")
        counted = re.search(r"(\d+)/(\d+)", message)
        self.retries += 1
        self.retry = Retry(
            attempt=int(counted[1]) if counted else self.retries,
            of=int(counted[2]) if counted else None,
            status=status,
            error=found or ErrorClass.NETWORK,
            message=text_of(error, "additionalDetails") or message,
        )
        return self.retry

    def completed(self, theirs: Record, limit: RateLimited | None) -> TurnEnded:
        """The end by codex's word, which comes with its record of the turn."""
        for item in list_of(theirs, "items"):
            if isinstance(item, dict) and text_of(item, "type") == "agentMessage":
                self.last_text = text_of(item, "text") or self.last_text
        failure = mapping_of(theirs, "error")
        status = text_of(theirs, "status")
        match status:
            case "completed":
                error = None
            case "interrupted":
                error = ErrorClass.INTERRUPTED
            case _:
                error = codex_errors.of_failure(failure, self.retry)
        resets_at = None
        if error in {ErrorClass.BUDGET, ErrorClass.RATE_LIMITED} and limit is not None:
            # A plan's limit that ends at a known time is worth waiting for.
            error, resets_at = ErrorClass.RATE_LIMITED, limit.resets_at
        return TurnEnded(
            turn=self.id,
            ok=error is None,
            message=self.last_text,
            stop=status,
            error=error,
            error_text=text_of(failure, "message"),
            resets_at=resets_at,
            usage=self.usage,
            raw=theirs,
            marker=self.theirs,
            structured=_structured(self.last_text) if self.has_schema else None,
        )

    def refused(self, error: ErrorClass, sentence: str, answer: Record) -> TurnEnded:
        """The end before the beginning: codex refused our request for it."""
        return TurnEnded(
            turn=self.id,
            ok=False,
            message="",
            stop="refused",
            error=error,
            error_text=sentence,
            raw=answer,
        )


@attrs.define(eq=False)
class Meter:
    """The tokens of a thread, of which a turn's are the difference.

    They are counted across resumes (`total`). What the first turn of a process starts from comes
    with the resume, or (0.115.0) in that turn before the model has said anything; if not, it is
    `total - last` of the turn's first count.

    Attributes:
        counted: before this turn; None = not known.
    """

    counted: Usage | None = None

    def take(self, counts: Record, turn: CodexTurn | None) -> Usage | None:
        """Take a count of the thread.

        Args:
            counts: what codex says.
            turn: the one that it is about; None = one before.

        Returns:
            The turn's, if that is known now.
        """
        total = usage_of(mapping_of(counts, "total"))
        if turn is None or (self.counted is None and not turn.is_answered):
            self.counted = total
            return None
        if self.counted is None:
            self.counted = total - usage_of(mapping_of(counts, "last"))
        usage = total - self.counted
        if min(attrs.astuple(usage - turn.usage)) < 0:  # an overflowed context sets them anew
            self.counted = total - turn.usage
            return None
        turn.usage = usage
        return usage

    def end(self, turn: CodexTurn) -> None:
        """A turn is over."""
        if self.counted is not None:
            self.counted += turn.usage


def _structured(text: str) -> object:
    return decode_value(text.encode("utf-8", "replace"))
