"""What an operation is called: as the method of `Scope` that asks for it. Pure."""

from __future__ import annotations

import functools
import re
from typing import Any

from runner.messages import Message

_WORD = re.compile(r"(?<!^)(?=[A-Z])")


def op_name(kind: type[Message[Any]]) -> str:
    """The name of an operation, by its message's type: `ReadLines` is `read_lines`."""
    return _snake(kind.__name__)


@functools.cache
def _snake(name: str) -> str:
    return _WORD.sub("_", name).lower()
