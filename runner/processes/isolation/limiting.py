"""How each limit of a program is kept here: by a control group, by rlimits, or by looking on.

A group is made for a program and removed after it; the kernel may take a moment to let go of one,
and that is waited for beside everything else (`wait_groups_gone`).
"""

from __future__ import annotations

import signal
import time
from contextlib import suppress

import trio

from runner.errors import ExecFailed
from runner.messages import Outcome
from runner.messages.isolation import Isolation, Limit, ModeInForce
from runner.processes.isolation import cgroups, users
from runner.processes.isolation.plan import rlimits_of

UNCOUNTED = "processes, and the kernel does not count root's"
COUNTED = "run runner as an ordinary user, or where it can make control groups"
GROUPS_GO = 2.0  # seconds for the kernel to let go of a group
_tree: list[cgroups.Tree | None] = []
_leaving: set[cgroups.Group] = set()


def group_tree() -> cgroups.Tree | None:
    """Where groups can be made; found out once."""
    if not _tree:
        _tree.append(cgroups.find_tree())
        if _tree[0] is not None:
            cgroups.sweep_groups(_tree[0])
    return _tree[0]


class Limiting:
    """What keeps the limits of one program.

    Attributes:
        lacking: what is not kept as it could be, and why.
        watches_memory: whether somebody has to look at the memory.
        ended_for: the limit that somebody who looked on has ended it for.
    """

    def __init__(
        self, isolation: Isolation, mode: ModeInForce, run_id: str, *, ours: int = 1
    ) -> None:
        """Decide, and make a group if there is to be one.

        Args:
            isolation: what is asked for.
            mode: in force.
            run_id: names the group.
            ours: how many processes in it will be ours.

        Raises:
            ExecFailed: a limit is required that cannot be kept.
        """
        self._isolation = isolation
        self.lacking: list[str] = []
        self.ended_for: Limit | None = None
        self._group: cgroups.Group | None = None
        limits, tree = isolation.limits, group_tree()
        if tree is not None and (limits.memory or limits.processes):
            try:
                self._group = cgroups.Group(tree, run_id, limits, ours=ours)
            except OSError as error:
                self.lacking.append(f"{tree.name}: {error.strerror}")
        used = tree if self._group is not None else None
        self._name = "" if used is None else used.name
        self.watches_memory = limits.memory is not None and not (used and used.memory)
        self._counts_users = limits.processes is not None and not (used and used.pids)
        if self._counts_users and mode != "bwrap" and users.own_ids()[0] == 0:
            if isolation.required:
                self.close()
                raise ExecFailed("exec", None, f"it requires a limit on {UNCOUNTED}", hint=COUNTED)
            self.lacking.append(UNCOUNTED)

    @property
    def groups(self) -> list[str]:
        """The directories of the group."""
        return [] if self._group is None else self._group.paths

    def rlimits(self) -> dict[int, int]:
        """The limits that each process has for itself."""
        return rlimits_of(self._isolation, processes=self._counts_users, memory=self.watches_memory)

    def means(self) -> tuple[tuple[Limit, str], ...]:
        """How each limit that is asked for is kept."""
        means: dict[Limit, str] = {
            "memory": "watched" if self.watches_memory else self._name,
            "processes": "rlimit" if self._counts_users else self._name,
            "cpu": "rlimit",
            "file_size": "rlimit",
            "open_files": "rlimit",
            "wall": "watched",
            "disk": "watched",
        }
        limits = self._isolation.limits
        return tuple(each for each in means.items() if getattr(limits, each[0]) is not None)

    def exceeded(self, exit_code: int, outcome: Outcome, duration: float) -> Limit | None:
        """The limit that ended the program, or one of its processes."""
        limits = self._isolation.limits
        if self.ended_for is not None:
            return self.ended_for
        if self._group is not None and (found := self._group.exceeded()):
            return "memory" if found == "memory" else "processes"
        if limits.cpu is not None and exit_code in {-signal.SIGXCPU, 128 + signal.SIGXCPU}:
            return "cpu"
        if limits.file_size is not None and exit_code in {-signal.SIGXFSZ, 128 + signal.SIGXFSZ}:
            return "file_size"
        if limits.wall is not None and outcome is Outcome.TIMEOUT and duration >= limits.wall:
            return "wall"
        return None

    def close(self) -> None:
        """Let the group go, which nothing is in any more."""
        if self._group is not None and not self._group.close():
            _leaving.add(self._group)
            trio.lowlevel.spawn_system_task(_let_go)


async def wait_groups_gone() -> None:
    """Remove the groups whose last processes are on their way out; bounded."""
    give_up = time.monotonic() + GROUPS_GO
    while _leaving and time.monotonic() < give_up:
        _leaving.difference_update([each for each in _leaving if each.close()])
        await trio.sleep(0.01)


async def _let_go() -> None:
    with suppress(trio.Cancelled):  # at the end of trio; `ProcessHost.aclose` has waited for it
        await wait_groups_gone()
