"""The operations on local files that are read or written piece by piece (open_files.py)."""

from __future__ import annotations

import os

import trio

from runner import messages as m
from runner.backends import files
from runner.backends.beneath import READING
from runner.backends.local.changing import file_to_write
from runner.backends.local.place import Place
from runner.backends.open_files import Reading, Writing


def open_reader(place: Place, message: m.OpenReader) -> m.Opened:
    """Open a file to be read."""
    path = message.path
    with place.answers("open_stream", path):
        place.streams.require_room("open_stream", path)
        route = place.root.route("open_stream", path)
        fd = place.root.open(make=False).open(route, READING)
        try:
            files.require_regular(os.fstat(fd))
            return place.streams.add(Reading(path, fd))
        except BaseException:
            os.close(fd)
            raise


def open_writer(place: Place, message: m.OpenWriter) -> m.Opened:
    """Begin to write what is to replace a file."""
    path = message.path
    with place.answers("open_stream", path):
        place.streams.require_room("open_stream", path)
        directory, name = file_to_write(place, "open_stream", path)
        try:
            return place.streams.add(Writing(path, directory, name))
        except BaseException:
            os.close(directory)
            raise


async def read_stream(place: Place, message: m.ReadStream) -> bytes:
    """The next bytes of a stream."""
    with place.answers("receive", message.id):
        stream = place.streams.reading("receive", message.id)
    with place.answers("receive", stream.path):
        return await stream.read(message.limit)


async def write_stream(place: Place, message: m.WriteStream) -> None:
    """Add to a stream."""
    with place.answers("send", message.id):
        stream = place.streams.writing("send", message.id)
    with place.answers("send", stream.path):
        await stream.write(message.data)


async def commit_stream(place: Place, message: m.CommitStream) -> None:
    """Put what was written in place."""
    with place.answers("open_stream", message.id):
        stream = place.streams.writing("open_stream", message.id)
    with place.answers("open_stream", stream.path):
        await stream.commit(durable=message.durable)
        place.streams.take(message.id)
        stream.close()


async def close_stream(place: Place, message: m.CloseStream) -> None:
    """Close a stream."""
    stream = place.streams.take(message.id)
    if stream is None:
        return
    with place.answers("open_stream", stream.path):
        if isinstance(stream, Writing):
            with trio.CancelScope(shield=True):  # as long as a piece takes to be written
                await stream.discard()
        else:
            stream.close()
