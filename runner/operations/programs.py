"""What the methods that run programs share: how a caller's words become those of a message.

What has become one is looked at where it is asked (soundness.py); here is what could not become one
at all, or would become something else than was meant.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from runner.errors import DecodeFailed, InvalidArgument
from runner.operations.soundness import shown


def command_of(op: str, command: object, scope: str) -> str | tuple[str, ...]:
    """A line for the shell, or a program with its arguments."""
    if isinstance(command, str):
        return command
    if isinstance(command, Iterable) and not isinstance(command, bytes | bytearray | Mapping):
        return tuple(command)
    reason = f"the command is {shown(command)}: it must be text or a list of texts"
    raise InvalidArgument(op, None, reason, scope=scope, hint='"ls -l", or ["ls", "-l"]')


def variables_of(op: str, env: object, scope: str) -> tuple[tuple[str, str], ...]:
    """Variables, each with its value."""
    if env is None:
        return ()
    if isinstance(env, Mapping):
        return tuple(env.items())
    reason = f"env is {shown(env)}: it must be a mapping of names to texts"
    raise InvalidArgument(op, None, reason, scope=scope, hint='env={"NAME": "value"}')


def input_of(op: str, data: object, scope: str) -> bytes:
    """What a program is to read: text becomes what it was made from, if that was output."""
    if isinstance(data, bytes | bytearray | memoryview):
        return bytes(data)
    if not isinstance(data, str):
        reason = f"the input is {shown(data)}: it must be text or bytes"
        raise InvalidArgument(op, None, reason, scope=scope, hint="give str or bytes")
    try:
        return data.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as error:
        reason = f"not text for utf-8: character {error.start}: {error.reason}"
        raise DecodeFailed(op, None, reason, scope=scope, hint="give bytes") from None


def require_encoding(op: str, encoding: object, scope: str) -> None:
    """Raise InvalidArgument for an encoding that output is not made text by."""
    if encoding not in (None, "utf-8"):
        reason = f'encoding is {shown(encoding)}: it must be "utf-8" or None'
        hint = "with None, output is bytes: decode them"
        raise InvalidArgument(op, None, reason, scope=scope, hint=hint)
