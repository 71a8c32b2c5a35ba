"""Which mode is in force: the first that works here, of those that were asked for."""

from __future__ import annotations

import os

import attrs

from runner.errors import ExecFailed
from runner.messages.isolation import Isolation, ModeInForce
from runner.processes.isolation.inside import NO_BOUNDARY, Where
from runner.processes.isolation.probe import Run, probe

ORDERS: dict[str, tuple[ModeInForce, ...]] = {
    "auto": ("bwrap", "landlock"),
    "bwrap": ("bwrap", "landlock"),
    "landlock": ("landlock",),
}
NO_HIDING = "hidden: in mode bwrap only; what stands in the scope can be seen"
NO_LIST = "network: hosts can be listed in mode bwrap only; there is none"


@attrs.frozen
class Choice:
    """A mode, what was asked for and is not in it, and what its trial was made of."""

    mode: ModeInForce
    lacking: tuple[str, ...] = ()
    layers: str = ""


async def choose(isolation: Isolation, run: Run, *, identity: str) -> Choice:
    """Decide on a mode.

    Args:
        isolation: what is asked for.
        run: see `probe`.
        identity: likewise.

    Raises:
        ExecFailed: it is required, and cannot be had.
    """
    if isolation.mode == "none":
        return Choice("none")
    lacking: list[str] = []
    mends: list[str] = []
    for mode in ORDERS[isolation.mode]:
        if isolation.required and isolation.mode == "bwrap" != mode:
            break
        found = await probe(mode, run, identity=identity)
        if not found.works:
            lacking.append(f"{mode}: {found.reason}")
            mends.append(found.mend)
        else:
            missing = _missing(isolation) if mode == "landlock" else []
            lacking += missing
            if not (isolation.required and missing):
                return Choice(mode, tuple(lacking), found.reason)
    if isolation.required:
        reason = "the isolation that it requires cannot be had here: " + "; ".join(lacking)
        raise ExecFailed("exec", None, reason, hint=next(filter(None, mends), ""))
    return Choice("none", (*lacking, NO_BOUNDARY))


def _missing(isolation: Isolation) -> list[str]:
    """What Landlock cannot do of what is asked for."""
    missing = [NO_LIST] if isinstance(isolation.network, tuple) else []
    return [*missing, NO_HIDING] if isolation.hidden else missing


def locate(cwd: int | str, scope: str | None) -> Where:
    """Where a program is to run: by names, for inside there are no descriptors of ours.

    Raises:
        ExecFailed: the directory is not there any more.
    """
    try:
        directory = os.readlink(f"/proc/self/fd/{cwd}") if isinstance(cwd, int) else cwd
    except OSError as error:
        reason = f"its working directory cannot be entered: {error.strerror}"
        raise ExecFailed("exec", None, reason) from error
    directory = os.path.abspath(directory)
    return Where(scope=os.path.abspath(scope or directory), directory=directory)
