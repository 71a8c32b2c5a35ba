"""Which snapshots of ours are kept no longer: a rule, and values. No I/O.

What a person made stays, whatever its age. The rest piles up by itself, and goes like this:

    undo, temporary     of a workspace that is there: the newest `undo` of them are kept, and those
                        of the last `undo_for` seconds
    all but a person's  of a workspace that was deleted: `deleted_for` seconds after its last
                        snapshot, which is the rescue of what it was

Snapshots of sessions' turns stay as long as their workspace. What is dropped here only loses its
name: what it had goes with what nothing names (collecting.py).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable

import attrs

from runner.workspaces.records import SnapshotRecord

DAY = 86_400.0
_SECOND = 1_000_000_000


@attrs.frozen(kw_only=True)
class Retention:
    """How long snapshots of ours are kept.

    Attributes:
        undo: how many of those that were taken before a restore, of each workspace.
        undo_for: seconds in which none of these is dropped.
        deleted_for: seconds that those of a deleted workspace are kept.
    """

    undo: int = 20
    undo_for: float = 7 * DAY
    deleted_for: float = 30 * DAY


@attrs.frozen(kw_only=True)
class Expired:
    """A snapshot that is kept no longer.

    Attributes:
        snapshot: which.
        why: in a sentence.
    """

    snapshot: SnapshotRecord
    why: str


def expired(
    snapshots: Iterable[SnapshotRecord],
    workspaces: Collection[str],
    rule: Retention,
    now_ns: int,
) -> tuple[Expired, ...]:
    """Those that are to go, the oldest first.

    Args:
        snapshots: all of a project, the oldest first.
        workspaces: the ids of those that are there.
        rule: how long they are kept.
        now_ns: the time.
    """
    by_workspace: defaultdict[str, list[SnapshotRecord]] = defaultdict(list)
    for each in snapshots:
        by_workspace[each.workspace].append(each)
    found: list[Expired] = []
    for workspace, its in by_workspace.items():
        if workspace in workspaces:
            found += _of_living(its, rule, now_ns)
        else:
            found += _of_deleted(its, rule, now_ns)
    return tuple(sorted(found, key=lambda each: each.snapshot.created_ns))


def _of_living(its: list[SnapshotRecord], rule: Retention, now_ns: int) -> list[Expired]:
    ours = [each for each in its if each.kind in {"undo", "temporary"}]
    older = ours[: max(0, len(ours) - rule.undo)]
    why = f"older than {rule.undo_for / DAY:g} days, and {rule.undo} of its workspace are newer"
    since = now_ns - rule.undo_for * _SECOND
    return [Expired(snapshot=each, why=why) for each in older if each.created_ns < since]


def _of_deleted(its: list[SnapshotRecord], rule: Retention, now_ns: int) -> list[Expired]:
    if its[-1].created_ns >= now_ns - rule.deleted_for * _SECOND:
        return []
    days = rule.deleted_for / DAY
    why = f"its workspace was deleted, and was last seen more than {days:g} days ago"
    return [Expired(snapshot=each, why=why) for each in its if each.kind != "user"]
