"""Objects as they are on a remote: a header, and the bytes, compressed where that is worth it.

A remote is not trusted to give back what was put there: what comes from one is an object only if
it hashes to the id by which it was asked for.

Values only. What is not here: how they get there (remote.py).
"""

from __future__ import annotations

import struct

import zstandard

from runner.errors import RemoteDamaged
from runner.workspaces.objects import Kind, Object, ObjectId, id_of

_HEADER = struct.Struct(">4sBBQ")
_MAGIC = b"RNR1"
_RAW, _ZSTD = 0, 1
_WORTH = 512  # bytes; below, compressing gains nothing
LEAST = _HEADER.size  # bytes that an object has there at least
# A directory of ten million files has a listing of that size.
LARGEST = 1 << 30


def pack(each: Object) -> bytes:
    """What is put on a remote under the object's id."""
    data, encoding = each.data, _RAW
    if len(data) >= _WORTH:
        smaller = zstandard.ZstdCompressor(level=3).compress(data)
        if len(smaller) < len(data):
            data, encoding = smaller, _ZSTD
    return _HEADER.pack(_MAGIC, each.kind, encoding, len(each.data)) + data


def unpack(wanted: ObjectId, packed: bytes) -> Object:
    """The object with this id, from what a remote gave for it.

    Raises:
        RemoteDamaged: it is another one, or none.
    """
    if len(packed) < _HEADER.size:
        raise _damaged(wanted, "it is cut off")
    magic, kind, encoding, size = _HEADER.unpack_from(packed)
    if magic != _MAGIC or kind not in set(Kind) or encoding not in {_RAW, _ZSTD}:
        raise _damaged(wanted, "it is of an unknown form; perhaps a newer runner put it there")
    data = packed[_HEADER.size :]
    if encoding == _ZSTD:
        data = _decompress(wanted, data, size)
    if len(data) != size or id_of(Kind(kind), data) != wanted:
        raise _damaged(wanted, "its content is another one")
    return Object(wanted, Kind(kind), data)


def _decompress(wanted: ObjectId, data: bytes, size: int) -> bytes:
    try:
        said = zstandard.get_frame_parameters(data).content_size
        if said != size or size > LARGEST:  # nobody makes us take more memory than it says
            raise _damaged(wanted, "its size is another one")
        return zstandard.ZstdDecompressor().decompress(data)
    except zstandard.ZstdError:
        raise _damaged(wanted, "it cannot be decompressed") from None


def _damaged(wanted: ObjectId, why: str) -> RemoteDamaged:
    return RemoteDamaged(f"the remote's object {wanted.hex()} is damaged: {why}")
