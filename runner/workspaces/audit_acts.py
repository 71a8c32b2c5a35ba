"""Acts, as the audit has them: what is about to be done, and the rows when it has been. Pure.

An act's intent says what it is about and how that was. Its rows compare that with how it is then:
one for each path that it was about.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import attrs

from runner.scopes.who import Who
from runner.workspaces.records import AuditRecord, Json
from runner.workspaces.witness import Seen, Spot, Witness

Sight = dict[str, Seen | None]


@attrs.frozen(kw_only=True)
class Doing:
    """What is about to be done.

    Attributes:
        operation: "write", "exec", …
        spots: the paths that it changes, as far as that is known.
        details: what else there is to say; without secrets.
    """

    operation: str
    spots: tuple[Spot, ...] = ()
    details: Mapping[str, Json] = attrs.field(factory=dict)


@attrs.frozen(kw_only=True)
class Begun:
    """What was begun.

    Attributes:
        intent: its number; None = it is in the log of what is done at once.
        doing: what it is.
        who: on whose behalf.
        before: what stood there before.
        at: when, in nanoseconds.
    """

    intent: int | None
    doing: Doing
    who: Who
    before: Sight
    at: int


def rows_of(
    row: Callable[..., AuditRecord],
    begun: Begun,
    after: Sight,
    ok: bool | None,
    more: Mapping[str, Json],
) -> list[AuditRecord]:
    """The rows of an act; `row` makes one of its workspace."""
    make = partial(row, begun.doing.operation, begun.who, ok=ok, at=begun.at)
    return list(compared(begun.before, after, make, {**begun.doing.details, **more}))


def compared(
    before: Sight,
    after: Sight,
    make: Callable[..., AuditRecord],
    details: Mapping[str, Json],
) -> Iterator[AuditRecord]:
    """A row for each path; a single one without a path if there are none."""
    if not before and not after:
        yield make(details=details)
    for path in dict.fromkeys((*before, *after)):
        old, new = before.get(path), after.get(path)
        yield make(
            path=path,
            size_before=None if old is None else old.size,
            size_after=None if new is None else new.size,
            sha_before="" if old is None else old.digest,
            sha_after="" if new is None else new.digest,
            details={**details, **_differences(old, new)},
        )


def changed(
    row: Callable[..., AuditRecord],
    who: Who,
    change: tuple[str, Seen | None, Seen | None],
    details: Mapping[str, Json],
) -> AuditRecord:
    """The row of a path that a program has changed."""
    path, old, new = change
    operation = "write"
    if new is None:
        operation = "remove"
    elif old is not None and attrs.evolve(old, mode=new.mode) == new and old.mode != new.mode:
        operation = "chmod"
    elif new.type == "directory":
        operation = "mkdir"
    make = partial(row, operation, who)
    return next(compared({path: old}, {path: new}, make, details))


def _differences(old: Seen | None, new: Seen | None) -> dict[str, Json]:
    """What sizes and digests do not say: types, modes, how much was in a whole directory."""
    found: dict[str, Json] = {}
    here = new or old
    if here is not None and here.type != "file":
        found["type"] = here.type
    if old is not None and new is not None and old.type != new.type:
        found["type_before"] = old.type
    if old is not None and new is not None and new.mode and old.mode != new.mode:
        found |= {"mode_before": f"{old.mode:o}", "mode_after": f"{new.mode:o}"}
    entries = {"entries_before": old, "entries_after": new}
    found |= {name: seen.entries for name, seen in entries.items() if seen and seen.entries}
    return found


def intent_details(doing: Doing, before: Sight) -> dict[str, Json]:
    """What an intent says, for `settled`."""
    return {
        "spots": [[each.path, each.entry, each.deep] for each in doing.spots],
        "before": {path: _said(seen) for path, seen in before.items()},
        "details": dict(doing.details),
    }


def begun_of(intent: AuditRecord) -> Begun:
    """What an intent says."""
    about: dict[str, Any] = dict(intent.details)
    doing = Doing(
        operation=intent.operation,
        spots=tuple(Spot(*each) for each in about.get("spots", ())),
        details=about.get("details", {}),
    )
    before = {path: _seen(said) for path, said in about.get("before", {}).items()}
    who = Who(session=intent.session, job=intent.job, agent=intent.agent)
    return Begun(intent=intent.seq, doing=doing, who=who, before=before, at=intent.time_ns)


def settled(row: Callable[..., AuditRecord], begun: Begun, witness: Witness) -> list[AuditRecord]:
    """The rows of an act that was cut off."""
    after = witness.look(begun.doing.spots)
    more: dict[str, Json] = {"cut_off": True}
    if begun.before or after:
        more["found"] = "as before" if begun.before == after else "changed"
    return rows_of(row, begun, after, None, more)


def _said(seen: Seen | None) -> Json:
    return None if seen is None else [seen.type, seen.size, seen.digest, seen.mode, seen.entries]


def _seen(said: Any) -> Seen | None:
    return None if said is None else Seen(*said)
