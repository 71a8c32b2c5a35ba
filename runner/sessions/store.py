"""What is kept of a session on disk, so that a later process can go on with it.

    <private>/               mode 0700, one for each session
        lock                 held (flock) by the one process that owns the session
        session.json         the record: replaced whole, by rename
        transcript.jsonl     prompts, events and results, one a line; only added to
        home/                HOME of the program, and whatever configuration it needs

Rules:

1. The record is written before the act: before a process starts, before a prompt is sent, when the
   program says its conversation's id, and after each turn. So whoever comes after a SIGKILL knows
   which conversation to resume, and that a turn was cut.
2. Only the owner writes. The lock goes with its process, however that ends.
3. No fsync: after a SIGKILL all is there, after a power failure the last turn may be missing.

A session need not be kept at all: then it has no `Store`. What is not here: what a turn is.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import IO, Any

import attrs
import msgspec

from runner.errors import AgentError, SessionClosed
from runner.sessions.private import make_private

RECORD_VERSION = 1
# What a transcript keeps of one untranslated line of the program: its start.
RAW_LIMIT = 16 << 10


@attrs.define(kw_only=True)
class Record:
    """What must be known to go on with a session.

    Attributes:
        agent: the agent's name.
        directory: where it works; conversations belong to their directory.
        conversation: the id that the program knows, or the one to begin with.
        resume: whether the program has begun that conversation.
        turns: how many turns have begun.
        last_good: the number of the last turn that came to a good end; 0 if none did.
        in_flight: the number of the turn that is being carried out; 0 if there is none.
        cut: whether the last turn was cut off, which its successor has to be told.
        program_version: as the program says it.
        updated: when this was written, ISO 8601, UTC.
    """

    version: int = RECORD_VERSION
    id: str
    agent: str
    directory: str
    conversation: str
    resume: bool = False
    turns: int = 0
    last_good: int = 0
    in_flight: int = 0
    cut: bool = False
    program_version: str = ""
    updated: str = ""


@attrs.define(eq=False, repr=False)
class Store:
    """The private directory of one session, and the right to write there.

    Attributes:
        private: its path, absolute; made by `claim`.
        lost: lines of the transcript that could not be written.
    """

    private: str
    lost: int = 0
    _lock: int | None = None
    _transcript: IO[bytes] | None = None
    _is_closed: bool = False

    # ------------------------------------------------------------ owning it

    def claim(self) -> None:
        """Become the owner, if we are not yet.

        Raises:
            AgentError: another process, or another handle of this one, owns the session; or its
                directory cannot be made.
            SessionClosed: it was given up already.
        """
        if self._is_closed:
            raise SessionClosed(f"the session in {self.private!r} is closed")
        if self._lock is not None:
            return
        try:
            make_private(self.private)
            path = os.path.join(self.private, "lock")
            lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as exc:
            where = f"the session's directory {self.private!r}"
            raise AgentError(f"{where} cannot be used: {exc.strerror}") from exc
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as exc:
            owner = os.pread(lock, 64, 0).decode("ascii", "replace").strip() or "another process"
            os.close(lock)
            session = os.path.basename(self.private)
            raise AgentError(f"the session {session!r} is open already, by {owner}") from exc
        os.ftruncate(lock, 0)
        os.pwrite(lock, b"process %d\n" % os.getpid(), 0)
        self._lock = lock

    def rest(self) -> None:
        """Let go of what is not needed while nothing happens; it stays ours."""
        if self._transcript is not None:
            self._transcript.close()
            self._transcript = None

    def close(self) -> None:
        """Own it no more."""
        self._is_closed = True
        self.rest()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    # ------------------------------------------------------------ the record

    def load(self) -> Record | None:
        """The record as it was left; None if there is none yet.

        Raises:
            AgentError: it cannot be used.
        """
        path = os.path.join(self.private, "session.json")
        try:
            with open(path, "rb") as file:
                value = json.loads(file.read())
            record = msgspec.convert(value, Record)
        except FileNotFoundError:
            return None
        except ValueError as exc:
            raise AgentError(f"the session's record {path!r} cannot be used: {exc}") from exc
        if record.version > RECORD_VERSION:
            raise AgentError(
                f"the session's record {path!r} is of version {record.version},"
                f" newer than this runner's {RECORD_VERSION}"
            )
        return record

    def save(self, record: Record) -> None:
        """Replace the record: a reader finds the old one or this, never half.

        Raises:
            AgentError: it cannot be written; the old one is still there.
        """
        record.updated = datetime.now(UTC).isoformat()
        data = json.dumps(attrs.asdict(record), indent=1).encode()
        path = os.path.join(self.private, "session.json")
        temporary = f"{path}.tmp"
        try:
            with open(temporary, "wb", opener=_owner_only) as file:
                file.write(data)
            os.replace(temporary, path)
        except OSError as exc:
            raise AgentError(f"the session's record {path!r} cannot be written: {exc}") from exc

    # ------------------------------------------------------------ the transcript

    def note(self, **what: object) -> None:
        """Add a line to the transcript: what happened, and when. One that cannot be is counted."""
        if self._is_closed:  # from a program that could not be ended in time: not ours any more
            self.lost += 1
            return
        at = datetime.now(UTC).isoformat()
        try:
            line = json.dumps({"at": at, **what}, default=_plain).encode() + b"\n"
        except RecursionError:  # a program may nest as deep as can just be read
            self.lost += 1
            return
        try:
            if self._transcript is None:
                self._transcript = _open_lines(os.path.join(self.private, "transcript.jsonl"))
            written = self._transcript.write(line)
        except OSError:
            written = 0  # a full disk must not end the turn that may be about to free it
        if written != len(line):
            self.lost += 1
            if written:  # what there was room for; opening it anew ends that line
                self.rest()

    def __repr__(self) -> str:
        return f"<Store {self.private!r}, {'ours' if self._lock is not None else 'not claimed'}>"


def _open_lines(path: str) -> IO[bytes]:
    """Open a file to add lines; one that a full disk or a SIGKILL left half is ended first."""
    file = open(path, "ab", buffering=0, opener=_owner_only)  # noqa: SIM115
    try:
        if not _is_whole(path, file.tell()):
            file.write(b"\n")
    except OSError:
        file.close()
        raise
    return file


def _is_whole(path: str, size: int) -> bool:
    if size == 0:
        return True
    with open(path, "rb", buffering=0) as file:
        file.seek(size - 1)
        return file.read(1) == b"\n"


def _owner_only(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CLOEXEC, 0o600)


def _plain(value: Any) -> object:
    """What JSON has no word for, as something it has."""
    if attrs.has(type(value)):
        return {field.name: getattr(value, field.name) for field in attrs.fields(type(value))}
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, bytes):
        kept = value[:RAW_LIMIT].decode("utf-8", "backslashreplace")
        return kept if len(value) <= RAW_LIMIT else f"{kept}[... {len(value) - RAW_LIMIT} more]"
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value)
