"""What a killed process left half made or half deleted, taken away when its project is opened.

Whoever makes or deletes a workspace has its lock from before the first change to after the last. So
what is not whole, and can be locked, is nobody's: its tree goes first, then its row. A directory
without a row was made just before its maker was killed, so it has no tree yet. One that has is of
a store that was lost, or moved away because it was damaged: it is all that is left of somebody's
work, and stays.

What cannot be taken away (something is mounted in it, its files are another user's) is said in the
log, stands in nobody's way, and is tried again the next time.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager

from runner.errors import RunnerError, StoreError, WorkspaceBusy
from runner.workspaces import making
from runner.workspaces.locking import Lock
from runner.workspaces.store import Store

logger = logging.getLogger("runner.workspaces")
LOCK = "lock"


def tidy(store: Store, directory: str) -> None:
    """Take away what is nobody's.

    Args:
        store: of the project.
        directory: where the workspaces' own directories are.

    Raises:
        StoreError: the store cannot be used.
    """
    spare = [each.id for each in store.workspaces.list()]
    with _as_far_as_it_goes(directory):
        making.tidy(directory, spare=spare)
    known = {each.id: each for each in store.workspaces.list()}
    for record in known.values():
        if record.state != "ready":
            _take_away(store, os.path.join(directory, record.id), record.id)
    for id_ in os.listdir(directory):
        if id_ not in known and not os.path.lexists(os.path.join(directory, id_, "tree")):
            _take_away(store, os.path.join(directory, id_), id_)


@contextmanager
def _as_far_as_it_goes(what: str) -> Iterator[None]:
    try:
        yield
    except StoreError:
        raise
    except (RunnerError, OSError) as error:
        logger.warning("what is left half made or half deleted stays for now: %s: %s", what, error)


def _take_away(store: Store, place: str, id_: str) -> None:
    with _as_far_as_it_goes(place):
        _take_away_locked(store, place, id_)


def _take_away_locked(store: Store, place: str, id_: str) -> None:
    lock = None
    try:
        lock = Lock.take(os.path.join(place, LOCK), id_)
    except WorkspaceBusy:
        return  # somebody is at it
    except (FileNotFoundError, NotADirectoryError):
        pass  # the tree is gone already
    try:
        if any(each.id == id_ and each.state == "ready" for each in store.workspaces.list()):
            return  # it was finished meanwhile
        making.remove(place, in_use=True)  # that was decided, or there is nothing of anybody's
        store.workspaces.remove(id_)
    finally:
        if lock is not None:
            lock.release()
