"""What happens in a conversation with an agent program, as values.

Every program's own messages are translated into these; what has no translation is kept as `Raw`.
Nothing here does I/O.
"""

# ruff: noqa: PLC0414 - some names are defined elsewhere and passed on
from __future__ import annotations

import enum
from collections.abc import Mapping
from datetime import datetime
from typing import Literal, TypeAlias

import attrs

from runner.agents.asking import ApprovalAsked as ApprovalAsked
from runner.agents.asking import ApprovalClosed as ApprovalClosed
from runner.agents.asking import ApprovalDecided as ApprovalDecided
from runner.agents.asking import ApprovalKind as ApprovalKind
from runner.agents.asking import Decider as Decider
from runner.agents.asking import Decision as Decision
from runner.agents.asking import FileAnswer as FileAnswer
from runner.agents.asking import FileAsked as FileAsked
from runner.agents.asking import Question as Question
from runner.agents.asking import ReadAsked as ReadAsked
from runner.agents.asking import WriteAsked as WriteAsked
from runner.agents.silence import RungAct as RungAct
from runner.agents.silence import Signs as Signs
from runner.agents.silence import SilenceRung as SilenceRung
from runner.agents.told import BegunAnew as BegunAnew
from runner.agents.told import Parked as Parked
from runner.agents.told import Rewound as Rewound
from runner.agents.told import SnapshotTaken as SnapshotTaken


class ErrorClass(enum.StrEnum):
    """Why a turn failed; what decides whether, and when, it is worth another attempt."""

    AUTH = "auth"
    RATE_LIMITED = "rate_limited"
    OVERLOADED = "overloaded"
    BAD_REQUEST = "bad_request"
    CONTEXT_OVERFLOW = "context_overflow"
    NETWORK = "network"
    BUDGET = "budget"
    TIMEOUT = "timeout"
    STALLED = "stalled"
    CRASHED = "crashed"
    PROTOCOL = "protocol"
    REFUSED = "refused"
    INTERRUPTED = "interrupted"
    FAILED = "failed"


@attrs.frozen(kw_only=True)
class Usage:
    """Tokens of one turn.

    Attributes:
        input_tokens: not read from a cache.
        cached_tokens: read from a cache.
        cache_write_tokens: written to a cache.
        output_tokens: with those of the reasoning.
    """

    input_tokens: int = 0
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    output_tokens: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            input_tokens=self.input_tokens + other.input_tokens,
            cached_tokens=self.cached_tokens + other.cached_tokens,
            cache_write_tokens=self.cache_write_tokens + other.cache_write_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
        )

    def __sub__(self, other: Usage) -> Usage:
        return Usage(
            input_tokens=self.input_tokens - other.input_tokens,
            cached_tokens=self.cached_tokens - other.cached_tokens,
            cache_write_tokens=self.cache_write_tokens - other.cache_write_tokens,
            output_tokens=self.output_tokens - other.output_tokens,
        )


CostSource: TypeAlias = Literal["program", "none"]


@attrs.frozen(kw_only=True)
class Ready:
    """The program has answered its opening: a turn can be sent."""


@attrs.frozen(kw_only=True)
class ConversationStarted:
    """The program says which conversation this is: the id to resume it by.

    Attributes:
        credential: what it says it uses towards its provider, in its own words (a variable's name,
            the kind of an account); empty if it does not say.
    """

    conversation: str
    model: str = ""
    version: str = ""
    credential: str = ""


@attrs.frozen(kw_only=True)
class TurnStarted:
    """The program has taken the prompt; `turn` is the id that the turn's events carry."""

    turn: str


@attrs.frozen(kw_only=True)
class Text:
    """A piece of the agent's answer; `partial` pieces come again in a whole one."""

    text: str
    partial: bool = False


@attrs.frozen(kw_only=True)
class Thinking:
    """A piece of the agent's reasoning."""

    text: str


@attrs.frozen(kw_only=True)
class ToolCall:
    """The agent uses a tool."""

    id: str
    name: str
    input: Mapping[str, object]


@attrs.frozen(kw_only=True)
class ToolResult:
    """A tool has ended."""

    id: str
    ok: bool
    text: str = ""


@attrs.frozen(kw_only=True)
class UsageChanged:
    """The tokens of this turn so far."""

    usage: Usage


@attrs.frozen(kw_only=True)
class Retry:
    """The program is going to ask its provider again by itself.

    Attributes:
        attempt: from 1; `of` is how many there are at most, if the program says it.
        delay: seconds until then, if the program says it.
        status: the HTTP status of the failure, if there was an answer.
    """

    attempt: int
    of: int | None = None
    delay: float | None = None
    status: int | None = None
    error: ErrorClass = ErrorClass.FAILED
    message: str = ""


@attrs.frozen(kw_only=True)
class RateLimited:
    """The provider says when more is allowed."""

    resets_at: datetime | None
    message: str = ""


@attrs.frozen(kw_only=True)
class ServerFailed:
    """A server of tools (MCP) that the program was handed cannot be used; it goes on without.

    Attributes:
        name: the server's.
        reason: the program's own words.
    """

    name: str
    reason: str


@attrs.frozen(kw_only=True)
class FileChange:
    """The program says that it changed a file with a tool of its own; commands do not say it.

    Of what it had us write (`WriteAsked`), the session says it.

    Attributes:
        path: as the program says it: absolute, or relative to the session's directory.
    """

    path: str
    kind: Literal["created", "modified", "deleted"]


@attrs.frozen(kw_only=True)
class TurnEnded:
    """The program says that the turn is over.

    Attributes:
        turn: the id of `TurnStarted`; empty if the program does not say which.
        ok: it is a good end: not just an exit code of 0.
        message: the final message; empty if there is none.
        stop: the program's own word for how it ended.
        error: why it is not ok.
        error_text: the program's sentence about it.
        usage: of this turn only, whatever the program's counters count.
        cost_usd: of this turn only; None if nobody says it.
        raw: the program's own record of the end.
        marker: what a fork "after this turn" is made with (`driver.Origin`); empty if it cannot be.
        structured: what the program made of the schema that the turn was sent with; None if
            nothing.
    """

    turn: str
    ok: bool
    message: str
    stop: str
    error: ErrorClass | None = None
    error_text: str = ""
    resets_at: datetime | None = None
    usage: Usage = Usage()
    cost_usd: float | None = None
    cost_source: CostSource = "none"
    raw: Mapping[str, object] = {}
    marker: str = ""
    structured: object = None


@attrs.frozen(kw_only=True)
class Raw:
    """A message of the program that has no translation, or a line that is no message at all."""

    kind: str
    data: bytes


Event: TypeAlias = (
    Ready
    | ConversationStarted
    | TurnStarted
    | Text
    | Thinking
    | ToolCall
    | ToolResult
    | UsageChanged
    | Retry
    | RateLimited
    | ServerFailed
    | ApprovalAsked
    | ApprovalClosed
    | ApprovalDecided
    | ReadAsked
    | WriteAsked
    | SilenceRung
    | Parked
    | BegunAnew
    | SnapshotTaken
    | Rewound
    | FileChange
    | TurnEnded
    | Raw
)
