"""What an operation is called (as the method that asks for it), and what it is about. Pure."""

from __future__ import annotations

import functools
import re
from typing import Any

from runner.messages import Message

_WORD = re.compile(r"(?<!^)(?=[A-Z])")
_OTHERWISE = {"OpenReader": "open_stream", "OpenWriter": "open_stream"}


def op_name(kind: type[Message[Any]]) -> str:
    """The name of an operation, by its message's type: `ReadLines` is `read_lines`."""
    return _snake(kind.__name__)


@functools.cache
def _snake(name: str) -> str:
    return _OTHERWISE.get(name) or _WORD.sub("_", name).lower()


def subject_of(message: Message[Any]) -> str | None:
    """What an operation is about, for errors and logs: a path, a command, a program's id.

    None, too, where a message has something else in that place than it should.
    """
    command = getattr(message, "command", None)
    if command is not None:
        return " ".join(map(str, command)) if isinstance(command, tuple) else str(command)
    for name in ("path", "source", "prefix", "id"):
        found = getattr(message, name, None)
        if isinstance(found, str):
            return found
    for name in ("paths", "files", "effects"):
        match getattr(message, name, None):
            case (Message() as first, *_):
                return subject_of(first)
            case (str(first), *_) | ((str(first), *_), *_):
                return first
            case _:
                pass
    return None
