"""Which mode is in force: the first that works here, of those that were asked for."""

from __future__ import annotations

import os

import attrs

from runner.errors import ExecFailed
from runner.messages.isolation import Isolation, ModeInForce
from runner.processes.isolation import users
from runner.processes.isolation.inside import NO_BOUNDARY, Where
from runner.processes.isolation.probe import Run, Way, probe
from runner.processes.isolation.program import find_program

ORDERS: dict[str, tuple[Way, ...]] = {
    "auto": ("bwrap", "bwrap program", "landlock"),
    "bwrap": ("bwrap", "bwrap program", "landlock"),
    "landlock": ("landlock",),
}
NO_HIDING = "hidden: in mode bwrap only; what stands in the scope can be seen"
NO_LIST = "network: hosts can be listed in mode bwrap only; there is none"
NO_WALL = "network: hosts can be listed in mode bwrap only; all can be reached"


CANNOT = "the isolation that it requires cannot be had here: "


@attrs.frozen
class Choice:
    """A mode, what was asked for and is not in it, and what its trial was made of.

    `program` is the bwrap program that makes the namespaces; "" = we do, or there are none.
    """

    mode: ModeInForce
    lacking: tuple[str, ...] = ()
    layers: str = ""
    program: str = ""


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
        missing = _missing(isolation)
        if isolation.required and missing:
            raise ExecFailed("exec", None, f"{CANNOT}{'; '.join(missing)}", hint='mode="bwrap"')
        return Choice("none", tuple(missing))
    lacking: list[str] = []
    mends: list[str] = []
    for way in ORDERS[isolation.mode]:
        if isolation.required and isolation.mode == "bwrap" and way == "landlock":
            break
        if way == "bwrap program" and users.own_ids()[0] == 0:
            continue  # root needs nobody's leave
        found = await probe(way, run, identity=identity)
        if not found.works:
            lacking.append(f"{way}: {found.reason}")
            mends.append(found.mend)
        elif way != "landlock":  # by our launcher or by that program: all of it is in force
            program = find_program() if way == "bwrap program" else ""
            return Choice("bwrap", layers=found.reason, program=program)
        else:
            missing = _missing(isolation)
            lacking += missing
            if not (isolation.required and missing):
                return Choice("landlock", tuple(lacking), found.reason)
    if isolation.required:
        raise ExecFailed(
            "exec", None, CANNOT + "; ".join(lacking), hint=next(filter(None, mends), "")
        )
    return Choice("none", (*lacking, NO_BOUNDARY))


def _missing(isolation: Isolation) -> list[str]:
    """What only namespaces can do of what is asked for."""
    no_list = NO_WALL if isolation.mode == "none" else NO_LIST
    missing = [no_list] if isinstance(isolation.network, tuple) else []
    return [*missing, NO_HIDING] if isolation.hidden else missing


def locate(cwd: int | str, scope: str | None, outside: str = "") -> Where:
    """Where a program is to run: by names, for inside there are no descriptors of ours.

    Args:
        cwd: its working directory.
        scope: the directory that it can write.
        outside: see `Where`; names may have it before them.

    Raises:
        ExecFailed: the directory is not there any more.
    """
    try:
        directory = os.readlink(f"/proc/self/fd/{cwd}") if isinstance(cwd, int) else cwd
    except OSError as error:
        reason = f"its working directory cannot be entered: {error.strerror}"
        raise ExecFailed("exec", None, reason) from error
    directory = os.path.abspath(directory)
    names = os.path.abspath(scope or directory), directory
    scope, directory = (each.removeprefix(outside) for each in names)
    return Where(scope=scope, directory=directory, outside=outside)
