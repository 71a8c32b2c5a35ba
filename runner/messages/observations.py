"""The operations that look at files and change nothing. Values only: no I/O, no trio."""

from __future__ import annotations

import attrs

from runner.messages.answers import FileStat, Found, GrepOutput, Listing, Matches
from runner.messages.message import Count, Message
from runner.messages.reading import Downloaded, Drawing, Lines


@attrs.frozen(kw_only=True)
class Read(Message[bytes]):
    """The content of a file, or `limit` bytes of it from `offset`."""

    path: str
    offset: Count = 0
    limit: Count | None = None


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
    limit: Count = 10_000


@attrs.frozen(kw_only=True)
class Glob(Message[Found]):
    """The paths below `path` that match a pattern (`**`, braces, character classes).

    Attributes:
        gitignore: leave out what `.gitignore` files in the scope ignore, and `.git`.
    """

    pattern: str
    path: str = "."
    hidden: bool = False
    gitignore: bool = False
    limit: Count = 10_000


@attrs.frozen(kw_only=True)
class Grep(Message[Matches]):
    """The lines of text files below `path` that match a regular expression or a literal.

    Attributes:
        glob: only files whose name (or, with a `/` in it, whose path below `path`) matches.
        types: only files of one of these types (`py`, `rust`, … as ripgrep calls them).
        gitignore: leave out what `.gitignore` files in the scope ignore, and `.git`.
        multiline: a match may reach over lines; each line that it touches is found.
        before: how many lines before each match are given, too.
        after: how many lines after each.
        output: what is answered: the lines, or of each file only its name and count.
        per_file: how many lines of one file are given at most.
        limit: how many lines (or files) are given at most.
    """

    pattern: str
    path: str = "."
    literal: bool = False
    ignore_case: bool = False
    glob: str | None = None
    types: tuple[str, ...] = ()
    hidden: bool = False
    gitignore: bool = False
    multiline: bool = False
    before: Count = 0
    after: Count = 0
    output: GrepOutput = "lines"
    per_file: Count | None = None
    limit: Count = 10_000


@attrs.frozen(kw_only=True)
class ReadLines(Message[Lines]):
    """Lines of a text file.

    Attributes:
        offset: how many lines to skip; negative = begin so many lines before the end.
        longest: bytes of a line that are given; what is longer is cut.
        total: whether to count all lines; without, no more is read than what is answered needs.
    """

    path: str
    offset: int = 0
    limit: Count = 2000
    longest: Count = 8192
    total: bool = True


@attrs.frozen(kw_only=True)
class Digest(Message[str]):
    """The SHA-256 of a file's content, in hexadecimal digits."""

    path: str


@attrs.frozen(kw_only=True)
class Realpath(Message[str]):
    """Where a path leads when all links are followed; what is missing at its end may be missing."""

    path: str


@attrs.frozen(kw_only=True)
class Tree(Message[Drawing]):
    """What stands below a directory, to a depth; links are not followed."""

    path: str = "."
    depth: Count | None = 3
    hidden: bool = False
    gitignore: bool = False
    limit: Count = 1000


@attrs.frozen(kw_only=True)
class Download(Message[tuple[Downloaded, ...]]):
    """The contents of many files: one answer each, in order; one failure leaves the others."""

    paths: tuple[str, ...]


@attrs.frozen(kw_only=True)
class ListKeys(Message[Found]):
    """The paths of all files (hidden ones, too) that begin with a text, sorted as texts."""

    prefix: str = ""
    limit: Count = 10_000
