"""The bytes of an object as they are kept: compressed by zstd where that makes them smaller.

For several threads at once: compressing lets go of the interpreter. No I/O.
"""

from __future__ import annotations

import threading
from typing import TypeAlias

import zstandard

# What is smaller gains less than it costs.
SMALLEST = 128
# The next level makes small objects 3 % smaller and costs little there; of all, it would take the
# first snapshot half as long again.
SMALL, SMALL_LEVEL, LEVEL = 8192, 4, 3
# No object has more bytes: whoever says so would have us take all the memory there is.
MOST = 1 << 30

_of_thread = threading.local()


def pack(data: bytes) -> tuple[bool, bytes]:
    """Whether it is compressed, and the bytes to keep."""
    if len(data) >= SMALLEST:
        large, small, _ = _tools()
        packed: bytes = (small if len(data) < SMALL else large).compress(data)
        if len(packed) < len(data) - len(data) // 16:
            return True, packed
    return False, data


def unpack(size: int, is_packed: int, data: object) -> bytes:
    """What was packed.

    Raises:
        ValueError: it is something else than that many bytes; with the reason.
    """
    if type(data) is not bytes:
        raise ValueError("it has no bytes")
    if size > MOST:
        raise ValueError(f"it is said to have {size} bytes, more than any object")
    if is_packed:
        try:
            # of the size that the store knows, whatever these bytes say of theirs
            data = _tools()[2].decompress(data, max_output_size=size)
        except zstandard.ZstdError as exc:
            raise ValueError(f"it cannot be decompressed: {exc}") from exc
    if len(data) != size:
        raise ValueError(f"it has {len(data)} bytes of {size}")
    return data


_Compressor: TypeAlias = zstandard.ZstdCompressor


def _tools() -> tuple[_Compressor, _Compressor, zstandard.ZstdDecompressor]:
    """For large objects, for small ones, and back."""
    found: tuple[_Compressor, _Compressor, zstandard.ZstdDecompressor] | None
    found = getattr(_of_thread, "tools", None)
    if found is None:
        large, small = (
            zstandard.ZstdCompressor(level=each, write_content_size=False)
            for each in (LEVEL, SMALL_LEVEL)
        )
        found = _of_thread.tools = (large, small, zstandard.ZstdDecompressor())
    return found
