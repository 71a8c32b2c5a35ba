"""What the audit says of a message, and of a program's end. Tables; pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from runner import messages as m
from runner.backends.files import SMALL
from runner.messages import Completed, Message
from runner.operations.op_names import op_name
from runner.workspaces.records import Json
from runner.workspaces.witness import Spot

# The paths that a message changes.
SPOTS: dict[type[Message[Any]], Callable[[Any], tuple[Spot, ...]]] = {
    m.Write: lambda message: (Spot(message.path),),
    m.Append: lambda message: (Spot(message.path),),
    m.Edit: lambda message: (Spot(message.path),),
    m.EditLines: lambda message: (Spot(message.path),),
    m.Touch: lambda message: (Spot(message.path),),
    m.Chmod: lambda message: (Spot(message.path),),
    m.Mkdir: lambda message: (Spot(message.path),),
    m.Remove: lambda message: (Spot(message.path, entry=True, deep=message.recursive),),
    m.Copy: lambda message: (Spot(message.target, entry=True, deep=True),),
    m.Move: lambda message: (
        Spot(message.source, entry=True, deep=True),
        Spot(message.target, entry=True, deep=True),
    ),
    m.Upload: lambda message: tuple(Spot(path) for path, _ in message.files),
    m.Batch: lambda message: tuple(
        dict.fromkeys(spot for each in message.effects for spot in SPOTS[type(each)](each))
    ),
}


NOW = frozenset(
    (
        m.Write,
        m.Append,
        m.Edit,
        m.EditLines,
        m.Touch,
        m.Chmod,
        m.Mkdir,
        m.Remove,
        m.Copy,
        m.Move,
    )
)


def is_short(message: Message[Any]) -> bool:
    """Whether it looks as if it could be done at once; the inner backend has the last word."""
    if isinstance(message, m.Write):
        return len(message.content) <= SMALL and not message.durable and message.expected is None
    return True


def about_end(completed: Completed | None) -> dict[str, Json]:
    """What there is to say about a program's end."""
    if completed is None:
        return {}
    found: dict[str, Json] = {
        "exit_code": completed.exit_code,
        "outcome": str(completed.outcome),
        "duration": round(completed.duration, 6),
        "out": completed.out.size,
        "err": completed.err.size,
    }
    if completed.limit_exceeded is not None:
        found["limit_exceeded"] = completed.limit_exceeded
    return found


def details_of(message: Message[Any]) -> dict[str, Json]:
    """What a row says besides the path."""
    match message:
        case m.Copy() | m.Move():
            return {"source": message.source, "target": message.target}
        case m.Batch():
            return {"operations": [op_name(type(each)) for each in message.effects[:100]]}
        case _:
            return {}
