"""What an entry of an operation log says of a message, and of its answer. Tables; pure.

Sizes and counts, never contents.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from runner import messages as m
from runner.messages import Message
from runner.operations.op_names import op_name, subject_of

MOST_PATHS = 1000  # of one entry

_SIZE_IN: dict[type[Message[Any]], Callable[[Any], int]] = {
    m.Write: lambda message: len(message.content),
    m.Append: lambda message: len(message.content),
    m.Edit: lambda message: sum(len(each.new) for each in message.replacements),
    m.EditLines: lambda message: sum(len(each.text) for each in message.changes),
    m.Upload: lambda message: sum(len(content) for _, content in message.files),
    m.Batch: lambda message: sum(map(size_in, message.effects)),
    m.Exec: lambda message: len(message.input or b""),
    m.Start: lambda message: len(message.input),
    m.WriteInput: lambda message: len(message.data),
    m.WriteStream: lambda message: len(message.data),
}


def size_in(message: Message[Any]) -> int:
    """Bytes that a message brings."""
    size = _SIZE_IN.get(type(message))
    return 0 if size is None else size(message)


def items_in(message: Message[Any]) -> int | None:
    """How many things it is about, if it can be about many."""
    many = [getattr(message, name, None) for name in ("paths", "files", "effects")]
    return next((len(each) for each in many if each is not None), None)


def paths_in(message: Message[Any]) -> tuple[str, ...]:
    """The paths of a message about many; of a batch with the effect in front."""
    match message:
        case m.Download():
            return message.paths[:MOST_PATHS]
        case m.Upload():
            return tuple(path for path, _ in message.files[:MOST_PATHS])
        case m.Batch():
            return tuple(_effect(each) for each in message.effects[:MOST_PATHS])
        case _:
            return ()


def _effect(message: Message[Any]) -> str:
    target = getattr(message, "target", None)
    what = f"{op_name(type(message))} {subject_of(message)}"
    return what if target is None else f"{what} → {target}"


_ABOUT: dict[type[Any], Callable[[Any], dict[str, Any]]] = {
    bytes: lambda answer: {"size_out": len(answer)},
    m.Completed: lambda answer: {
        "size_out": answer.out.size + answer.err.size,
        "exit_code": answer.exit_code,
    },
    m.Listing: lambda answer: {"items": len(answer.entries)},
    m.Drawing: lambda answer: {"items": len(answer.entries)},
    m.Found: lambda answer: {"items": len(answer.paths)},
    m.Matches: lambda answer: {
        "items": len(answer.matches) or len(answer.files) or len(answer.counts)
    },
    m.Lines: lambda answer: {
        "items": len(answer.lines),
        "size_out": sum(len(each.encode("utf-8", "surrogateescape")) for each in answer.lines),
    },
    m.Opened: lambda answer: {"id": answer.id},
    m.Started: lambda answer: {"id": answer.id},
    m.News: lambda answer: {"size_out": sum(len(each.data) for each in answer.pieces)},
}


def about(answer: object) -> dict[str, Any]:
    """What an answer adds to an entry."""
    if isinstance(answer, tuple):
        return _about_many(answer)
    found = _ABOUT.get(type(answer))
    return {} if found is None else found(answer)


def _about_many(answers: tuple[object, ...]) -> dict[str, Any]:
    """Of many: the bytes of those that came well, and how many did not."""
    many = [each for each in answers if isinstance(each, m.Downloaded | m.Stored)]
    failed = sum(1 for each in many if each.error is not None)
    contents = [each.content for each in many if isinstance(each, m.Downloaded)]
    facts: dict[str, Any] = {"size_out": sum(len(each or b"") for each in contents)}
    if failed:
        facts["reason"] = f"{failed} of {len(many)} failed"
    return facts
