"""The operations that change files. Values only: no I/O, no trio."""

from __future__ import annotations

import attrs

from runner.messages.message import Message


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
