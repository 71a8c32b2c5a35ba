"""What `runner doctor` looks at without starting a program: Python, limits, the state directory.

Each probe tries the real thing.
"""

from __future__ import annotations

import os
import platform
import resource
import shutil
import sys
import tempfile
from importlib.metadata import version
from typing import Literal, TypeAlias

import attrs

from runner.backends import syscalls

MIN_FREE = 1 << 30
MIN_FILES = 4096
MIN_PROCESSES = 1024

State: TypeAlias = Literal["ok", "lacking", "bad"]


@attrs.frozen(kw_only=True)
class Finding:
    """What a probe found.

    Attributes:
        name: what was looked at.
        state: `bad` = the main job cannot run without it; `lacking` = something else cannot.
        what: what is there, or why it is no good.
        mend: how to mend it; empty if there is nothing to mend.
    """

    name: str
    state: State
    what: str
    mend: str = ""


def probe_python() -> Finding:
    """The interpreter, and what Linux gives it."""
    what = f"{platform.python_version()} with trio {version('trio')}, {platform.system()}"
    if sys.platform != "linux":
        mend = "processes that leave their process group are only ended on Linux"
        return Finding(name="python", state="lacking", what=what, mend=mend)
    try:
        os.close(os.pidfd_open(os.getpid()))
    except OSError as exc:
        mend = "pidfd_open is refused: a kernel of 5.3 or newer, or another seccomp profile"
        return Finding(name="python", state="bad", what=f"{what}: {exc.strerror}", mend=mend)
    return Finding(name="python", state="ok", what=f"{what} {platform.release()}")


def probe_state(path: str) -> Finding:
    """The state directory, or where it would be made: writable, and space left."""
    place = path
    while not os.path.isdir(place) and place != os.path.dirname(place):
        place = os.path.dirname(place)
    made = "" if place == path else " (will be made)"
    mend = "give another one: state in runner.toml, or XDG_STATE_HOME"
    try:
        with tempfile.TemporaryFile(dir=place) as file:
            file.write(b"x")
            file.flush()
    except OSError as exc:
        what = f"{path}: {place} cannot be written: {exc.strerror}"
        return Finding(name="state", state="bad", what=what, mend=mend)
    free = shutil.disk_usage(place).free
    what = f"{path}{made}, {free / (1 << 30):.1f} GiB free"
    if free < MIN_FREE:
        return Finding(name="state", state="lacking", what=what, mend=f"make space, or {mend}")
    return Finding(name="state", state="ok", what=what)


def probe_files() -> Finding:
    """A running job takes about ten descriptors."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    mend = f"for many jobs at a time: ulimit -n {MIN_FILES}"
    return _limit("open files", soft, hard, MIN_FILES, mend)


def probe_process_limit() -> Finding:
    """A running agent has some twenty processes and threads; they count for the user as a whole."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NPROC)
    mend = f"for many jobs at a time: ulimit -u {MIN_PROCESSES}"
    return _limit("process limit", soft, hard, MIN_PROCESSES, mend)


def _limit(name: str, soft: int, hard: int, enough: int, mend: str) -> Finding:
    shown = ["unlimited" if each == resource.RLIM_INFINITY else str(each) for each in (soft, hard)]
    what = shown[0] if soft == hard else f"{shown[0]} (up to {shown[1]} may be asked for)"
    if soft == resource.RLIM_INFINITY or soft >= enough:
        return Finding(name=name, state="ok", what=what)
    return Finding(name=name, state="lacking", what=what, mend=mend)


def probe_openat2() -> Finding:
    """Containment of paths in one call; without it a slower walk is used."""
    root = os.open("/", os.O_PATH | os.O_DIRECTORY)
    try:
        os.close(syscalls.openat2(root, b".", os.O_PATH, syscalls.RESOLVE_BENEATH))
    except OSError as exc:
        what = f"refused ({exc.strerror}): paths are walked name by name instead, which is slower"
        return Finding(name="openat2", state="lacking", what=what)
    finally:
        os.close(root)
    return Finding(name="openat2", state="ok", what="paths are contained by the kernel")


def examine(state: str) -> list[Finding]:
    """Carry out all of these probes.

    Args:
        state: the state directory.
    """
    return [
        probe_python(),
        probe_state(state),
        probe_files(),
        probe_process_limit(),
        probe_openat2(),
    ]
