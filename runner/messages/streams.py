"""The operations on files that are read or written piece by piece. Values only: no I/O, no trio.

A stream is opened by one message and known by its id from then on. What is written is not to be
seen before `CommitStream` puts it in place, whole. There is no message for appending piece by
piece: each piece is an `Append`.
"""

from __future__ import annotations

from typing import TypeAlias

import attrs

from runner.messages.message import Count, Message


@attrs.frozen(kw_only=True)
class Opened:
    """A stream is open.

    Attributes:
        id: names it from here on.
        size: bytes that can be read; 0 for one that is written.
    """

    id: str
    size: int = 0


@attrs.frozen(kw_only=True)
class OpenReader(Message[Opened]):
    """Open a file to be read as it is now: what is appended or put in its place is not seen."""

    path: str


@attrs.frozen(kw_only=True)
class OpenWriter(Message[Opened]):
    """Begin to write what is to take a file's place; missing parents are made."""

    path: str


@attrs.frozen(kw_only=True)
class ReadStream(Message[bytes]):
    """The next bytes of a file that is being read; none at its end.

    Attributes:
        limit: bytes to give at most; at least one.
    """

    id: str
    limit: Count = 1 << 16


@attrs.frozen(kw_only=True)
class WriteStream(Message[None]):
    """Add to what is being written."""

    id: str
    data: bytes


@attrs.frozen(kw_only=True)
class CommitStream(Message[None]):
    """Put what was written in the place of the file, whole, and close the stream.

    Attributes:
        durable: whether it is on the disk when this is answered.
    """

    id: str
    durable: bool = False


@attrs.frozen(kw_only=True)
class CloseStream(Message[None]):
    """Close a stream, if it is open; what was written and not put in place is gone."""

    id: str


Streaming: TypeAlias = ReadStream | WriteStream | CloseStream
