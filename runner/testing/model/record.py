"""What the log of the model server keeps of a request."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Literal, TypeAlias

import attrs

_KEYS = ("x-api-key", "x-goog-api-key", "authorization")

Outcome: TypeAlias = Literal["open", "answered", "failed", "dropped", "reset", "malformed", "gone"]


@attrs.define(eq=False, kw_only=True)
class Record:
    """One request.

    Attributes:
        auth: the header by which a key came, or "none"; never the key.
        session: the program's own id of the conversation, if it sends one.
        prompt: the last prompt, verbatim.
        done: how many tool calls of that prompt had their result.
        status: of the answer; 0 = none was sent (yet).
        outcome: "gone" = the client left before the answer was over.
    """

    method: str
    path: str
    api: str = ""
    auth: str = "none"
    session: str = ""
    stream: bool = False
    model: str = ""
    prompt: str = ""
    done: int = 0
    status: int = 0
    outcome: Outcome = "open"
    time: datetime = attrs.field(factory=lambda: datetime.now(UTC))

    def as_dict(self) -> dict[str, object]:
        """The record as JSON can have it."""
        return attrs.asdict(self) | {"time": self.time.isoformat()}


def auth_kind(headers: Mapping[str, str]) -> str:
    """By which header a key came."""
    return next((name for name in _KEYS if headers.get(name)), "none")
