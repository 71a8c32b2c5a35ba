"""What is asked of a workspace's actor: one frozen record each, typed by its answer.

lane         messages
EFFECT       Restore, Delete, Unmount: alone in the live tree, after all that was asked for before
EXEC         Snap, Offer: after all that was asked for before; who only looks need not wait for it
OBSERVATION  Look, the Snap of a turn: after the effects on files before it; it does not wait for a
             running program
CONTROL      Attach, AskBase, Rebased: at once
"""

from __future__ import annotations

from typing import Any

import attrs

from runner.actors.lanes import Lane
from runner.messages import Message
from runner.scopes.who import NOBODY, Who
from runner.workspaces.capturing import Captured
from runner.workspaces.making import Attached
from runner.workspaces.objects import ObjectId
from runner.workspaces.records import SnapshotKind, SnapshotRecord


@attrs.frozen(kw_only=True)
class Attach(Message[Attached]):
    """Have the live tree there; the answer is where its files are reached."""


@attrs.frozen(kw_only=True)
class AskBase(Message[ObjectId]):
    """The root of the base as it was when the workspace was made; waits until it is known."""


@attrs.frozen(kw_only=True)
class Look(Message[Captured]):
    """Capture the live tree.

    Attributes:
        verify: every file is looked at, whatever the hints say.
    """

    verify: bool = False


@attrs.frozen(kw_only=True)
class Offer(Message[ObjectId]):
    """The root of the live tree, to be committed; the base is known when it is answered."""


@attrs.frozen(kw_only=True)
class Rebased(Message[None]):
    """The base is another one from now on, as its record says."""


@attrs.frozen(kw_only=True)
class Snap(Message[SnapshotRecord]):
    """Capture the live tree, and keep it under a name.

    Attributes:
        name: checked; unique in the workspace.
        description: for people.
        kind: who makes it.
        session: whose turn it is.
        turn: that turn's number.
        verify: every file is looked at, whatever the hints say.
        who: on whose behalf.
    """

    name: str
    description: str = ""
    kind: SnapshotKind = "user"
    session: str = ""
    turn: int = 0
    verify: bool = False
    who: Who = NOBODY


@attrs.frozen(kw_only=True)
class Restore(Message[SnapshotRecord | None]):
    """Make the live tree exactly that of a root.

    The answer is the snapshot of what was there before; None if it was that already.

    Attributes:
        root: which tree.
        what: what it is called, for errors and the undo snapshot.
        force: changes that are in no snapshot and no commit may be replaced.
        expect: what the live tree must be, else nothing is done (`WorkspaceChanged`); None =
            whatever it is.
        who: on whose behalf.
    """

    root: ObjectId
    what: str
    force: bool = False
    expect: ObjectId | None = None
    who: Who = NOBODY


@attrs.frozen(kw_only=True)
class Delete(Message[SnapshotRecord | None]):
    """Take the workspace away; the answer is the rescue snapshot, None if nothing is to be rescued.

    Attributes:
        force: changes that are in no commit may go.
        rescue: whether a snapshot of it is kept.
        who: on whose behalf.
    """

    force: bool = False
    rescue: bool = True
    who: Who = NOBODY


@attrs.frozen(kw_only=True)
class Unmount(Message[None]):
    """Have the live tree away from its place, until somebody asks for it again."""


_LANES: dict[type[Message[Any]], Lane] = {
    Attach: Lane.CONTROL,
    AskBase: Lane.CONTROL,
    Look: Lane.OBSERVATION,
    Snap: Lane.EXEC,
    Offer: Lane.EXEC,
    Rebased: Lane.CONTROL,
    Restore: Lane.EFFECT,
    Delete: Lane.EFFECT,
    Unmount: Lane.EFFECT,
}


def lane_of(message: Message[Any]) -> Lane:
    """How a message takes part in the order of the live tree."""
    if isinstance(message, Snap) and message.kind == "turn":
        return Lane.OBSERVATION
    return _LANES[type(message)]
