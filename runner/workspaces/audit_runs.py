"""What changes files without saying which: a row for it, and one for each file that it changed.

    begin: intent, a glance ──► it runs ──► end: another glance; its rows, and its own as the last

A file's row is "write", "remove", "chmod" or "mkdir", with `by` and when that began; how many there
are is in the row of what changed them (`changes`). If they are more than 1,000, one row "changes"
has their number. What would take long to be known is not said (glancing.py).

For a thread.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

import attrs

from runner.errors import RunnerError
from runner.scopes.who import Who
from runner.workspaces.audit_acts import Begun, Doing, changed
from runner.workspaces.glancing import Glancer, Glimpse
from runner.workspaces.records import AuditRecord, Json
from runner.workspaces.trail import Trail


@attrs.frozen
class Run:
    """What was begun.

    Attributes:
        begun: its intent.
        glimpse: the tree as it was then; None = nobody looks.
    """

    begun: Begun
    glimpse: Glimpse | None


@attrs.frozen
class Runs:
    """What runs in a live tree, on somebody's behalf.

    Attributes:
        trail: where it is written down.
        who: on whose behalf.
        glancer: sees what is changed; None = nobody does.
    """

    trail: Trail
    who: Who
    glancer: Glancer | None

    def begin(self, doing: Doing) -> Run:
        """Write down what is about to run."""
        begun = self.trail.begin(doing, self.who, {})
        glimpse = None
        if self.glancer is not None:
            with suppress(RunnerError, OSError):
                glimpse = self.glancer.begin()
        if glimpse is not None:
            self.trail.follow(glimpse)
        return Run(begun, glimpse)

    def end(
        self, run: Run, ok: bool | None, more: Mapping[str, Json], *, operation: str = ""
    ) -> None:
        """Write down how it has ended, and what it has changed.

        Args:
            run: what has ended.
            ok: whether that went well; None = nobody knows.
            more: what else there is to say.
            operation: what the row calls it; empty = as its intent does.
        """
        doing, who = run.begun.doing, run.begun.who
        changes, count = self._changes(run)
        row = self.trail.row(
            operation or doing.operation,
            who,
            ok=ok,
            details={**doing.details, **more, **count},
            at=None if operation else run.begun.at,
        )
        self.trail.end(run.begun, [*changes, row])

    def _changes(self, run: Run) -> tuple[list[AuditRecord], dict[str, Json]]:
        """The rows of what it has changed, and how many paths that are, if it is known."""
        if self.glancer is None or run.glimpse is None:
            return [], {}
        self.trail.unfollow(run.glimpse)
        found = None
        with suppress(RunnerError, OSError):  # what cannot be looked at, nobody knows
            found = self.glancer.end(run.glimpse)
        if found is None:
            return [], {}
        begun, row = run.begun, self.trail.row
        by: dict[str, Json] = {"by": begun.doing.operation, "began": begun.at}
        rows = [changed(row, begun.who, each, by) for each in found.paths]
        count: dict[str, Json] = {"changes": found.count}
        if found.count > len(rows):
            rows = [row("changes", begun.who, path=".", details={**by, **count})]
        return rows, count
