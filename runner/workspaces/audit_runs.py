"""What changes files without saying which: a row for it, and one for each file that it changed.

    begin: intent, a glance ──► it runs ──► end: another glance; its rows, and its own as the last

    a file's row    "write", "remove", "chmod", "mkdir" or "move" (two rows, as of a move of ours),
                    with `by`, when that began, and `shared` if something else ran beside it
    its own row     how many paths were changed (`changes`); if they are more than 1,000, one row
                    "changes" has their number. Where nobody can know, `changes` is None, and
                    `changes_unknown` says why

What ran when its process was killed is looked at by the next one that opens the workspace
(`settle`): the first glance was kept in a file.

For a thread.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping

import attrs
import trio

from runner.errors import RunnerError
from runner.scopes.who import Who
from runner.workspaces import kept_glimpses
from runner.workspaces.audit_acts import Begun, Doing, changed
from runner.workspaces.glancing import Glancer
from runner.workspaces.glimpses import Found, Glimpse
from runner.workspaces.records import AuditRecord, Json
from runner.workspaces.trail import Trail

KEPT = 1 << 20  # bytes of a glance at the beginning of what may be short
BASING = 10.0  # seconds to find out what an overlay's base has


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
        find_base: finds out what an overlay's base has.
    """

    trail: Trail
    who: Who
    glancer: Glancer | None
    find_base: Callable[[], Awaitable[object]] = trio.lowlevel.checkpoint

    def begin(self, doing: Doing, *, most: int = KEPT) -> Run:
        """Write down what is about to run.

        Args:
            doing: what it is.
            most: bytes of a glance that is kept in a file.
        """
        begun = self.trail.begin(doing, self.who, {})
        glimpse = None
        if self.glancer is not None:
            try:
                glimpse = self.glancer.begin()
            except (RunnerError, OSError) as error:
                glimpse = Glimpse(None, why=str(error))
            if glimpse.tree is not None and glimpse.tree.size <= most:
                kept_glimpses.keep(self.trail.glimpse_path(begun), glimpse)
            self.trail.beside.follow(glimpse)
        return Run(begun, glimpse)

    async def prepare(self, run: Run) -> None:
        """Have what `end` compares with: of an overlay, the base."""
        if self.glancer is not None and run.glimpse is not None and self.glancer.is_blind:
            with trio.move_on_after(BASING):
                try:
                    await self.find_base()
                except RunnerError:
                    return  # only sizes are known then

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

    def drop(self, run: Run) -> None:
        """It never began."""
        if run.glimpse is not None:
            self.trail.beside.unfollow(run.glimpse)
        self.trail.end(run.begun, [])

    def _changes(self, run: Run) -> tuple[list[AuditRecord], dict[str, Json]]:
        """The rows of what it has changed, and how many paths that are, if it is known."""
        if self.glancer is None or run.glimpse is None:
            return [], {}
        self.trail.beside.unfollow(run.glimpse)
        try:
            found = self.glancer.end(run.glimpse)
        except (RunnerError, OSError) as error:
            found = Found(None, why=str(error))
        by = by_whom(run.begun)
        if run.glimpse.is_shared:
            by["shared"] = True
        return told(self.trail, run.begun.who, found, by)


def by_whom(begun: Begun) -> dict[str, Json]:
    """What the rows say of what has changed their paths."""
    by: dict[str, Json] = {"by": begun.doing.operation, "began": begun.at}
    turn = begun.doing.details.get("turn")
    return by if turn is None else {**by, "turn": turn}


def told(
    trail: Trail, who: Who, found: Found, by: Mapping[str, Json], ok: bool | None = True
) -> tuple[list[AuditRecord], dict[str, Json]]:
    """The rows of what was found to be changed, and what the row of who did it says of that."""
    if found.count is None:
        return [], {"changes": None, "changes_unknown": found.why}
    count: dict[str, Json] = {"changes": found.count}
    if found.count > len(found.paths):
        row = trail.row("changes", who, path=".", ok=ok, details={**by, **count})
        return [row], count
    return list(_rows(trail, who, found, by, ok)), count


def _rows(
    trail: Trail, who: Who, found: Found, by: Mapping[str, Json], ok: bool | None
) -> Iterator[AuditRecord]:
    both = {path: (source, path) for path, source in found.moved.items()}
    both |= {source: (source, path) for path, source in found.moved.items()}
    for each in found.paths:
        row = changed(trail.row, who, each, by)
        if each[0] in both:
            source, target = both[each[0]]
            more: dict[str, Json] = {"source": source, "target": target}
            row = attrs.evolve(row, operation="move", details={**row.details, **more})
        yield row if ok else attrs.evolve(row, ok=ok)
