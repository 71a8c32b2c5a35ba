"""The operations that change files. Values only: no I/O, no trio."""

from __future__ import annotations

from typing import TypeAlias

import attrs

from runner.messages.answers import Stored
from runner.messages.message import Message


def _as_bytes(value: str | bytes) -> bytes:
    """The bytes of a text; what has none stays as it is, and is refused where it is used."""
    try:
        return value.encode("utf-8", "surrogateescape") if isinstance(value, str) else value
    except UnicodeEncodeError:
        return value  # type: ignore[return-value]


@attrs.frozen(kw_only=True)
class Write(Message[None]):
    """Replace a file's content whole, or make the file; parents are made.

    Attributes:
        durable: whether it is on the disk (fsync) when it is answered.
        expected: the digest that the old content must have; None = whatever is there.
    """

    path: str
    content: bytes
    durable: bool = False
    expected: str | None = None


@attrs.frozen(kw_only=True)
class Append(Message[None]):
    """Add to a file's end, or make the file; parents are made."""

    path: str
    content: bytes


@attrs.frozen(kw_only=True)
class Replacement:
    """An exact piece of a file, and what it becomes: bytes, or text, which is UTF-8.

    Attributes:
        replace_all: whether it may stand there more than once.
    """

    old: bytes = attrs.field(converter=_as_bytes)
    new: bytes = attrs.field(converter=_as_bytes)
    replace_all: bool = False


@attrs.frozen(kw_only=True)
class Edit(Message[int]):
    """Replace exact pieces of a file, all or none; the answer is how many were replaced.

    Attributes:
        replacements: each works on what those before it have made.
        expected: the digest that the content must have; None = whatever is there.
    """

    path: str
    replacements: tuple[Replacement, ...]
    expected: str | None = None


@attrs.frozen(kw_only=True)
class LineChange:
    """Lines of a file, named by number and hash, and what they become.

    Attributes:
        first: the number of the first line, from 1.
        first_hash: its `line_hash`.
        last: the number of the last line that is replaced; None = the first is the only one.
        last_hash: its `line_hash`.
        text: what stands there instead, bytes or UTF-8 text; nothing takes the lines out.
        after: put `text` after the first line and replace nothing.
    """

    first: int
    first_hash: str
    text: bytes = attrs.field(converter=_as_bytes)
    last: int | None = None
    last_hash: str | None = None
    after: bool = False


@attrs.frozen(kw_only=True)
class EditLines(Message[int]):
    """Replace lines that are named by number and hash, all or none.

    The answer is by how many lines the file has grown, negative if it has shrunk.

    Attributes:
        changes: each names lines of the file as it is before any of them; they may not overlap.
        expected: the digest that the content must have; None = whatever is there.
    """

    path: str
    changes: tuple[LineChange, ...]
    expected: str | None = None


@attrs.frozen(kw_only=True)
class Touch(Message[None]):
    """Make an empty file, or say that a file was modified now; parents are made."""

    path: str
    exist_ok: bool = True


@attrs.frozen(kw_only=True)
class Chmod(Message[None]):
    """Set the permission bits (0 to 0o777) of a file or a directory; a link is followed."""

    path: str
    mode: int


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


@attrs.frozen(kw_only=True)
class Upload(Message[tuple[Stored, ...]]):
    """Write many files, each for itself; one answer each, in their order.

    Attributes:
        files: paths and contents.
    """

    files: tuple[tuple[str, bytes], ...]


FileEffect: TypeAlias = (
    Write | Append | Edit | EditLines | Touch | Mkdir | Chmod | Copy | Move | Remove
)


@attrs.frozen(kw_only=True)
class Batch(Message[tuple[object, ...]]):
    """Effects on files, carried out one after the other, all or none; an answer each.

    If one fails or the asker leaves, those before it are undone, and the error says which it was.
    """

    effects: tuple[FileEffect, ...]
