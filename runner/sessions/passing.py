"""The private directories of sessions that are not kept: named after their run, removed with it.

A run that was killed cannot remove its own, in which prompts and copied credentials may be; whoever
comes next does. Which runs are alive is what the markers below `runs/` say (processes/sweep.py).
"""

from __future__ import annotations

import os
import re
import shutil

_PASSING = re.compile(r"_passing-([A-Za-z0-9_-]+)-\d+")


def passing_name(run_id: str, serial: int) -> str:
    """The name of such a directory below `sessions/`; no session's id begins with `_`."""
    return f"_passing-{run_id}-{serial}"


def sweep_passing(state: str) -> int:
    """Remove what runs that are over have left; how many directories.

    Args:
        state: the state directory.
    """
    sessions = os.path.join(state, "sessions")
    # In this order: a run has its marker before it makes a directory.
    found = [each for each in map(_PASSING.fullmatch, _names(sessions)) if each]
    living = _names(os.path.join(state, "runs"))
    dead = [each[0] for each in found if each[1] not in living]
    for name in dead:
        shutil.rmtree(os.path.join(sessions, name), ignore_errors=True)
    return len(dead)


def _names(directory: str) -> frozenset[str]:
    try:
        return frozenset(os.listdir(directory))
    except OSError:  # there is none yet
        return frozenset()
