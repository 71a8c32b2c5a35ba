"""Files of a memory tree that are read or written piece by piece."""

from __future__ import annotations

import secrets

import attrs

from runner import messages as m
from runner.backends.beneath import Route
from runner.backends.memory.tree import NAME, Tree
from runner.errors import NotFound


@attrs.define(eq=False)
class Reading:
    """A file that is being read, as it was when it was opened."""

    content: bytes
    at: int = 0


@attrs.define(eq=False)
class Writing:
    """What is to take a file's place."""

    path: str
    route: Route
    content: bytearray = attrs.field(factory=bytearray)


def open_reader(tree: Tree, message: m.OpenReader) -> m.Opened:
    """Open a file to be read."""
    with tree.answers("open_stream", message.path):
        content = tree.file(tree.route("open_stream", message.path)).content
        return _add(tree, Reading(content))


def open_writer(tree: Tree, message: m.OpenWriter) -> m.Opened:
    """Begin to write what is to replace a file."""
    with tree.answers("open_stream", message.path):
        route = tree.route("open_stream", message.path)
        tree.place(route)
        return _add(tree, Writing(message.path, route))


def _add(tree: Tree, stream: Reading | Writing) -> m.Opened:
    id = secrets.token_hex(6)  # noqa: A001 - the messages' own word
    tree.streams[id] = stream
    return m.Opened(id=id, size=len(stream.content))


def read_stream(tree: Tree, message: m.ReadStream) -> bytes:
    """The next bytes of a stream."""
    stream = tree.streams.get(message.id)
    if not isinstance(stream, Reading):
        raise _missing("receive", message.id)
    begin = stream.at
    stream.at += max(1, message.limit)
    return stream.content[begin : stream.at]


def _writing(tree: Tree, op: str, id: str) -> Writing:  # noqa: A002 - the messages' own word
    stream = tree.streams.get(id)
    if not isinstance(stream, Writing):
        raise _missing(op, id)
    return stream


def _missing(op: str, id: str) -> NotFound:  # noqa: A002 - likewise
    hint = "it ended with its block or scope"
    return NotFound(op, id, "there is no such open stream", scope=NAME, hint=hint)


def write_stream(tree: Tree, message: m.WriteStream) -> None:
    """Add to a stream; a file that would be too large for the tree's limits is refused."""
    stream = _writing(tree, "send", message.id)
    with tree.answers("send", stream.path):
        tree.room(None, len(stream.content) + len(message.data))
        stream.content += message.data


def commit_stream(tree: Tree, message: m.CommitStream) -> None:
    """Put what was written in place."""
    stream = _writing(tree, "open_stream", message.id)
    with tree.answers("open_stream", stream.path):
        tree.put(stream.route, bytes(stream.content))
        del tree.streams[message.id]


def close_stream(tree: Tree, message: m.CloseStream) -> None:
    """Close a stream."""
    tree.streams.pop(message.id, None)
