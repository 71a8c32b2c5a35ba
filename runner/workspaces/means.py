"""What the projects of a runner share: made by the runner, used by the projects."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import attrs
import trio

from runner.actors.supervisor import Supervisor
from runner.processes.host import ProcessHost
from runner.watching.allowance import Allowance
from runner.watching.patterns import DEFAULT_IGNORE, Rules, make_rules
from runner.workspaces.records import WayName
from runner.workspaces.retaining import Retention

T = TypeVar("T")


@attrs.frozen(kw_only=True)
class Means:
    """What the projects of a runner share.

    Attributes:
        supervisor: of the workspaces' actors.
        workers: of the scopes' workers; both have one order.
        host: runs programs.
        limiter: of threads that look at trees and stores.
        idle_after: seconds without an operation until an actor or a worker frees what it owns.
        way: how a live tree is made, if its maker does not say.
        rules: which files are in no snapshot.
        watch: whether live trees may be watched for changes.
        allowance: how many watches there may be.
        audit: whether it is written down what is done in workspaces.
        retention: how long snapshots are kept that no person made.
    """

    supervisor: Supervisor
    workers: Supervisor
    host: ProcessHost
    limiter: trio.CapacityLimiter
    idle_after: float = 60.0
    way: WayName = "auto"
    rules: Rules = attrs.field(factory=lambda: make_rules(DEFAULT_IGNORE))
    watch: bool = True
    allowance: Allowance = attrs.field(factory=Allowance)
    audit: bool = True
    retention: Retention = attrs.field(factory=Retention)

    async def in_thread(self, work: Callable[[], T]) -> T:
        """Carry out what takes long, or waits for the disk; leaves when it has ended."""
        return await trio.to_thread.run_sync(work, limiter=self.limiter)
