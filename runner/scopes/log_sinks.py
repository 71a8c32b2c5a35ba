"""Where entries of an operation log go: a console, a file of JSON lines.

Both write from the task that asked, one short write for each entry. What they do not do: rotate a
file, or wait for a slow disk (fsync).
"""

from __future__ import annotations

import json
import os
import sys
from types import TracebackType
from typing import Self, TextIO

import attrs

from runner.scopes.operation_log import LogEntry

_SIGNS = {"ok": "✓", "failed": "✗", "cancelled": "-"}


class Console:
    """Writes a line for each entry.

    Args:
        stream: None = standard error, as it is then.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream

    def __call__(self, entry: LogEntry) -> None:
        """Write an entry."""
        stream = sys.stderr if self._stream is None else self._stream
        line = line_of(entry) + "\n"
        if stream.encoding:  # a console that knows no "✓" shows something else
            line = line.encode(stream.encoding, "backslashreplace").decode(stream.encoding)
        stream.write(line)
        stream.flush()


def line_of(entry: LogEntry) -> str:
    """An entry on one line, on which nothing can do anything to a terminal."""
    about = "" if entry.subject is None else f" {_plain(entry.subject)}"
    if entry.target is not None:
        about += f" → {_plain(entry.target)}"
    facts = [f"{entry.duration * 1000:.0f} ms"]
    facts += [f"{entry.size_in} B in"] if entry.size_in else []
    facts += [f"{entry.size_out} B out"] if entry.size_out else []
    facts += [f"{entry.items} items"] if entry.items is not None else []
    facts += [f"exit {entry.exit_code}"] if entry.exit_code else []
    who = f"{_plain(entry.who)}/" if entry.who else ""
    why = f" {entry.error or ''}: {_plain(entry.reason)}" if entry.error or entry.reason else ""
    when = entry.at.isoformat(timespec="milliseconds")
    place = f"[{when}] [{who}{_plain(entry.scope)}]"
    return f"{place} {_SIGNS[entry.outcome]} {entry.op}{about} ({', '.join(facts)}){why}"


def _plain(text: str) -> str:
    return text if text.isprintable() else repr(text)[1:-1]


class JsonLines:
    """Appends a line of JSON for each entry to a file, by one write each.

    Several processes may write to one file. The file is made (for its owner only) and opened at the
    first entry.

    Args:
        path: of the file; its directory must be there.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = os.path.abspath(path)
        self._fd: int | None = None
        self._is_torn = False

    def __call__(self, entry: LogEntry) -> None:
        """Write an entry; OSError if it cannot be written whole."""
        record = attrs.asdict(entry)
        record["at"] = entry.at.isoformat()
        line = json.dumps(record).encode() + b"\n"
        if self._fd is None:
            # A pipe that nobody reads refuses, instead of holding up everything.
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK
            self._fd = os.open(self._path, flags, 0o600)
        if self._is_torn:  # the disk was full in the middle of a line: that line ends here
            line = b"\n" + line
        written = os.write(self._fd, line)
        self._is_torn = written < len(line) and line[:written] != b"\n"
        if written < len(line):
            raise OSError(f"{self._path}: {written} of {len(line)} bytes were written")

    def close(self) -> None:
        """Close the file; the next entry opens it again."""
        fd, self._fd = self._fd, None
        if fd is not None:
            os.close(fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
