"""What is answered about files. Values only: no I/O, no trio."""

from __future__ import annotations

from datetime import datetime
from typing import Literal, TypeAlias

import attrs

from runner.errors import OperationError

FileType: TypeAlias = Literal["file", "directory", "link", "other"]
GrepOutput: TypeAlias = Literal["lines", "files", "counts"]


@attrs.frozen(kw_only=True)
class FileStat:
    """What stands at a path (a link is followed if it stays inside).

    Attributes:
        size: bytes; 0 for a directory.
        mode: permission bits only (`0o644`).
        modified: when the content last changed, aware, UTC.
    """

    type: FileType
    size: int
    mode: int
    modified: datetime


@attrs.frozen(kw_only=True)
class Entry:
    """One entry of a directory; links are not followed."""

    name: str
    type: FileType
    size: int
    mode: int
    modified: datetime
    target: str | None = None


@attrs.frozen(kw_only=True)
class Failure:
    """Why one of many failed: an `OperationError` as a value.

    Attributes:
        kind: the name of the error's class, such as "NotFound".
    """

    kind: str
    reason: str
    hint: str = ""

    @classmethod
    def of(cls, error: OperationError) -> Failure:
        """The error as a value."""
        return cls(kind=type(error).__name__, reason=error.reason, hint=error.hint)


@attrs.frozen(kw_only=True)
class Stored:
    """What became of one file of an upload."""

    path: str
    error: Failure | None = None


@attrs.frozen(kw_only=True)
class Listing:
    """The entries of a directory, sorted by name; `omitted` more were left out."""

    entries: tuple[Entry, ...]
    omitted: int = 0


@attrs.frozen(kw_only=True)
class Found:
    """The paths that a glob matched, sorted; `omitted` more were left out."""

    paths: tuple[str, ...]
    omitted: int = 0


@attrs.frozen(kw_only=True)
class Match:
    """One line that a grep matched.

    Attributes:
        line: from 1.
        text: the line without its end, decoded as UTF-8 with surrogate escapes.
        before: the lines before it, if they were asked for.
        after: the lines after it.
    """

    path: str
    line: int
    text: str
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()


@attrs.frozen(kw_only=True)
class FileMatches:
    """How many lines of a file a grep matched."""

    path: str
    lines: int


@attrs.frozen(kw_only=True)
class Matches:
    """What a grep matched, in the order of a walk.

    Attributes:
        matches: by path and line; empty if only files or counts were asked for.
        omitted: how many more matching lines (or files) were left out.
        files: the files with a match, if files were asked for.
        counts: the same with how many lines match in each, if counts were asked for.
    """

    matches: tuple[Match, ...] = ()
    omitted: int = 0
    files: tuple[str, ...] = ()
    counts: tuple[FileMatches, ...] = ()
