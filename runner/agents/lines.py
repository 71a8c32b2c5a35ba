"""Lines: bytes as they come from a pipe in, whole lines and JSON messages out.

A `LineSplitter` holds the beginning of the line that has not ended yet, in pieces, so that a line
of any length in pieces of any length costs its length once. A line of more than `limit` bytes is
cut there: what comes after is counted and thrown away, so that memory is bounded whatever a
program writes. (64 MiB: claude writes a line of 3 MB for an answer of 3 MB, codex likewise; the
limits of 64 KiB and 1 MiB that others chose have failed in practice.)

`decode` never raises: what is no JSON object is None.

This module does no I/O, and knows nothing of what the messages mean.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

import attrs
import msgspec

LINE_LIMIT = 64 << 20


@attrs.define(eq=False)
class LineSplitter:
    """Cuts a stream of bytes into lines.

    Attributes:
        limit: bytes of a line that are kept.
        omitted: bytes thrown away so far, over all lines.
    """

    limit: int = LINE_LIMIT
    omitted: int = 0
    _pieces: list[bytes] = attrs.field(factory=list, init=False)
    _size: int = attrs.field(default=0, init=False)

    def feed(self, data: bytes) -> list[bytes]:
        """Take the next bytes; give the lines that they end, without their LF or CRLF."""
        *ended, rest = data.split(b"\n")
        lines = []
        for piece in ended:
            if self._pieces or len(piece) > self.limit:
                self._keep(piece)
                piece = self.take_tail()  # noqa: PLW2901
            lines.append(piece.removesuffix(b"\r"))
        self._keep(rest)
        return lines

    def take_tail(self) -> bytes:
        """Take what has come of a line that has not ended."""
        tail = b"".join(self._pieces)
        self._pieces.clear()
        self._size = 0
        return tail

    def _keep(self, piece: bytes) -> None:
        kept = piece[: self.limit - self._size]
        self.omitted += len(piece) - len(kept)
        if kept:
            self._pieces.append(kept)
            self._size += len(kept)


def decode(line: bytes) -> dict[str, object] | None:
    """Read one line as a JSON object; None if it is none."""
    value = decode_value(line)
    return value if isinstance(value, dict) else None


def decode_value(text: bytes) -> object:
    """Read JSON of any kind; None for `null` and for what is no JSON."""
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass
    # msgspec is strict where programs are not: a text cut inside a surrogate pair is written as
    # "\ud83d" by JSON.stringify, which is JSON (RFC 8259, 8.2) but no Unicode. The standard
    # library takes it; encoding with "replace" makes it text that can be written down again.
    try:
        lax = json.dumps(json.loads(text.decode("utf-8", "replace")), ensure_ascii=False)
        return msgspec.json.decode(lax.encode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return None


def is_partial(line: bytes) -> bool:
    """Whether a line looks like the beginning of a message: a program was ended while it wrote."""
    return line.lstrip().startswith(b"{")


# ------------------------------------------------ fields of messages, whatever stands there


def text_of(message: Mapping[str, object], key: str) -> str:
    """The text at a key; "" if there is something else, or nothing."""
    value = message.get(key)
    return value if isinstance(value, str) else ""


def mapping_of(message: Mapping[str, object], key: str) -> dict[str, object]:
    """The object at a key; an empty one if there is something else, or nothing."""
    value = message.get(key)
    return value if isinstance(value, dict) else {}


def list_of(message: Mapping[str, object], key: str) -> list[object]:
    """The list at a key; an empty one if there is something else, or nothing."""
    value = message.get(key)
    return value if isinstance(value, list) else []


def whole_of(message: Mapping[str, object], key: str) -> int:
    """The whole number at a key; 0 if there is something else, or nothing."""
    value = message.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def number_of(message: Mapping[str, object], key: str) -> float | None:
    """The number at a key; None if there is something else, or nothing."""
    value = message.get(key)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(value)
