"""The vocabulary: one frozen record per operation on a scope, typed by its answer.

A message says *what* is asked for and nothing about who carries it out: the same record is asked
in this process, or (encoded) over a socket. `Message[AnswerT]` is a phantom type: a mailbox's
`ask(Read(...))` is known to be `bytes` without a cast at the call.

Paths are text with surrogate escapes (`os.fsdecode`), relative to the scope, `/` between names.
Contents are bytes: encodings are the handle's business. Sizes are bytes, durations seconds.

This module holds values only: no I/O, no trio.
"""

from __future__ import annotations

import enum
from datetime import datetime
from typing import Generic, Literal, TypeAlias, TypeVar

import attrs

AnswerT = TypeVar("AnswerT")


class Message(Generic[AnswerT]):
    """Anything that can be asked of an actor; `AnswerT` is what a good answer is."""

    __slots__ = ()


# ---------------------------------------------------------------- answers

FileType: TypeAlias = Literal["file", "directory", "link", "other"]


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
    """

    path: str
    line: int
    text: str


@attrs.frozen(kw_only=True)
class Matches:
    """What a grep matched, by path and line; `omitted` more matching lines were left out."""

    matches: tuple[Match, ...]
    omitted: int = 0


class Outcome(enum.StrEnum):
    """How an exec came to its end."""

    EXITED = "exited"
    TIMEOUT = "timeout"
    SILENCE = "silence"


@attrs.frozen(kw_only=True)
class Output:
    """What is kept of a stream: its head and its tail, and the exact count of what lies between.

    Attributes:
        head: the first bytes.
        tail: the last bytes; empty unless something was omitted.
        omitted: how many bytes between head and tail were dropped.
    """

    head: bytes
    tail: bytes = b""
    omitted: int = 0

    @property
    def size(self) -> int:
        """How many bytes the stream had in all."""
        return len(self.head) + self.omitted + len(self.tail)

    def data(self) -> bytes:
        """What is kept, with a line that says how much was left out where it was."""
        if not self.omitted:
            return self.head + self.tail
        return self.head + b"\n[... %d bytes left out ...]\n" % self.omitted + self.tail


@attrs.frozen(kw_only=True)
class Completed:
    """A program has ended.

    Attributes:
        exit_code: 0 to 255, or minus the number of the signal that ended it.
        outcome: whether it ended by itself or was ended by us, and why.
        duration: seconds from the start to the leader's end.
        leftovers: processes that it left behind and that were ended with it.
    """

    exit_code: int
    outcome: Outcome
    out: Output
    err: Output
    duration: float
    leftovers: int = 0


# ---------------------------------------------------------------- observations


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


# ---------------------------------------------------------------- effects on files


@attrs.frozen(kw_only=True)
class Write(Message[None]):
    """Replace a file's content whole, or make the file; parents are made."""

    path: str
    content: bytes
    durable: bool = False


@attrs.frozen(kw_only=True)
class Append(Message[None]):
    """Add to a file's end, or make the file; parents are made."""

    path: str
    content: bytes


@attrs.frozen(kw_only=True)
class Edit(Message[int]):
    """Replace an exact piece of a file; the answer is how many times it was replaced."""

    path: str
    old: bytes
    new: bytes
    replace_all: bool = False


@attrs.frozen(kw_only=True)
class Mkdir(Message[None]):
    """Make a directory and its parents."""

    path: str
    exist_ok: bool = True


@attrs.frozen(kw_only=True)
class Copy(Message[None]):
    """Copy a file or a tree to a new path; parents are made; links are copied as links."""

    source: str
    target: str
    overwrite: bool = False


@attrs.frozen(kw_only=True)
class Move(Message[None]):
    """Rename a file or a tree; parents are made."""

    source: str
    target: str
    overwrite: bool = False


@attrs.frozen(kw_only=True)
class Remove(Message[None]):
    """Remove a file or an empty directory, or a tree if `recursive`."""

    path: str
    recursive: bool = False
    missing_ok: bool = False


# ---------------------------------------------------------------- programs


@attrs.frozen(kw_only=True)
class Exec(Message[Completed]):
    """Run a program in the scope and wait for its end.

    Attributes:
        command: a line for `sh -c`, or a program with its arguments.
        cwd: where it runs, relative to the scope.
        env: variables on top of the scope's.
        input: bytes for its standard input; None = an empty one.
        timeout: seconds until it is ended; None = no limit.
        silence: seconds without any output until it is ended; None = no limit.
        max_output: bytes kept of each stream, half of them head and half tail.
    """

    command: str | tuple[str, ...]
    cwd: str = "."
    env: tuple[tuple[str, str], ...] = ()
    input: bytes | None = None
    timeout: float | None = None
    silence: float | None = None
    max_output: int = 1 << 20


Observation: TypeAlias = Read | Stat | Exists | Ls | Glob | Grep
FileEffect: TypeAlias = Write | Append | Edit | Mkdir | Copy | Move | Remove
Operation: TypeAlias = Observation | FileEffect | Exec
