"""The steps of a script, one record for each directive: values only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import attrs

from runner.agents.events import ErrorClass, Usage


@attrs.frozen(kw_only=True)
class Write:
    """Write a file."""

    path: str
    content: str


@attrs.frozen(kw_only=True)
class Run:
    """Run a shell command."""

    command: str


@attrs.frozen(kw_only=True)
class Tool:
    """Call a tool by its name."""

    name: str
    input: Mapping[str, object] = attrs.field(factory=dict)


@attrs.frozen(kw_only=True)
class Say:
    """Text."""

    text: str


@attrs.frozen(kw_only=True)
class Think:
    """Reasoning."""

    text: str


@attrs.frozen(kw_only=True)
class Fill:
    """Text of a size."""

    size: int


@attrs.frozen(kw_only=True)
class Recall:
    """Say earlier prompts; None = all of them."""

    count: int | None = None


@attrs.frozen(kw_only=True)
class Count:
    """The token figures."""

    usage: Usage


@attrs.frozen(kw_only=True)
class Stop:
    """The stop reason."""

    reason: str


@attrs.frozen(kw_only=True)
class Sleep:
    """Wait."""

    seconds: float


@attrs.frozen(kw_only=True)
class Fail:
    """An error.

    Attributes:
        status: the HTTP status.
        error: the class that a runner should see in it.
        type: the API's own word for it; empty = the usual one.
        retry_after: seconds, in the header of that name.
        resets: seconds until a limit of the account is over, said as the API says it.
    """

    status: int
    error: ErrorClass
    type: str = ""
    message: str = ""
    retry_after: float | None = None
    resets: float | None = None
    times: int | None = None


@attrs.frozen(kw_only=True)
class Drop:
    """Cut the connection in the middle of the answer."""

    times: int | None = None


@attrs.frozen(kw_only=True)
class Reset:
    """Cut the connection before the answer."""

    times: int | None = None


@attrs.frozen(kw_only=True)
class Stall:
    """Send nothing more."""

    times: int | None = None


@attrs.frozen(kw_only=True)
class Hang:
    """Never answer."""

    times: int | None = None


@attrs.frozen(kw_only=True)
class Malformed:
    """Answer with what is not the protocol."""

    times: int | None = None


@attrs.frozen(kw_only=True)
class Exit:
    """End the program; a negative code is a signal's number."""

    code: int = 1


@attrs.frozen(kw_only=True)
class Spawn:
    """Leave a process behind."""

    command: str


@attrs.frozen(kw_only=True)
class Stderr:
    """Write a line to standard error."""

    text: str


@attrs.frozen(kw_only=True)
class Line:
    """Write a line to standard output."""

    text: str


@attrs.frozen(kw_only=True)
class Cost:
    """What the turn costs."""

    usd: float


ToolStep: TypeAlias = Write | Run | Tool
ProgramStep: TypeAlias = Exit | Spawn | Stderr | Line | Cost
Step: TypeAlias = (
    ToolStep
    | Say
    | Think
    | Fill
    | Recall
    | Count
    | Stop
    | Sleep
    | Fail
    | Drop
    | Reset
    | Stall
    | Hang
    | Malformed
    | ProgramStep
)
