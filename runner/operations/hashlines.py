"""Lines that are named by number and hash, so that an edit of stale lines is caught. Pure.

A line's hash is the beginning of the SHA-256 of its bytes without the line end: eight hex digits,
so a line that has changed passes by chance once in 4,294,967,296 times.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

DIGITS = 8


def line_hash(line: str | bytes) -> str:
    """The hash of a line; its end (LF or CRLF) does not count."""
    raw = line.encode("utf-8", "surrogateescape") if isinstance(line, str) else line
    end = b"\r\n" if raw.endswith(b"\r\n") else b"\n"
    return hashlib.sha256(raw.removesuffix(end)).hexdigest()[:DIGITS]


def with_hashes(lines: Iterable[str], first: int = 1) -> str:
    """Lines as `number:hash|text`, one below the other: what an agent is shown."""
    return "\n".join(
        f"{number}:{line_hash(line)}|{line}" for number, line in enumerate(lines, first)
    )
