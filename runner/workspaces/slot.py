"""A place for one intent that costs next to nothing: a file that is mapped into memory.

What was written there is there after a SIGKILL, as soon as it is written; after a power failure it
may not be, as in the store. It is used by whoever has the workspace's lock.

    8 bytes   how long what follows is; 0 = there is nothing. Written last, and emptied first.
    the rest  the text
"""

from __future__ import annotations

import mmap
import os
import struct

SIZE = 16 * 1024
_LENGTH = struct.Struct("=Q")
_NOTHING = _LENGTH.pack(0)


class Slot:
    """A file with room for one text. It is made if it is not there."""

    def __init__(self, path: str) -> None:
        """Map it.

        Raises:
            OSError: it cannot be.
        """
        self._path = path
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(fd, 0, SIZE)  # a full disk is an error here, and no SIGBUS later
            self._map = mmap.mmap(fd, SIZE)
        finally:
            os.close(fd)

    def read(self) -> bytes | None:
        """What is there."""
        (length,) = _LENGTH.unpack_from(self._map)
        end = _LENGTH.size + length
        return self._map[_LENGTH.size : end] if length > 0 and end <= SIZE else None

    def write(self, text: bytes) -> bool:
        """Put something there; False if something is, or it is too long."""
        end = _LENGTH.size + len(text)
        if end > SIZE or self._map[: _LENGTH.size] != _NOTHING:
            return False
        self._map[_LENGTH.size : end] = text
        _LENGTH.pack_into(self._map, 0, len(text))
        return True

    def clear(self) -> None:
        """Let nothing be there."""
        self._map[: _LENGTH.size] = _NOTHING

    def close(self) -> None:
        """Let go of it; the file stays, since somebody else may have it by now."""
        self._map.close()
