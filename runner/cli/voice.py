"""What a turn says, as it comes: the agent's words to one output, what else there is to another."""

from __future__ import annotations

import json

import attrs

from runner.agents.events import ApprovalDecided, RateLimited, Retry, Text, ToolCall
from runner.cli.writer import Writer
from runner.sessions.followers import Follower


async def show(events: Follower, voice: Voice) -> None:
    """Let the events of a session be seen, until it is closed."""
    async for happened in events:
        voice.show(happened.event)
        await voice.out.flushed()  # a slow reader costs no memory: at the worst, it misses some
    if events.dropped:
        voice.err.put_line(
            f"the reader was too slow: {events.dropped} pieces of output are left out"
        )


@attrs.define(eq=False, kw_only=True)
class Voice:
    """What a turn says, as it comes."""

    out: Writer
    err: Writer
    is_stream: bool
    _last: str = "\n"
    _had_partial: bool = False

    def show(self, event: object) -> None:
        """Write what is for people in an event."""
        match event:
            case Text(text=text, partial=True):
                self._had_partial = True
                self._write(text)
            case Text(text=text):
                if not self._had_partial:
                    self._write(text)
                self._had_partial = False
                if not self.is_stream:
                    self.end()
            case ToolCall():
                self.err.put_line(f"- {event.name} {_brief(event.input)}")
            case ApprovalDecided(asked=asked) if not event.decision.allow:
                what = "was left undecided" if event.by == "closed" else "was refused"
                self.err.put_line(f"- {asked.tool} {what}: {_brief(asked.input)}")
            case Retry():
                status = f" after status {event.status}" if event.status else ""
                self.err.put_line(f"- it asks its provider again{status} {event.message}".rstrip())
            case RateLimited(resets_at=when) if when is not None:
                self.err.put_line(f"- the provider allows more at {when:%Y-%m-%d %H:%M:%S %Z}")
            case _:
                pass

    def end(self) -> None:
        """End the line."""
        if self._last != "\n":
            self._write("\n")

    def _write(self, text: str) -> None:
        self.out.put(text)
        self._last = text[-1:] or self._last


def _brief(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 120 else text[:117] + "..."
