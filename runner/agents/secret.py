"""A secret by reference: where its value is, never the value. Looked up when a program starts."""

from __future__ import annotations

from typing import TypeAlias

import attrs


@attrs.frozen(kw_only=True)
class Secret:
    """Where a value is to be found; exactly one of these.

    Attributes:
        env: the name of a variable of ours.
        file: the path of a file whose text it is.
        command: a program and its arguments, whose output it is.

    Raises:
        ValueError: none of them is given, or several.
    """

    env: str = ""
    file: str = ""
    command: tuple[str, ...] = ()

    def __attrs_post_init__(self) -> None:
        if sum(map(bool, (self.env, self.file, self.command))) != 1:
            raise ValueError("must have either env, file or command")


Value: TypeAlias = str | Secret
