"""Digests of files, as the audit has them: those of the store, in words."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator

from runner.backends import files
from runner.backends.threads import breathe
from runner.workspaces.objects import CHUNK, ObjectId, chunk, chunks


def sha256(content: bytes) -> str:
    """The digest of a content."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def digest_of(content: bytes) -> str:
    """The digest of a file with that content."""
    if len(content) <= CHUNK:
        return sha256(content)
    pieces = (content[at : at + CHUNK] for at in range(0, len(content), CHUNK))
    ids = [None if each is None else each.id for each in map(chunk, pieces)]
    return f"chunks:{chunks(len(content), ids).id.hex()}"


def chunk_ids(fd: int, size: int) -> Iterator[ObjectId | None]:
    """The chunks of a large file; what it has no data for is not read."""
    data = -1  # where the next data begin, if that is known
    for at in range(0, size, CHUNK):
        if data < at:
            data = _next_data(fd, at, size)
        if data >= at + CHUNK:
            yield None
            continue
        breathe()
        made = chunk(files.read_window(fd, at, min(CHUNK, size - at)))
        yield None if made is None else made.id


def _next_data(fd: int, at: int, size: int) -> int:
    try:
        return os.lseek(fd, at, os.SEEK_DATA)
    except OSError:  # ENXIO: there are none
        return size + CHUNK
