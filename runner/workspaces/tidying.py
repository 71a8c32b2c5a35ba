"""What a killed process left half made or half deleted, taken away when its project is opened.

Whoever makes or deletes a workspace has its lock from before the first change to after the last. So
what is not whole, and can be locked, is nobody's: its tree goes first, then its row. A directory
without a row was made just before its maker was killed, so it has no tree yet. One that has is of
a store that was lost, or moved away because it was damaged: it is all that is left of somebody's
work, and stays.
"""

from __future__ import annotations

import os

from runner.errors import WorkspaceBusy
from runner.workspaces import making
from runner.workspaces.locking import Lock
from runner.workspaces.store import Store

LOCK = "lock"


def tidy(store: Store, directory: str) -> None:
    """Take away what is nobody's.

    Args:
        store: of the project.
        directory: where the workspaces' own directories are.

    Raises:
        StoreError: it cannot be taken away.
    """
    making.tidy(directory, spare=[each.id for each in store.workspaces.list()])
    known = {each.id: each for each in store.workspaces.list()}
    for record in known.values():
        if record.state != "ready":
            _take_away(store, os.path.join(directory, record.id), record.id)
    for id_ in os.listdir(directory):
        if id_ not in known and not os.path.lexists(os.path.join(directory, id_, "tree")):
            _take_away(store, os.path.join(directory, id_), id_)


def _take_away(store: Store, place: str, id_: str) -> None:
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
        making.remove(place)
        store.workspaces.remove(id_)
    finally:
        if lock is not None:
            lock.release()
