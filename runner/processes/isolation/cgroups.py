"""Control groups: limits on memory and on the number of processes, for all that a program starts.

Version 2 where memory and pids are delegated to us, else version 1 where we may make groups (which
is root's). A group is made for each program and removed after it; one that a dead run left is empty
and is removed by the next. What is not to be had here is kept by other means (`limits`).
"""

from __future__ import annotations

import itertools
import os
from contextlib import suppress

import attrs

from runner.messages.isolation import Limits

CGROUPS = "/proc/self/cgroup"
MOUNTS = "/proc/self/mountinfo"
PREFIX = "runner-"
MAIN = "runner-main"
_numbers = itertools.count()


@attrs.frozen(kw_only=True)
class Tree:
    """Where groups can be made.

    Attributes:
        version: 1 or 2.
        memory, pids: the directory that groups with that controller are made in, "" if none is.
    """

    version: int
    memory: str = ""
    pids: str = ""

    @property
    def name(self) -> str:
        """As it stands in reports."""
        return f"cgroup v{self.version}"


def find_tree(cgroups: str = CGROUPS, mounts: str = MOUNTS) -> Tree | None:
    """Find where groups can be made, by making one; None if nowhere.

    Args:
        cgroups: the kernel's list of the groups that we are in.
        mounts: its list of what is mounted.
    """
    try:
        with open(cgroups, encoding="utf-8") as file:
            lines = [line.rstrip("\n").split(":", 2) for line in file]
        with open(mounts, encoding="utf-8") as file:
            mounted = [line.split() for line in file]
    except OSError:
        return None
    for _, controllers, path in lines:
        if not controllers and (base := _place(mounted, "cgroup2", "", path)):
            found = Tree(
                version=2, memory=_usable_v2(base, "memory"), pids=_usable_v2(base, "pids")
            )
            if found.memory or found.pids:
                return found
    places = {
        name: _place(mounted, "cgroup", name, path)
        for _, controllers, path in lines
        for name in controllers.split(",")
        if name in {"memory", "pids"}
    }
    usable = {name: base for name, base in places.items() if base and _can_make(base)}
    return Tree(version=1, **usable) if usable else None


def _place(mounted: list[list[str]], kind: str, controller: str, path: str) -> str:
    """The directory of our own group, "" if it is not mounted."""
    for fields in mounted:
        dash = fields.index("-")
        if fields[dash + 1] == kind and (
            not controller or controller in fields[dash + 3].split(",")
        ):
            inner = os.path.relpath(path, fields[3]) if fields[3] != "/" else path.lstrip("/")
            base = os.path.normpath(os.path.join(fields[4], inner))
            if os.path.isdir(base):
                return base
    return ""


def _can_make(base: str) -> bool:
    probe = os.path.join(base, f"{PREFIX}probe-{os.getpid()}-{next(_numbers)}")
    try:
        os.mkdir(probe)
        os.rmdir(probe)
    except OSError:
        return False
    return True


def _read(path: str) -> str:
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def _write(path: str, text: str) -> None:
    with open(path, "w", encoding="ascii") as file:
        file.write(text)


def _usable_v2(base: str, controller: str) -> str:
    """Enable a controller for groups in ours; "" if that cannot be.

    A group with processes cannot hand controllers down (cgroups(7)): so if nobody else is in it,
    we move into a group in it first. The root, which has no type, is the exception.
    """
    if os.path.basename(base) == MAIN:
        base = os.path.dirname(base)
    if controller not in _read(f"{base}/cgroup.controllers").split() or not _can_make(base):
        return ""
    if controller in _read(f"{base}/cgroup.subtree_control").split():
        return base
    try:
        is_root = not os.path.exists(f"{base}/cgroup.type")
        members = [] if is_root else _read(f"{base}/cgroup.procs").split()
        if any(int(member) != os.getpid() for member in members):
            return ""
        if members:
            with suppress(FileExistsError):
                os.mkdir(f"{base}/{MAIN}")
            _write(f"{base}/{MAIN}/cgroup.procs", str(os.getpid()))
        _write(f"{base}/cgroup.subtree_control", f"+{controller}")
    except (OSError, ValueError):
        return ""
    return base


class Group:
    """A group for one program.

    Attributes:
        paths: the directories that a process joins.
    """

    def __init__(self, tree: Tree, run_id: str, limits: Limits, *, ours: int = 1) -> None:
        """Make it.

        Args:
            tree: where.
            run_id: names it.
            limits: what is to be limited.
            ours: how many processes in it will be ours.

        Raises:
            OSError: the kernel refuses it.
        """
        self._tree, self._ours = tree, ours
        self.paths: list[str] = []
        name = f"{PREFIX}{run_id[:16]}-{os.getpid()}-{next(_numbers)}"
        wanted = [(tree.memory, limits.memory), (tree.pids, limits.processes)]
        try:
            for base in dict.fromkeys(base for base, limit in wanted if base and limit):
                os.mkdir(f"{base}/{name}")
                self.paths.append(f"{base}/{name}")
            self._limit(name, limits)
        except BaseException:
            self.close()
            raise
        self._memory = f"{tree.memory}/{name}" if tree.memory and limits.memory else ""
        self._pids = f"{tree.pids}/{name}" if tree.pids and limits.processes else ""

    def _limit(self, name: str, limits: Limits) -> None:
        tree, one = self._tree, self._tree.version == 1
        if tree.memory and limits.memory:
            path = f"{tree.memory}/{name}/memory."
            _write(path + ("limit_in_bytes" if one else "max"), str(limits.memory))
            with suppress(OSError):  # swap is not always counted
                swap = "memsw.limit_in_bytes" if one else "swap.max"
                _write(path + swap, str(limits.memory) if one else "0")
        if tree.pids and limits.processes:
            _write(f"{tree.pids}/{name}/pids.max", str(limits.processes + self._ours))

    def exceeded(self) -> str | None:
        """Which limit the kernel had to keep, if any: "memory" or "processes"."""
        if self._memory and self._count(self._memory, "memory.oom_control", "memory.events"):
            return "memory"
        if self._pids and self._count(self._pids, "pids.events", "pids.events", "max"):
            return "processes"
        return None

    def _count(self, path: str, one: str, two: str, key: str = "oom_kill") -> int:
        text = _read(f"{path}/{one if self._tree.version == 1 else two}")
        for line in text.splitlines():
            if line.split()[:1] == [key]:
                return int(line.split()[1])
        return 0

    def close(self) -> bool:
        """Remove it; False if there is something in it yet."""
        for path in tuple(self.paths):
            try:
                os.rmdir(path)
            except FileNotFoundError:
                pass
            except OSError:
                continue
            self.paths.remove(path)
        return not self.paths


def sweep_groups(tree: Tree) -> int:
    """Remove the empty groups of dead processes; how many."""
    removed = 0
    for base in {tree.memory, tree.pids} - {""}:
        for name in os.listdir(base):
            pid = name.rsplit("-", 2)[-2] if name.startswith(PREFIX) else ""
            if pid.isdigit() and not os.path.exists(f"/proc/{pid}"):
                with suppress(OSError):
                    os.rmdir(f"{base}/{name}")
                    removed += 1
    return removed
