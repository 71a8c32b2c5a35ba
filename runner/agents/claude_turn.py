"""A turn of Claude Code while it is in flight: what has been seen of it, and how it ends.

The conversation (claude_stream) decides which messages are this turn's and when it is over.
"""

from __future__ import annotations

import uuid
from datetime import datetime

import attrs

from runner.agents import claude_errors
from runner.agents.claude_read import Record, usage_of
from runner.agents.events import ErrorClass, Event, TurnEnded, Usage, UsageChanged
from runner.agents.lines import mapping_of, number_of, text_of, whole_of
from runner.agents.live import LiveTurn


@attrs.define(eq=False, kw_only=True)
class ClaudeTurn(LiveTurn):
    """What is known of the turn in flight.

    Attributes:
        uuid: our line's.
        steers: the uuids of the lines that were added and that it has not taken up.
        added: how many lines were.
        unread: names of requests behind such lines: once answered, the lines have been read.
        queued: the lines that it has read, and says that it has not begun with.
        held: a result that came before all lines were taken up.
        spent: the tokens of the results that were not the last one.
        is_cut: such a result came after we had asked for the end.
        marker: the uuid of the last message in the conversation.
        answer: the tokens of the answer that is being streamed.
        error_word: the program's word for a failure.
        resets_at: when the provider allows more, if the program said so.
    """

    uuid: str
    steers: set[str] = attrs.field(factory=set)
    added: int = 0
    unread: set[str] = attrs.field(factory=set)
    queued: set[str] = attrs.field(factory=set)
    held: Record | None = None
    spent: Usage = attrs.field(factory=Usage)
    is_cut: bool = False
    marker: str = ""
    answer: Usage = attrs.field(factory=Usage)
    error_word: str = ""
    resets_at: datetime | None = None

    def next_uuid(self) -> str:
        """A uuid for one more line; told apart by the turn's, which is never used again."""
        self.added += 1
        return str(uuid.uuid5(uuid.UUID(self.uuid), str(self.added)))

    def has(self, uuid: str) -> bool:
        """Whether a line is the turn's."""
        return uuid == self.uuid or uuid in self.steers

    def take_up(self, uuid: str) -> bool:
        """Note that the program has begun with one of our lines; whether that is news.

        The result that is held was of what came before it.
        """
        if uuid not in self.steers and self.begun:
            return False
        if self.held is not None and self.begun:
            self.spent += usage_of(mapping_of(self.held, "usage"))
            self.is_cut |= self.interrupted
        self.held = None
        self.begun = True
        self.queued.discard(uuid)
        self.steers.discard(uuid)
        return True

    def note(self, message: Record) -> None:
        """Note a message that is part of the conversation itself."""
        if message.get("parent_tool_use_id") is None:
            self.marker = text_of(message, "uuid") or self.marker

    def count(self, event: Record) -> list[Event] | None:
        """Count the tokens that a streamed event tells of, if it does."""
        match text_of(event, "type"):
            case "message_start":
                self.answer = usage_of(mapping_of(mapping_of(event, "message"), "usage"))
            case "message_delta":
                written = whole_of(mapping_of(event, "usage"), "output_tokens")
                self.usage += attrs.evolve(self.answer, output_tokens=written)
                self.answer = Usage()
                return [UsageChanged(usage=self.usage)]
            case _:
                pass
        return None

    def ended(self, result: Record, cost: float | None) -> TurnEnded:
        """The end by a result."""
        error = claude_errors.of_result(
            result, self.error_word, self.retry, interrupted=self.interrupted
        )
        if error is None and self.is_cut:
            error = ErrorClass.INTERRUPTED
        usage = self.spent + usage_of(mapping_of(result, "usage"))
        return TurnEnded(
            turn=self.id,
            ok=error is None,
            message=(text_of(result, "result") if error is None else "") or self.last_text,
            stop=claude_errors.stop(result),
            error=error,
            error_text=claude_errors.sentence(result) if error else "",
            resets_at=self.resets_at if error is ErrorClass.RATE_LIMITED else None,
            # Of a turn that a budget stopped the result counts nothing.
            usage=self.usage if usage == Usage() else usage,
            cost_usd=cost,
            cost_source="none" if cost is None else "program",
            raw=result,
            marker=self.marker,
            structured=result.get("structured_output"),
        )


@attrs.define(eq=False)
class Meter:
    """What the program has counted, of which a turn's cost is the difference.

    `total_cost_usd` counts since the start of the process, in newer versions since the start of the
    conversation (2.1.329, after `--resume`), so what it starts from is asked for (`get_usage`). If
    that is not known, the cost of the first turn is not known either.

    Attributes:
        counted: before this turn, in USD; None = not known.
    """

    counted: float | None = None

    def begin(self, session: Record) -> None:
        """Take what it counted before the first turn, unless that is known."""
        if self.counted is None:
            self.counted = number_of(session, "total_cost_usd")

    def cost_of(self, result: Record) -> float | None:
        """What a turn cost, by its result; None if that is not known."""
        total, counted = number_of(result, "total_cost_usd"), self.counted
        if total is None:
            return None
        self.counted = total
        return None if counted is None else round(total - counted, 9)
