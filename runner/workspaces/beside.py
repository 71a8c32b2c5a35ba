"""What goes on in a workspace beside an act: what runs in its tree, and other processes."""

from __future__ import annotations

import os
from collections.abc import Iterable

import attrs

from runner.workspaces.audit_acts import Begun
from runner.workspaces.glimpses import Glimpse
from runner.workspaces.records import AuditRecord

PROCESS = "process"  # in an intent: of an act for which nobody has the workspace's lock


@attrs.define(eq=False)
class Beside:
    """What runs in a live tree; for any thread.

    Attributes:
        glimpses: of the tree, when each began.
    """

    glimpses: list[Glimpse] = attrs.field(factory=list)

    def follow(self, glimpse: Glimpse) -> None:
        """Something begins: note what is written down of others meanwhile."""
        for each in (*self.glimpses, glimpse) if self.glimpses else ():
            each.is_shared = True
        self.glimpses.append(glimpse)

    def unfollow(self, glimpse: Glimpse) -> None:
        """It has ended."""
        if glimpse in self.glimpses:
            self.glimpses.remove(glimpse)

    def spoil(self) -> None:
        """The tree is replaced: what was changed until now cannot be told any more."""
        for each in self.glimpses:
            each.is_spoiled = True

    def tell(self, rows: Iterable[AuditRecord]) -> None:
        """This is written down."""
        told = {row.path: row for row in rows if row.path} if self.glimpses else {}
        for each in self.glimpses:
            each.told.update(told)


def this_process() -> str:
    """What an intent says of us."""
    return f"{os.getpid()} {_begun(os.getpid())}"


def is_at_work(begun: Begun) -> bool:
    """Whether the process that is said to be at an act still runs."""
    said = begun.doing.details.get(PROCESS)
    if not isinstance(said, str):
        return False
    pid, _, began = said.partition(" ")
    return pid.isdecimal() and began == _begun(int(pid)) != ""


def _begun(pid: int) -> str:
    """When a process began, as the kernel counts; empty if there is none."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()[19].decode()
    except (OSError, IndexError):
        return ""
