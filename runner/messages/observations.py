"""The operations that look at files and change nothing. Values only: no I/O, no trio."""

from __future__ import annotations

import attrs

from runner.messages.answers import FileStat, Found, Listing, Matches
from runner.messages.message import Message


@attrs.frozen(kw_only=True)
class Read(Message[bytes]):
    """The content of a file, or `limit` bytes of it from `offset`."""

    path: str
    offset: int = 0
    limit: int | None = None


@attrs.frozen(kw_only=True)
class Stat(Message[FileStat]):
    """What stands at a path."""

    path: str


@attrs.frozen(kw_only=True)
class Exists(Message[bool]):
    """Whether something stands at a path (a dangling link does not count)."""

    path: str


@attrs.frozen(kw_only=True)
class Ls(Message[Listing]):
    """The entries of a directory."""

    path: str = "."
    limit: int = 10_000


@attrs.frozen(kw_only=True)
class Glob(Message[Found]):
    """The paths below `path` that match a pattern (`**`, braces, character classes)."""

    pattern: str
    path: str = "."
    hidden: bool = False
    limit: int = 10_000


@attrs.frozen(kw_only=True)
class Grep(Message[Matches]):
    """The lines of text files below `path` that match a regular expression or a literal."""

    pattern: str
    path: str = "."
    literal: bool = False
    ignore_case: bool = False
    glob: str | None = None
    hidden: bool = False
    limit: int = 10_000
