"""Who is told what the programs of a scope reach for by the network, where hosts are listed.

The proxy decides (processes/isolation/proxy.py); here each decision becomes an entry "connect" of
the logs of the scopes that a program belongs to, and is told to whoever asked for it. It is made
once for a scope, as part of its ground.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime

import attrs

from runner.messages.isolation import Decided, Isolation, NetworkDecision
from runner.scopes.operation_log import LogEntry, OperationLog

log = logging.getLogger(__name__)


def _ids(values: tuple[object, ...]) -> tuple[int, ...]:
    return tuple(map(id, values))


@attrs.frozen(kw_only=True)
class Reaching:
    """Takes decisions of the proxy.

    Attributes:
        scope: the path of the scope, as its caller named it.
        logs: get an entry for each.
        decided: are told of each, in order; one that raises keeps no other from being told.
    """

    scope: str
    logs: tuple[OperationLog, ...] = ()
    decided: tuple[Decided, ...] = attrs.field(default=(), eq=_ids)

    def __call__(self, decision: NetworkDecision) -> None:
        """Tell everybody."""
        for log_ in self.logs:
            log_.write(self._entry(decision))
        for tell in self.decided:
            try:
                tell(decision)
            except Exception:  # the function is the caller's
                log.exception("a function that is told of the network's decisions failed")

    def _entry(self, decision: NetworkDecision) -> LogEntry:
        return LogEntry(
            at=datetime.now(UTC),
            scope=self.scope,
            op="connect",
            subject=f"{decision.host}:{decision.port}",
            target=decision.address or None,
            outcome="ok" if decision.allowed else "failed",
            reason=decision.reason,
        )


def reaching(
    scope: str,
    isolation: Isolation | None,
    logs: tuple[OperationLog, ...],
    *decided: Decided | None,
) -> Reaching | None:
    """Who is told of a scope's decisions; None if nobody is, or there are none without a list."""
    if isolation is None or isinstance(isolation.network, str):
        return None
    told = tuple(each for each in decided if each is not None)
    return Reaching(scope=scope, logs=logs, decided=told) if logs or told else None
