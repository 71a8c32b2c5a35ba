"""A watch on a tree, before anything else is known of it."""

from __future__ import annotations

from runner.watching import walking
from runner.watching.watch import Watch


def begin_watch(watch: Watch | None, most: int) -> Watch | None:
    """Walk through a tree once, and have hints from then on; None if there can be none.

    Args:
        watch: that has not begun; None = there is to be none.
        most: entries that are walked through; a tree that has more is not watched.
    """
    walk = None if watch is None else watch.start()
    if watch is None or walk is None:
        return None
    is_watched = False
    try:
        while not walk.advance(walking.CHUNK, float("inf")):
            most -= walking.CHUNK
            if most <= 0:
                return None
        is_watched = watch.started()
    finally:
        walk.close()
        if not is_watched:
            watch.close()
    return watch if is_watched else None
