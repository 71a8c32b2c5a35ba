"""What a store is made of: bytes that are named after themselves.

    content    the bytes of a file of at most `CHUNK`, a chunk of a larger one, or a link's target
    listing    a directory: its entries, with the ids of what they are (listing.py)
    chunks     a file of more than `CHUNK` bytes: its size, and the ids of its chunks in their order

Rules:

1. Equal ids are equal bytes of one kind. Contents are named by sha256; listings and chunk lists by
   another hash function. So a file can be written whose content *is* a listing, or a list of
   chunks, as this or that program may do on purpose: it is never taken for one.
2. What a file has one way to be: chunks begin at multiples of `CHUNK`, and one of zeros only has no
   id, whether the file system has a hole there or not. So equal files have equal ids.

Values only. What is not here: where objects are kept, and how they are compressed (store.py).
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence
from enum import IntEnum
from typing import NewType

import attrs

from runner.errors import StoreDamaged

ObjectId = NewType("ObjectId", bytes)

# Of what has no bytes: a fifo; and, inside a list of chunks, of a hole. Nothing hashes to it.
NO_ID = ObjectId(bytes(32))
CHUNK = 1 << 20

_ZEROS = bytes(CHUNK)
_HEADER = b"runner chunks 1\n"
_SIZE = struct.Struct(">Q")
_ID = len(NO_ID)


class Kind(IntEnum):
    """What the bytes of an object are."""

    CONTENT = 1
    LISTING = 2
    CHUNKS = 3


@attrs.frozen
class Object:
    """Bytes and their name.

    Attributes:
        data: as they are hashed, not compressed.
    """

    id: ObjectId
    kind: Kind
    data: bytes = attrs.field(repr=False)


@attrs.frozen
class Chunks:
    """What a list of chunks says.

    Attributes:
        size: of the file, in bytes; more than `CHUNK`.
        ids: of contents; None = a chunk of zeros. Each has `CHUNK` bytes, but for the last.
    """

    size: int
    ids: tuple[ObjectId | None, ...]

    def length(self, number: int) -> int:
        """How many bytes a chunk has; the first one is number 0."""
        return min(CHUNK, self.size - number * CHUNK)


def id_of(kind: Kind, data: bytes) -> ObjectId:
    """The id of the object that these bytes are."""
    if kind is Kind.CONTENT:
        return ObjectId(hashlib.sha256(data).digest())
    return ObjectId(hashlib.blake2b(data, digest_size=_ID).digest())


def make(kind: Kind, data: bytes) -> Object:
    """The object that these bytes are."""
    return Object(id_of(kind, data), kind, data)


def content(data: bytes) -> Object:
    """The content of a file of at most `CHUNK` bytes, or the target of a link.

    Raises:
        ValueError: it is longer.
    """
    if len(data) > CHUNK:
        raise ValueError(f"{len(data)} bytes are no content of one object: it has {CHUNK} at most")
    return make(Kind.CONTENT, data)


def chunk(data: bytes) -> Object | None:
    """A chunk of a larger file; None if it is zeros only.

    Raises:
        ValueError: it is longer than `CHUNK`.
    """
    if data == (_ZEROS if len(data) == CHUNK else _ZEROS[: len(data)]):
        return None
    return content(data)


def chunks(size: int, ids: Sequence[ObjectId | None]) -> Object:
    """The list of the chunks of a file of more than `CHUNK` bytes; None = zeros only.

    Raises:
        ValueError: the file is smaller, or has another number of chunks.
    """
    if size <= CHUNK or len(ids) != _count(size):
        raise ValueError(f"{len(ids)} chunks are not those of a file of {size} bytes")
    names = b"".join(NO_ID if each is None else each for each in ids)
    if len(names) != len(ids) * _ID:
        raise ValueError(f"an id of another length than {_ID} bytes")
    return make(Kind.CHUNKS, _HEADER + _SIZE.pack(size) + names)


def decode_chunks(data: bytes) -> Chunks:
    """Read a list of chunks.

    Raises:
        StoreDamaged: it is none that `chunks` makes.
    """
    start = len(_HEADER) + _SIZE.size
    if not data.startswith(_HEADER) or len(data) < start:
        raise StoreDamaged("a list of chunks does not begin like one")
    (size,) = _SIZE.unpack_from(data, len(_HEADER))
    if size <= CHUNK or len(data) - start != _count(size) * _ID:
        raise StoreDamaged(f"a list of chunks of {len(data)} bytes is not that of {size} bytes")
    found = (ObjectId(data[at : at + _ID]) for at in range(start, len(data), _ID))
    return Chunks(size, tuple(None if each == NO_ID else each for each in found))


def _count(size: int) -> int:
    return -(-size // CHUNK)
