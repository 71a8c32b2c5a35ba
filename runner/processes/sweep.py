"""Finding, by their environment, processes that a dead run has left behind.

Every program that a `ProcessHost` starts has `RUNNER_RUN=<run id>` in its environment, and so has
whatever that starts, unless it clears its environment. Keepers and guardian end everything before
that is needed; the sweep is for the case that they were killed too, or stopped: they have
`RUNNER_KEEPER=<run id>`, and are made to go on.

A `RunMarker` says that a run is alive: a file named after it, locked as long as the run lives (the
kernel unlocks it, however the run ends). `sweep_stale_runs` ends what the runs left whose markers
are not locked, and removes those. Only processes of our own uid with exactly that tag are ended,
and through a descriptor (pidfd), so that a number that has passed to a stranger is not hit.
"""

from __future__ import annotations

import fcntl
import os
import re
import signal
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from types import MappingProxyType

from runner.errors import ConfigError
from runner.processes.tree import PROC, read_stat

TAG = "RUNNER_RUN"
KEEPER_TAG = "RUNNER_KEEPER"
SESSION_TAG = "RUNNER_SESSION"
RUN_ID = re.compile(r"[A-Za-z0-9_-]{1,100}")
PATIENCE = 5.0
NO_TAGS: Mapping[str, str] = MappingProxyType({})


def check_run_id(run_id: str) -> str:
    """Return a run id that can be a file's name and a variable's value.

    Raises:
        ConfigError: it cannot.
    """
    if not RUN_ID.fullmatch(run_id):
        raise ConfigError(
            f"not a usable run id: {run_id!r} (letters, digits, - and _, at most 100)"
        )
    return run_id


def _environ_of(pid: int) -> bytes:
    with open(f"{PROC}/{pid}/environ", "rb", buffering=0) as file:
        return file.read(1 << 22)


@contextmanager
def _opened(pid: int) -> Iterator[int]:
    fd = os.pidfd_open(pid)
    try:
        yield fd
    finally:
        os.close(fd)


def _is_below(pid: int, ancestors: Collection[int | None]) -> bool | None:
    """Whether one of the processes is an ancestor; None if that cannot be said right now."""
    while pid > 1:
        if pid in ancestors:
            return True
        stat = read_stat(pid)
        if stat is None:
            return None  # it ended while we looked: what was below it is elsewhere now
        pid = stat[0]
    return False


def _end_tagged(
    pid: int, run_id: str, spare: Collection[int | None], tags: Mapping[str, str]
) -> bool:
    """End a process if it has the tags; whether it, or what is below it, may still be there.

    A keeper or guardian is made to go on: it may have been stopped, and ends more than we can find.
    """
    try:
        with _opened(pid) as fd:  # from here on this is one process, whatever becomes of it
            if os.stat(f"{PROC}/{pid}").st_uid != os.geteuid():
                return False
            environ = b"\0" + _environ_of(pid)
            if f"\0{TAG}={run_id}\0".encode() not in environ:
                if f"\0{KEEPER_TAG}={run_id}\0".encode() in environ:
                    signal.pidfd_send_signal(fd, signal.SIGCONT)
                return False
            if any(f"\0{name}={value}\0".encode() not in environ for name, value in tags.items()):
                return False
            spared = _is_below(pid, spare) if spare else False
            if spared is False:
                signal.pidfd_send_signal(fd, signal.SIGKILL)
            return not spared
    except OSError:  # it is gone, or not ours to look at
        return False


def sweep_run(
    run_id: str, spare: Collection[int | None] = (), *, tags: Mapping[str, str] = NO_TAGS
) -> int:
    """End every process that carries the tag of a run; returns when none is left.

    Args:
        run_id: whose processes.
        spare: pids whose descendants are left alone.
        tags: variables that they must have in their environment as well.

    Returns:
        How many were ended.
    """
    check_run_id(run_id)
    give_up = time.monotonic() + PATIENCE
    ended: set[int] = set()
    while time.monotonic() < give_up:
        try:
            pids = [int(name) for name in os.listdir(PROC) if name.isdigit()]
        except OSError:  # there is no such thing here
            break
        found = {
            pid for pid in pids if pid != os.getpid() and _end_tagged(pid, run_id, spare, tags)
        }
        if not found:
            break
        ended |= found
    return len(ended)


class RunMarker:
    """A file that says that a run is alive, as long as its process is."""

    def __init__(self, state_dir: str | os.PathLike[str], run_id: str) -> None:
        """Make `runs/<run_id>` below the state directory, and lock it.

        Raises:
            ConfigError: it cannot be made, or that run is alive elsewhere.
        """
        self.run_id = check_run_id(run_id)
        directory = os.path.join(state_dir, "runs")
        self.path = os.path.join(directory, run_id)
        try:
            os.makedirs(directory, mode=0o700, exist_ok=True)
            self._fd = self._lock()
        except BlockingIOError:
            raise ConfigError(f"the run {run_id} is alive in another process") from None
        except OSError as error:
            raise ConfigError(f"{self.path} cannot be made: {error.strerror}") from error

    def _lock(self) -> int:
        while True:
            fd = _locked(self.path, os.O_CREAT)
            if os.fstat(fd).st_nlink:  # a sweep may have removed it in between
                return fd
            os.close(fd)

    def close(self) -> None:
        """The run is over and has left nothing."""
        if self._fd >= 0:
            with suppress(FileNotFoundError):
                os.unlink(self.path)
            os.close(self._fd)
            self._fd = -1


def sweep_stale_runs(state_dir: str | os.PathLike[str]) -> dict[str, int]:
    """End what dead runs have left behind, and remove their markers.

    Returns:
        The dead runs, and how many processes of each were ended.
    """
    directory = os.path.join(state_dir, "runs")
    try:
        names = sorted(name for name in os.listdir(directory) if RUN_ID.fullmatch(name))
    except OSError:
        return {}
    ended: dict[str, int] = {}
    for name in names:
        path = os.path.join(directory, name)
        with suppress(OSError):  # it is alive, or not ours
            fd = _locked(path, os.O_NOFOLLOW)
            try:
                if os.fstat(fd).st_nlink:  # else the run, or another sweep, has just removed it
                    ended[name] = sweep_run(name)
                    os.unlink(path)
            finally:
                os.close(fd)
    return ended


def _locked(path: str, flags: int) -> int:
    """The marker's descriptor, its lock ours: taken by one process at a time.

    A sweep that came between the making of a marker and its lock would take it for a dead run's.

    Raises:
        BlockingIOError: its run is alive.
        OSError: it cannot be opened.
    """
    directory = os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(directory, fcntl.LOCK_EX)  # for two system calls: nobody waits long
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | flags, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BaseException:
            os.close(fd)
            raise
        return fd
    finally:
        os.close(directory)
