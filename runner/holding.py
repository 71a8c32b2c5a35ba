"""What holds programs inside their directory, as a table of a TOML file: of a batch, or a runner's.

`runner.Isolation` is what is asked for, in a program; here is what users write for it, with paths
that may be relative or begin with `~`, and 0 for no limit. Values only.
"""

from __future__ import annotations

import os
from typing import Annotated, Literal, TypeAlias

import attrs

from runner.messages.isolation import Isolation, Limits, Mode
from runner.strict import AtLeast, Seconds

AtLeastZero: TypeAlias = Annotated[int, AtLeast(0)]
AtLeastOne: TypeAlias = Annotated[int, AtLeast(1)]


@attrs.frozen(kw_only=True)
class HoldingLimits:
    """What a program and all that it starts may use up; 0 = no limit.

    Attributes:
        memory: bytes, of all its processes together; at least 32 MiB.
        processes: how many at the same time, threads included.
        cpu: processor time for each process.
        file_size: bytes of each file that it writes.
        open_files: for each process; at least 32.
        wall: until it is ended, as by a timeout.
        disk: bytes that it may add to its workspace; looked at twice a second.
    """

    memory: AtLeastZero = 0
    processes: AtLeastZero = 0
    cpu: Seconds = 0.0
    file_size: AtLeastZero = 0
    open_files: AtLeastZero = 0
    wall: Seconds = 0.0
    disk: AtLeastZero = 0


@attrs.frozen(kw_only=True)
class Holding:
    """What holds programs in the directory that is theirs: `runner.Isolation`, as a table.

    Attributes:
        mode: "bwrap", "landlock", "auto" (what works here) or "none".
        required: whether nothing is to run if something of this cannot be had.
        network: "none", "full", or hosts such as "pypi.org", "*.pypi.org", "pypi.org:443".
        readable: directories and files that can be read as well.
        writable: directories and files that can be written as well.
        hidden: directories and files that are empty inside.
        limits: what may be used up.
        nesting: whether programs may make sandboxes of their own inside.
        debugging: whether programs may trace each other.
        sockets: whether programs may have unix sockets.
        private: bytes that each of /tmp, /dev/shm and HOME may hold, in memory.
    """

    mode: Mode = "auto"
    required: bool = False
    network: Literal["none", "full"] | tuple[str, ...] = "none"
    readable: tuple[str, ...] = ()
    writable: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()
    limits: HoldingLimits = HoldingLimits()
    nesting: bool = False
    debugging: bool = False
    sockets: bool = True
    private: AtLeastOne = 256 << 20


def holding_of(isolation: Isolation | Holding | None) -> Holding | None:
    """The table of an isolation."""
    if not isinstance(isolation, Isolation):
        return isolation
    words = attrs.asdict(isolation, recurse=False)
    limits = attrs.asdict(isolation.limits)
    words["limits"] = HoldingLimits(**{name: limit or 0 for name, limit in limits.items()})
    return Holding(**words)


def limits_of(limits: HoldingLimits) -> Limits:
    """The limits of a table; ConfigError if one cannot be."""
    return Limits(**{name: limit or None for name, limit in attrs.asdict(limits).items()})


def isolation_of(holding: Holding, base: str) -> Isolation:
    """What a table asks for.

    Args:
        holding: the table.
        base: the directory that its paths are relative to; empty = they have to be absolute.

    Raises:
        ConfigError: something in it cannot be.
    """
    words = attrs.asdict(holding, recurse=False)
    for key in ("readable", "writable", "hidden"):
        paths = (os.path.expanduser(each) for each in words[key])
        words[key] = tuple(os.path.normpath(os.path.join(base, each)) for each in paths)
    words["limits"] = limits_of(holding.limits)
    return Isolation(**words)
