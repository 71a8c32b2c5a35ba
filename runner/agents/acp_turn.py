"""A turn of a program that speaks the Agent Client Protocol, while it is in flight.

The conversation (acp_talk) decides which messages are this turn's and when it is over.
"""

from __future__ import annotations

import attrs

from runner.agents.acp_read import Record, Tool, of_error, of_stop, sentence, usage_of
from runner.agents.driver import Access
from runner.agents.events import ErrorClass, Event, FileChange, Text, TurnEnded
from runner.agents.lines import text_of
from runner.agents.live import LiveTurn


@attrs.define(eq=False, kw_only=True)
class AcpTurn(LiveTurn):
    """What is known of the turn in flight.

    Attributes:
        prompt: what is sent, as soon as the program is in the right mode.
        access: what it may do.
        sent: it has been sent.
        tools: by their ids.
        refusals: what the agent would be told of the tools that were refused, by their ids.
        written: the files that we wrote for it, and whose change it has not said itself.
        spent: what the conversation had cost before; None if that is not known.
    """

    prompt: str
    access: Access
    sent: bool = False
    tools: dict[str, Tool] = attrs.field(factory=dict)
    refusals: dict[str, str] = attrs.field(factory=dict)
    written: set[str] = attrs.field(factory=set)
    spent: float | None = None
    _pieces: list[str] = attrs.field(factory=list, init=False)
    _message: str = attrs.field(default="", init=False)
    _has_last_word: bool = attrs.field(default=False, init=False)  # a text, and no tool after it

    def say(self, text: str, message: str) -> list[Event]:
        """A piece of the answer; one of another message begins a new text."""
        events = self.flush() if message != self._message else []
        self._message = message
        if not text:
            return events
        self._pieces.append(text)
        return [*events, Text(text=text, partial=True)]

    def flush(self) -> list[Event]:
        """The whole text that the pieces so far make."""
        if not self._pieces:
            return []
        whole: list[Event] = [Text(text="".join(self._pieces))]
        self._pieces.clear()
        self._has_last_word = True
        self.hear(whole)
        return whole

    def tool(self, said: Record) -> Tool:
        """The tool that a message is about, with what that says of it."""
        ident = text_of(said, "toolCallId")
        tool = self.tools.setdefault(ident, Tool(id=ident))
        tool.take(said)
        self._has_last_word = False
        return tool

    def news_of(self, said: Record) -> list[Event]:
        """What a message says of a tool that has not been said; our own writes have been."""
        return [event for event in self.tool(said).events() if not self._is_known(event)]

    def _is_known(self, event: Event) -> bool:
        if not isinstance(event, FileChange) or event.path not in self.written:
            return False
        self.written.discard(event.path)
        return True

    def abandoned(self) -> list[Event]:
        """The ends of the tools that the program has said none of: refused, or interrupted."""
        return [
            event
            for tool in self.tools.values()
            for event in tool.abandon(self.refusals.get(tool.id, ""))
        ]

    # ------------------------------------------------------------ ends

    def answered(self, answer: Record, spent: float | None) -> TurnEnded:
        """The end by the program's word.

        Args:
            answer: the program's answer to our prompt.
            spent: what the conversation has cost by now.
        """
        stop = text_of(answer, "stopReason")
        error, text = of_stop(stop), ""
        if error is None and self.interrupted and not self._has_last_word:
            error = ErrorClass.INTERRUPTED  # opencode 1.15 says that what it cut has ended well
        elif error is None and not self.begun:
            # opencode drops commands that it does not know, gemini what a provider sent broken,
            # and some wrappers the provider's refusal: all say that it was well.
            error, text = ErrorClass.FAILED, "it ended the turn without having said anything"
        elif not stop:
            error, text = ErrorClass.PROTOCOL, "it did not say how the turn ended"
        cost = None if spent is None or self.spent is None else spent - self.spent
        return TurnEnded(
            turn=self.id,
            ok=error is None,
            message=self.last_text,
            stop=stop,
            error=error,
            error_text=text,
            usage=usage_of(answer),
            cost_usd=cost,
            cost_source="none" if cost is None else "program",
            raw=answer,
        )

    def failed(self, error: Record) -> TurnEnded:
        """The end by an error."""
        return TurnEnded(
            turn=self.id,
            ok=False,
            message=self.last_text,
            stop="error",
            error=ErrorClass.INTERRUPTED if self.interrupted else of_error(error),
            error_text=sentence(error),
            raw=error,
        )

    def refused(self, error: ErrorClass, text: str) -> TurnEnded:
        """The end before the beginning: the prompt was not sent."""
        return TurnEnded(
            turn=self.id, ok=False, message="", stop="refused", error=error, error_text=text
        )
