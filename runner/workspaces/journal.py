"""The journal: what was decided about a tree is finished, whatever happens.

Model. To change a tree is an act, in this order:

    1. what it puts there is made ready beside the tree (staging.py); on a full disk, it ends here
    2. its row is written: from here on it is decided
    3. its steps are carried out (carrying.py)
    4. its row is removed, then what is left of its staging

Cut off before 2, it never was, and what it made ready is removed by the next `roll_forward`. Cut
off after it, `roll_forward` carries its steps out again, from the first; then the tree is what was
decided. Whoever opens a workspace calls that before anything else, with the workspace's lock; and
whoever changes a base calls `roll_forward_base`, with that base's lock.

What else is to be true if and only if the act is (a record of it), is written in the transaction of
its row.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import attrs

from runner.backends.beneath import Names
from runner.backends.failures import Answers, translate
from runner.errors import OperationError, StoreDamaged
from runner.workspaces import step_rows
from runner.workspaces.carrying import Carrier, uninterrupted
from runner.workspaces.listing import EMPTY, Entry, EntryType
from runner.workspaces.objects import ObjectId
from runner.workspaces.planning import SetMode, Step, everything, plan
from runner.workspaces.records import Act, Json
from runner.workspaces.rights import require_rights
from runner.workspaces.staging import Staging, opened, sweep

if TYPE_CHECKING:
    from runner.workspaces.store import Store

_LATER = "it has been decided, and is finished when the workspace is opened again"


@attrs.frozen
class Done:
    """What became of an act.

    Attributes:
        act: as its row was; None if there was nothing to do.
        left: directories that were to go, and stay with what is in them: files that no snapshot
            knows of.
        mended: directories in whose place a program had put something else meanwhile.
        disturbed: what was not so, a moment after it had been made so: a program is at work there.
    """

    act: Act | None
    left: tuple[Names, ...] = ()
    mended: tuple[Names, ...] = ()
    disturbed: tuple[Names, ...] = ()


def nothing() -> None:
    """What else an act writes, as a rule."""


def decide(
    store: Store,
    act: Act,
    tree: int,
    staging: Staging,
    steps: Sequence[Step],
    *,
    also: Callable[[], None] = nothing,
) -> Done:
    """Write the act's row, and carry it out.

    Args:
        store: has the journal.
        act: its details say all that `roll_forward` needs (see `details_of`).
        tree: open.
        staging: with all that the steps put somewhere; taken over.
        steps: in their order.
        also: writes to the store what is to be true from here on.
    """
    try:
        require_rights(tree, steps)
        with store.transaction():
            act = attrs.evolve(act, id=store.journal.begin(act))
            also()
    except BaseException:
        staging.remove()
        raise
    return _finish(store, act, tree, staging, steps)


def details_of(staging: Staging, place: str, *, durable: bool) -> dict[str, Json]:
    """What an act's row says of its staging."""
    return {
        "place": place,
        "name": staging.name,
        "inside": staging.inside,
        "durable": durable,
    }


def roll_forward(store: Store, workspace: str, tree: str, place: str) -> list[Act]:
    """Finish what was decided about a workspace's live tree, and remove what never was.

    Args:
        store: has the journal.
        workspace: its id; the caller has its lock.
        tree: its live tree, as it can be reached now.
        place: where its acts are staged.

    Returns:
        What was finished.

    Raises:
        OperationError: it cannot go on (there is no room, the tree cannot be changed): the row
            stays, and it is tried again by the next one.
        StoreDamaged: somebody has removed what a batch was to write: it is given up, and said once.
    """
    there = store.journal.list(workspace)
    acts = [each for each in there if each.kind != "commit"]
    with Answers("restore", ".", tree), opened(tree) as top:
        for act in acts:
            _again(store, act, top, place)
        sweep(top, place, [str(each.details["name"]) for each in there])
    return acts


def roll_forward_base(store: Store, base: str) -> list[Act]:
    """Finish the commits to a base that were decided; the caller has the base's lock."""
    acts = [each for each in store.journal.list() if each.kind == "commit" and each.tree == base]
    for act in acts:
        with Answers("commit", ".", base), opened(base) as top:
            _again(store, act, top, str(act.details["place"]))
    return acts


def _again(store: Store, act: Act, tree: int, place: str) -> Done:
    name, inside = str(act.details["name"]), bool(act.details["inside"])
    staging = Staging.again(tree, place, name, inside=inside)
    if act.before is None or act.after is None:
        if staging is None:
            store.journal.end(act.id)  # who cannot go on must not stand in everybody's way
            what = f"what a batch of the workspace {act.workspace} was to write is gone"
            how = "it is given up as far as it got: see `diff`, or restore a snapshot"
            raise StoreDamaged(what, place, how)
        steps = step_rows.decode(act.details["steps"])
        return _finish(store, act, tree, staging, steps)
    made = plan(store.listing, act.before, act.after)
    if staging is None:  # it was removed by somebody; the store has it all
        staging = prepared(store, tree, place, made.contents)
    return _finish(store, act, tree, staging, made.steps)


def prepared(store: Store, tree: int, place: str, contents: Sequence[Entry]) -> Staging:
    """A staging with contents that are ready."""
    staging = Staging.begin(tree, place)
    try:
        staging.fill(store, contents)
    except BaseException:
        staging.remove()
        raise
    return staging


def _finish(store: Store, act: Act, tree: int, staging: Staging, steps: Sequence[Step]) -> Done:
    carrier = Carrier(tree, staging)
    try:
        carrier.carry_out(steps)
        if carrier.mended and act.kind == "restore":
            uninterrupted(lambda: _fill_mended(store, act, tree, carrier.mended))
        disturbed = carrier.disturbed(steps)
        if act.details["durable"]:
            carrier.sync(steps)
        store.journal.end(act.id)
    except OSError as error:
        staging.close()
        raise unfinished(act, error) from error
    except BaseException:
        staging.close()
        raise
    staging.remove()
    return Done(act, tuple(carrier.left), tuple(carrier.mended), tuple(disturbed))


def unfinished(act: Act, error: OSError) -> OperationError:
    """What is said when something that was decided cannot go on now."""
    said = translate(error, act.kind, ".", act.tree)
    said.hint = _LATER
    return said


def _fill_mended(store: Store, act: Act, tree: int, mended: Sequence[Names]) -> None:
    """Fill directories that stand in the place of something else with all that they are to have.

    What was to be put there is there, the rest is not: it was no part of the steps.
    """
    assert act.after is not None, "a restore goes to a root"
    for top in mended:
        entry = _directory_at(store, act.after, top)
        if entry is None:
            continue
        made = everything(store.listing, entry.id)
        steps = [attrs.evolve(step, names=(*top, *step.names)) for step in made.steps]
        staging = prepared(store, tree, str(act.details["place"]), made.contents)
        try:
            Carrier(tree, staging).carry_out([*steps, SetMode(top, entry.mode, directory=True)])
        finally:
            staging.remove()


def _directory_at(store: Store, root: ObjectId, names: Names) -> Entry | None:
    """A directory in a tree; None if it has none there."""
    found, inside = None, root
    for name in names:
        entries = () if inside == EMPTY.id else store.listing(inside)
        wanted = os.fsencode(name)
        found = next((each for each in entries if each.name == wanted), None)
        if found is None or found.type is not EntryType.DIRECTORY:
            return None
        inside = found.id
    return found
