"""Leases: who puts objects for long, and names them only at the end, says so to whoever collects.

    <store.db>-lease-<seconds since 1970>-<random>      locked (flock) as long as it holds

While one holds, nothing is dropped that was put since its moment. The kernel takes the lock back
however its process ends; whoever collects next removes the file.

What was put before that, and is only remembered, is no lease's: who names it looks whether it is
still there (`Store.require_whole`).
"""

from __future__ import annotations

import os
import secrets
import time
from contextlib import suppress
from typing import Self

import attrs

from runner.errors import StoreError, WorkspaceBusy
from runner.workspaces.locking import Lock

_MARK = "-lease-"
LONG = 600.0  # seconds until there is need of one: what was put within the last hour is kept anyway
_TRIES = 8  # one that is new may be taken for a dead process's


@attrs.define(eq=False)
class Lease:
    """What is put since a moment is about to be named. A context manager.

    Attributes:
        path: of the store's file.
        since: the moment, in seconds since 1970.
    """

    path: str
    since: float
    _begun: float = attrs.field(factory=time.monotonic)
    _lock: Lock | None = None

    def __enter__(self) -> Self:
        self.take()
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def take(self) -> None:
        """Have it.

        Raises:
            StoreError: there is no room for its file, or it cannot be made.
        """
        for _ in range(_TRIES):
            path = f"{self.path}{_MARK}{int(self.since)}-{secrets.token_hex(8)}"
            try:
                self._lock = Lock.take(path, "store")
            except WorkspaceBusy:
                continue
            except OSError as exc:
                raise StoreError(f"nothing can be made beside it: {exc.strerror}", path) from exc
            else:
                return
        raise StoreError("others take its leases away", self.path)

    def take_if_long(self) -> None:
        """Have it from when it is needed on."""
        if self._lock is None and time.monotonic() - self._begun > LONG:
            self.take()

    def end(self) -> None:
        """Whatever is to be named is named. May be called again."""
        lock, self._lock = self._lock, None
        if lock is not None:
            with suppress(OSError):  # whoever collects next removes it
                os.unlink(lock.path)
            lock.release()


def oldest(path: str) -> float:
    """The moment since which nothing is to be dropped from a store; infinite = nobody is at it."""
    found = float("inf")
    directory, name = os.path.split(path)
    for each in os.listdir(directory):
        if each.startswith(name + _MARK):
            since, _, _ = each.removeprefix(name + _MARK).partition("-")
            if since.isdigit() and _is_held(os.path.join(directory, each)):
                found = min(found, float(since))
    return found


def _is_held(path: str) -> bool:
    try:
        lock = Lock.take(path, "store")
    except WorkspaceBusy:
        return True
    except OSError:
        return not os.path.lexists(path)  # it has ended just now, or it is nobody's to say
    with suppress(OSError):
        os.unlink(path)
    lock.release()
    return False
