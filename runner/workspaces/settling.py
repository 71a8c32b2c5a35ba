"""What a kill has cut off, said by the next one that opens the workspace, who has its lock."""

from __future__ import annotations

import os

import attrs

from runner.errors import RunnerError
from runner.workspaces import kept_glimpses
from runner.workspaces.audit_acts import Begun, settled
from runner.workspaces.audit_runs import by_whom, told
from runner.workspaces.glancing import Glancer
from runner.workspaces.glimpses import Found
from runner.workspaces.pending import PENDING, logged
from runner.workspaces.records import AuditRecord
from runner.workspaces.store import Store
from runner.workspaces.trail import Trail
from runner.workspaces.witness import Witness

RUNS = ("exec", "start", "turn")


def settle(trail: Trail, witness: Witness, glancer: Glancer | None = None) -> int:
    """Say of each act that was cut off how what it was about looks now.

    Args:
        trail: of the workspace.
        witness: looks at its tree.
        glancer: sees what programs had changed; None = that stays unknown.

    Returns:
        How many acts that were.
    """
    count = trail.recall(witness)
    cut = trail.cut_off()
    for each in cut:
        rows = settled(trail.row, each, witness)
        if each.doing.operation in RUNS:
            rows = _with_changes(trail, each, rows, glancer)
        trail.end(each, rows)
    return count + len(cut)


def tidy_logs(store: Store) -> None:
    """Have in the store what is in the logs of workspaces that are gone, and take these away."""
    directory = os.path.join(os.path.dirname(store.path), PENDING)
    strange = logged(directory)
    if strange:
        strange -= {each.id for each in store.workspaces.list()}
    for workspace in strange:
        trail = Trail(store, workspace)
        settle(trail, Witness(os.path.join(directory, "nothing")))
        trail.remove()


def _with_changes(
    trail: Trail, begun: Begun, rows: list[AuditRecord], glancer: Glancer | None
) -> list[AuditRecord]:
    found = Found(None, why="it was cut off")
    if glancer is not None:
        try:
            found = glancer.end(kept_glimpses.recall(trail.glimpse_path(begun)))
        except (RunnerError, OSError) as error:
            found = Found(None, why=str(error))
    changes, count = told(trail, begun.who, found, by_whom(begun), ok=None)
    return [*changes, *(attrs.evolve(row, details={**row.details, **count}) for row in rows)]
