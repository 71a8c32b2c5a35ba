"""Acts that were done at once, on their way into the store: a file that is mapped into memory.

    intent ──► the act ──► end ──► … ──► many of them in the store, in one transaction ──► cleared

What was written there is there after a SIGKILL, as soon as it is written; after a power failure it
may not be, as in the store. It is used by whoever has the workspace's lock; one thread at a time.

    8 bytes   how long what follows is. Written last
    the rest  records, each with its length before it: an intent, then its end, and so on
"""

from __future__ import annotations

import marshal
import mmap
import os
import struct
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, TypeAlias

import attrs

from runner.scopes.who import Who
from runner.workspaces.audit_acts import Begun, Doing, Sight
from runner.workspaces.records import Json
from runner.workspaces.witness import Seen, Spot

MOST = 64  # acts that wait together
SIZE = 128 * 1024
ROOM = 32 * 1024  # that an intent leaves for its end
PENDING = "pending"  # the directory of the logs, beside the store
_HEAD, _LENGTH = struct.Struct("=Q"), struct.Struct("=I")
_FORMAT = 2  # of marshal: the one in which equal values give equal bytes

# What was begun, what stands there since, whether it went well (None: nobody knows), what else.
Done: TypeAlias = tuple[Begun, Sight, bool | None, Mapping[str, Json]]


class Log:
    """A file with room for records. It is made if it is not there."""

    def __init__(self, path: str) -> None:
        """Map it.

        Raises:
            OSError: it cannot be.
        """
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(fd, 0, SIZE)  # a full disk is an error here, and no SIGBUS later
            self._map = mmap.mmap(fd, SIZE)
        finally:
            os.close(fd)
        (length,) = _HEAD.unpack_from(self._map)
        self._end = _HEAD.size + (length if length <= SIZE - _HEAD.size else 0)
        self._before = self._end

    @property
    def room(self) -> int:
        """How much there is."""
        return SIZE - self._end

    def add(self, data: bytes) -> None:
        """Write one more; there is room for it."""
        self._before, start = self._end, self._end + _LENGTH.size
        self._end = start + len(data)
        _LENGTH.pack_into(self._map, self._before, len(data))
        self._map[start : self._end] = data
        _HEAD.pack_into(self._map, 0, self._end - _HEAD.size)

    def take_back(self) -> None:
        """The last one never was."""
        self._end = self._before
        _HEAD.pack_into(self._map, 0, self._end - _HEAD.size)

    def clear(self, *, keep_last: bool = False) -> None:
        """Let nothing be there, or only the last one."""
        last = self._map[self._before + _LENGTH.size : self._end] if keep_last else None
        self._before = self._end = _HEAD.size
        _HEAD.pack_into(self._map, 0, 0)
        if last is not None:
            self.add(last)

    def records(self) -> list[bytes]:
        """What is there, in its order.

        Raises:
            ValueError: what has a length of its own does not end where all does.
        """
        found, at = [], _HEAD.size
        while at + _LENGTH.size <= self._end:
            (length,) = _LENGTH.unpack_from(self._map, at)
            at += _LENGTH.size + length
            found.append(self._map[at - length : at])
        if at != self._end:
            raise ValueError("its records are longer than it is")
        return found

    def close(self) -> None:
        """Let go of it; the file stays, since somebody else may have it by now."""
        self._map.close()


@attrs.define(eq=False)
class Pending:
    """The acts that are in a log, and not in the store.

    Attributes:
        done: those that have come to their end, in their order.
        has_begun: one has not.
        is_stuck: the end of the last one is in no file: no other may begin before all are kept.
    """

    _log: Log
    done: list[Done] = attrs.field(factory=list)
    has_begun: bool = False
    is_stuck: bool = False
    _last: int = 0

    @property
    def is_full(self) -> bool:
        """Whether no other can begin before these are in the store."""
        if self.has_begun or self.is_stuck:
            return True
        return len(self.done) >= MOST or self._log.room < 2 * ROOM

    def begin(self, doing: Doing, who: Who, before: Sight) -> Begun | None:
        """Write an intent down; None if it is too large, or all is full."""
        if self.is_full:
            return None
        at = self._last = max(time.time_ns(), self._last + 1)  # by which it is known
        spots = [(each.path, each.entry, each.deep) for each in doing.spots]
        whose = (who.session, who.job, who.agent)
        said = (at, doing.operation, *whose, spots, _said(before), dict(doing.details))
        data = marshal.dumps(said, _FORMAT)
        if len(data) > ROOM:
            return None
        self._log.add(data)
        self.has_begun = True
        return Begun(intent=None, doing=doing, who=who, before=before, at=at)

    def end(self, begun: Begun, after: Sight, ok: bool | None, more: Mapping[str, Json]) -> bool:
        """Write its end down; False if there is no room for that: then only who asked knows."""
        data = marshal.dumps((_said(after), ok, dict(more)), _FORMAT)
        has_room = len(data) + _LENGTH.size <= self._log.room
        if has_room:
            self._log.add(data)
        self.done.append((begun, after, ok, more))
        self.has_begun, self.is_stuck = False, not has_room
        return has_room

    def take_back(self) -> None:
        """What was begun was not done at once."""
        self._log.take_back()
        self.has_begun = False

    def clear(self) -> None:
        """Those that are done are in the store."""
        if self.done:
            self.done.clear()
            self._log.clear(keep_last=self.has_begun)
            self.is_stuck = False

    def close(self) -> None:
        """Let go of the file."""
        self._log.close()

    def recall(self) -> Begun | None:
        """Know what a process has left here that was killed; the answer is what was cut off.

        Raises:
            ValueError: it is none of ours.
        """
        records = [marshal.loads(each) for each in self._log.records()]  # noqa: S302 - our own
        begun, ends = [_begun(each) for each in records[::2]], records[1::2]
        self.done = [
            (one, _seen(after), ok, more)
            for one, (after, ok, more) in zip(begun, ends, strict=False)
        ]
        return begun[-1] if len(begun) > len(ends) else None

    def forget(self) -> None:
        """All that was recalled is in the store, or none of ours."""
        self._log.clear()
        self.done.clear()


def remove_logs(directory: str, workspace: str) -> None:
    """Take away the log of a workspace, and what is kept beside it of what ran in it."""
    with suppress(FileNotFoundError):
        for name in os.listdir(directory):
            if name.partition(".")[0] == workspace:
                with suppress(FileNotFoundError):
                    os.unlink(os.path.join(directory, name))


def logged(directory: str) -> set[str]:
    """The workspaces that have logs."""
    try:
        return {name.partition(".")[0] for name in os.listdir(directory)}
    except FileNotFoundError:
        return set()


def _plain(seen: Seen) -> tuple[Any, ...]:
    return seen.type, seen.size, seen.digest, seen.mode, seen.entries


def _said(sight: Sight) -> list[tuple[str, Any]]:
    return [(path, None if seen is None else _plain(seen)) for path, seen in sight.items()]


def _seen(said: list[tuple[str, Any]]) -> Sight:
    return {path: None if each is None else Seen(*each) for path, each in said}


def _begun(said: tuple[Any, ...]) -> Begun:
    at, operation, session, job, agent, spots, before, details = said
    doing = Doing(operation=operation, spots=tuple(Spot(*each) for each in spots), details=details)
    who = Who(session=session, job=job, agent=agent)
    return Begun(intent=None, doing=doing, who=who, before=_seen(before), at=at)
