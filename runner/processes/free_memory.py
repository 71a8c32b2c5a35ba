"""How much memory there is for another program: of the machine, and of the control groups above us.

    free = the least of   MemAvailable of /proc/meminfo
                          limit - (usage - inactive file cache), of each group from ours to the root

Sources. MemAvailable: "an estimate of how much memory is available for starting new applications,
without swapping" (proc(5); Linux 3.14, commit 34e431b0ae39). A group's usage has the page cache in
it, of which the kernel frees the inactive part before it kills anybody: usage without that is the
"working set" by which the kubelet evicts. Version 2: memory.max, memory.high (above which
everything in it is slowed down), memory.current, memory.stat (the kernel's cgroup-v2.rst); version
1: memory.limit_in_bytes, memory.usage_in_bytes, total_inactive_file (cgroup-v1/memory.rst).

Swap does not count: an agent that is swapped out answers no prompt in time. It only reads.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import attrs

from runner.processes.tree import PROC

CGROUP = "/sys/fs/cgroup"


@attrs.frozen
class _Names:
    """What the files of a group are called."""

    limits: tuple[str, ...]
    usage: str
    cache: bytes


_V1 = _Names(("memory.limit_in_bytes",), "memory.usage_in_bytes", b"total_inactive_file")
_V2 = _Names(("memory.max", "memory.high"), "memory.current", b"inactive_file")


def free_memory(proc: str = PROC, cgroup: str = CGROUP) -> int | None:
    """How many bytes are free for another program; None if the system does not say.

    Args:
        proc: where the proc file system is.
        cgroup: where the control groups are.
    """
    found = [_of_machine(proc)]
    for names, directory, root in _hierarchies(proc, cgroup):
        found += [_of_group(names, each) for each in _up(directory, root)]
    return min((each for each in found if each is not None), default=None)


def _of_machine(proc: str) -> int | None:
    for line in _read(f"{proc}/meminfo").splitlines():
        if line.startswith(b"MemAvailable:"):
            return int(line.split()[1]) << 10
    return None


def _of_group(names: _Names, directory: str) -> int | None:
    limits = [_read(f"{directory}/{name}").strip() for name in names.limits]
    numbers = [int(limit) for limit in limits if limit.isdigit()]  # "max" is no number
    usage = _read(f"{directory}/{names.usage}").strip()
    if not numbers or not usage.isdigit():
        return None
    cache = 0
    for line in _read(f"{directory}/memory.stat").splitlines():
        name, _, value = line.partition(b" ")
        if name == names.cache:
            cache = int(value)
    return max(0, min(numbers) - max(0, int(usage) - cache))


def _hierarchies(proc: str, cgroup: str) -> Iterator[tuple[_Names, str, str]]:
    """Our group in each hierarchy that has memory in it, and the root of that."""
    for line in _read(f"{proc}/self/cgroup").splitlines():
        number, controllers, path = line.decode("utf-8", "surrogateescape").split(":", 2)
        if number == "0" and not controllers:
            yield _V2, cgroup + path, cgroup
        elif "memory" in controllers.split(","):
            yield _V1, f"{cgroup}/memory{path}", f"{cgroup}/memory"


def _up(directory: str, root: str) -> Iterator[str]:
    """A group and those above it. One that is not shown here (as in a container) has no files."""
    directory = os.path.normpath(directory)
    while directory.startswith(root + "/"):
        yield directory
        directory = os.path.dirname(directory)
    yield root


def _read(path: str) -> bytes:
    try:
        with open(path, "rb", buffering=0) as file:
            return file.read(1 << 16)
    except OSError:
        return b""
