"""Files that are read or written piece by piece, by one descriptor each, and those that are open.

A reader reads to the size that the file had when it was opened: a file that is replaced meanwhile
is another one, and what is appended lies beyond. A writer writes to a temporary name in the file's
directory, which is renamed over the file at the commit and removed at any other end; what a killed
process leaves of it is never shown, and is removed later (leftovers.py).

What this does not do: resolve paths; protect a reader from programs that write into the file.
"""

from __future__ import annotations

import contextlib
import os
import secrets

import trio

from runner.backends import files
from runner.backends.files import SMALL
from runner.backends.threads import in_thread
from runner.errors import NotFound, OperationError
from runner.messages import Opened

MOST = 256  # streams that are open at once: each holds a descriptor, a writer two
LARGEST = 1 << 20  # bytes of one answer


class Reading:
    """A file that is being read."""

    def __init__(self, path: str, fd: int) -> None:
        """Take the descriptor over."""
        self.path = path
        self._fd = fd
        self._at = 0
        self.size = os.fstat(fd).st_size

    async def read(self, limit: int) -> bytes:
        """The next bytes; several tasks may take turns."""
        # one synchronous block: from here on these bytes are this caller's
        at, count = self._at, min(max(1, limit), LARGEST, self.size - self._at)
        self._at += count
        if count <= SMALL:
            return os.pread(self._fd, count, at) if count else b""
        fd = os.dup(self._fd)  # it may be closed while a thread reads
        try:
            return await in_thread(lambda: os.pread(fd, count, at))
        finally:
            os.close(fd)

    def close(self) -> None:
        """Let go of it."""
        os.close(self._fd)


class Writing:
    """A file that is being written, beside the one that it will replace."""

    size = 0

    def __init__(self, path: str, directory: int, name: str) -> None:
        """Take the directory over, and begin."""
        self.path = path
        self._directory, self._name = directory, name
        self._draft = files.Draft(directory, name)
        self._turn = trio.Lock()

    async def write(self, data: bytes) -> None:
        """Add to it."""
        async with self._turn:
            if len(data) <= SMALL:
                files.write_all(self._draft.fd, data)
            else:
                await in_thread(lambda: files.write_all(self._draft.fd, data))

    async def commit(self, *, durable: bool) -> None:
        """Put it in place."""
        async with self._turn:
            if durable:
                await in_thread(lambda: self._draft.put_in_place(durable=True))
            else:
                self._draft.put_in_place(durable=False)

    async def discard(self) -> None:
        """Remove what there is of it, when nobody writes any more."""
        async with self._turn:
            self.close()

    def close(self) -> None:
        """Let go of it."""
        self._draft.discard()
        os.close(self._directory)


class Streams:
    """The open streams of a place."""

    def __init__(self) -> None:
        """None is open."""
        self._open: dict[str, Reading | Writing] = {}

    def __len__(self) -> int:
        return len(self._open)

    def add(self, stream: Reading | Writing) -> Opened:
        """Name one."""
        id = secrets.token_hex(6)  # noqa: A001 - the messages' own word
        self._open[id] = stream
        return Opened(id=id, size=stream.size)

    def require_room(self, op: str, path: str) -> None:
        """Raise OperationError if too many are open."""
        if len(self._open) >= MOST:
            hint = "leave the blocks of those that are not needed any more"
            raise OperationError(op, path, f"{MOST} streams are open here", hint=hint)

    def take(self, id: str) -> Reading | Writing | None:  # noqa: A002 - likewise
        """One that is closed by whoever calls this."""
        return self._open.pop(id, None)

    def reading(self, op: str, id: str) -> Reading:  # noqa: A002 - likewise
        """The one of an id."""
        found = self._open.get(id)
        if not isinstance(found, Reading):
            raise _missing(op, id)
        return found

    def writing(self, op: str, id: str) -> Writing:  # noqa: A002 - likewise
        """The one of an id."""
        found = self._open.get(id)
        if not isinstance(found, Writing):
            raise _missing(op, id)
        return found

    def close(self) -> None:
        """Close them all."""
        while self._open:
            with contextlib.suppress(OSError):
                self._open.popitem()[1].close()


def _missing(op: str, id: str) -> NotFound:  # noqa: A002 - likewise
    return NotFound(op, id, "there is no such open stream", hint="it ended with its block or scope")
