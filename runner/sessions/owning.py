"""Who owns a session, on the whole machine: a byte of one file, which the kernel locks.

    <state>/owners                 empty; of each session that is owned, one byte is locked
    <state>/sessions/<id>/owner    who that is, for people: `process 123`

Rules:

1. A session's byte is at an offset that the hash of its id says (a lock may be where a file has
   nothing). So one open file does for any number of sessions.
2. The locks are of that open file (F_OFD_SETLK), not of the process: the kernel takes them back
   when its last descriptor is closed, however the process ends; and two `Owners` of one process
   exclude each other as those of two processes do.
3. Locks of one open file do not conflict: two handles on a session that share an `Owners` are told
   apart by what is held here.
4. A forked child has the open file as well, and would hold the locks when its parent is gone: it
   closes it at once, and owns nothing. Between the fork and the exec of a program, that is left to
   the exec; so the lock of a killed owner may outlive it for a moment (store.py waits for that).
5. Where the file is another one than it was (somebody removed the state directory), what is held is
   locked there again.

What is not here: what an owner may do.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import struct
import weakref
from contextlib import suppress

import attrs

# struct flock, where a file's size has 64 bits: type, whence, start, length, pid
_FLOCK = struct.Struct("@hhqqi4x")
_BITS = 62  # an offset has a sign, and its end must be one too


@attrs.define(eq=False)
class Owners:
    """What one runner owns of the sessions of a state directory; its file is open while it does.

    Attributes:
        state: the state directory.
    """

    state: str
    _file: int | None = None
    _held: set[str] = attrs.field(factory=set)

    def __attrs_post_init__(self) -> None:
        _everywhere.add(self)

    def claim(self, session: str) -> bool:
        """Own a session, if nobody does; whether it is ours now.

        Raises:
            OSError: the file cannot be made or locked.
        """
        if session in self._held:
            return False
        try:
            if self._file is None:
                self._file = _open(self.state)
            while _lock(self._file, session):
                if self._is_the_file():
                    self._held.add(session)
                    return True
                self._move()
        finally:
            self._close_if_idle()
        return False

    def release(self, session: str) -> None:
        """Own it no more."""
        if session in self._held:
            self._held.discard(session)
            self._close_if_idle()
            if self._file is not None:
                _set(self._file, fcntl.F_UNLCK, session)

    def forget(self) -> None:
        """Own nothing, and let go of the file; a forked child leaves its parent what it has."""
        self._held.clear()
        self._close_if_idle()

    def _is_the_file(self) -> bool:
        """Whether the file that is open is the one that others find."""
        assert self._file is not None
        try:
            return os.path.samestat(os.fstat(self._file), os.stat(_path(self.state)))
        except FileNotFoundError:
            return False

    def _move(self) -> None:
        assert self._file is not None
        before, self._file = self._file, _open(self.state)
        os.close(before)
        for session in self._held:
            _lock(self._file, session)

    def _close_if_idle(self) -> None:
        if not self._held and self._file is not None:
            file, self._file = self._file, None
            os.close(file)

    def __repr__(self) -> str:
        return f"<Owners in {self.state!r}: {len(self._held)} sessions>"


def owner_of(private: str) -> str:
    """Who owns a session now, as `process 123`; empty if nobody does.

    Args:
        private: its private directory.
    """
    try:
        if not _is_locked(private):
            return ""
    except OSError:  # nobody ever owned one, or nobody can
        return ""
    owner = noted_owner(private)
    return owner if is_alive(owner) else "another process"


def note_owner(private: str) -> None:
    """Say who owns a session; what cannot be written here is only for people."""
    with suppress(OSError):
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
        file = os.open(os.path.join(private, "owner"), flags, 0o600)
        try:
            os.write(file, b"process %d\n" % os.getpid())
        finally:
            os.close(file)


def noted_owner(private: str) -> str:
    """Who has said so last, as `process 123`; empty if nobody did."""
    try:
        with open(os.path.join(private, "owner"), "rb", buffering=0) as file:
            return file.read(64).decode("ascii", "replace").strip()
    except OSError:
        return ""


def is_alive(owner: str) -> bool:
    """Whether there is a process that was noted so."""
    pid = owner.removeprefix("process ")
    return pid.isdigit() and os.path.exists(f"/proc/{pid}")


def _is_locked(private: str) -> bool:
    state, session = os.path.dirname(os.path.dirname(private)), os.path.basename(private)
    file = os.open(_path(state), os.O_RDONLY | os.O_CLOEXEC)
    try:
        found = fcntl.fcntl(file, fcntl.F_OFD_GETLK, _flock(fcntl.F_WRLCK, session))
    finally:
        os.close(file)
    return bool(_FLOCK.unpack(found)[0] != fcntl.F_UNLCK)


def _path(state: str) -> str:
    return os.path.join(state, "owners")


def _open(state: str) -> int:
    return os.open(_path(state), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _lock(file: int, session: str) -> bool:
    try:
        _set(file, fcntl.F_WRLCK, session)
    except BlockingIOError:
        return False
    return True


def _set(file: int, kind: int, session: str) -> None:
    fcntl.fcntl(file, fcntl.F_OFD_SETLK, _flock(kind, session))


def _flock(kind: int, session: str) -> bytes:
    digest = hashlib.sha256(session.encode()).digest()
    start = int.from_bytes(digest[:8], "big") >> (64 - _BITS)
    return _FLOCK.pack(kind, os.SEEK_SET, start, 1, 0)


_everywhere: weakref.WeakSet[Owners] = weakref.WeakSet()


def _forget_all() -> None:
    for each in list(_everywhere):
        each.forget()


os.register_at_fork(after_in_child=_forget_all)
