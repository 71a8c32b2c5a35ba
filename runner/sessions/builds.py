"""Which build of a program a file is: the version that it says, and what is in it.

A program that updates itself is another one from then on, under the same name, and what it answers
may differ. So a session's row and a batch's attempts have which one it was.

A file is read once as it is now (its inode, size and time), in a thread, one file at a time, and
not at all if it is larger than any program. What a program says of its version is versions.py's.
"""

from __future__ import annotations

import hashlib
import os
from collections import OrderedDict
from typing import TypeAlias

import attrs
import trio

Stamp: TypeAlias = tuple[str, int, int, int, int]

LARGEST = 2 << 30
CHUNK = 1 << 20
# How many files are remembered.
KNOWN = 64


@attrs.frozen(kw_only=True)
class Build:
    """A program, as it was.

    Attributes:
        version: as it says it; empty = it was not asked, or does not.
        sha256: of its file, in hexadecimal digits; empty = that could not be read.
    """

    version: str = ""
    sha256: str = ""

    def differs(self, other: Build) -> bool:
        """Whether it is another one, as far as that is known of both."""
        pairs = ((self.version, other.version), (self.sha256, other.sha256))
        return any(mine and theirs and mine != theirs for mine, theirs in pairs)

    def __str__(self) -> str:
        return f"{self.version} (sha256 {self.sha256[:12] or 'not known'})".strip()


def stamp_of(path: str) -> Stamp | None:
    """What a program's file is known by, as it is now; None if it is not there."""
    real = os.path.realpath(path)
    try:
        stat = os.stat(real)
    except OSError:
        return None
    return (real, stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns)


@attrs.define(eq=False)
class Digests:
    """The digests of programs' files."""

    _known: OrderedDict[Stamp, str] = attrs.field(factory=OrderedDict, init=False)
    _lock: trio.Lock = attrs.field(factory=trio.Lock, init=False)

    async def of(self, path: str) -> str:
        """The SHA-256 of a program's file; empty if it cannot be read, or is too large.

        Cancellation: the thread that reads is waited for, which takes a moment.
        """
        stamp = stamp_of(path)
        if stamp is None or stamp[3] > LARGEST:
            return ""
        if stamp not in self._known:
            async with self._lock:  # of many that begin at once, one reads
                if stamp not in self._known:
                    self._known[stamp] = await trio.to_thread.run_sync(_digest, stamp[0])
                    if len(self._known) > KNOWN:
                        self._known.popitem(last=False)
        return self._known.get(stamp, "")


def _digest(path: str) -> str:
    found = hashlib.sha256()
    try:
        with open(path, "rb", buffering=0) as file:
            while data := file.read(CHUNK):
                trio.from_thread.check_cancelled()
                found.update(data)
    except OSError:
        return ""
    return found.hexdigest()
