"""A version: what a workspace was at one time, as all places that have it in common know it.

A version is an object itself, a content that says which tree it is and which version came before
it. So a remote needs one name that changes per workspace, for its newest version; all else there
never does, and every older version can be gone back to from it.

Values only. What is not here: objects on their way (wire.py), and which version comes next
(syncing.py).
"""

from __future__ import annotations

import json
from typing import Any

import attrs

from runner.errors import RemoteDamaged
from runner.workspaces.objects import CHUNK, NO_ID, Object, ObjectId, content

FORMAT = "runner version 1"
_LENGTH = len(NO_ID)


@attrs.frozen(kw_only=True)
class Named:
    """A snapshot that a version has.

    Attributes:
        name: unique in its workspace.
        description: for people.
        root: the tree.
        created_ns: when it was made, nanoseconds since 1970, UTC.
    """

    name: str
    description: str = ""
    root: ObjectId
    created_ns: int


@attrs.frozen(kw_only=True)
class Version:
    """A workspace at one time.

    Attributes:
        workspace: its name on the remote.
        root: the tree.
        previous: the version before it; None = the first.
        number: how many came before it.
        device: whose place it was made in, for people.
        created_ns: when, nanoseconds since 1970, UTC, by that place's clock.
        snapshots: those that the workspace had, newest last; a remote gets the newest ones only.
    """

    workspace: str
    root: ObjectId
    previous: ObjectId | None = None
    number: int = 0
    device: str = ""
    created_ns: int
    snapshots: tuple[Named, ...] = ()


def encode(version: Version) -> Object:
    """The object that a version is: with as many of its snapshots as one object has room for."""
    snapshots = list(version.snapshots)
    while True:
        data = json.dumps(_form(version, snapshots), sort_keys=True).encode()
        if len(data) <= CHUNK:
            return content(data)
        del snapshots[: max(1, len(snapshots) // 8)]


def decode(wanted: ObjectId, data: bytes) -> Version:
    """The version that an object is.

    Raises:
        RemoteDamaged: it is none, or of a newer runner.
    """
    try:
        said: dict[str, Any] = json.loads(data)
        if said["format"] != FORMAT:
            raise RemoteDamaged(f"the remote has a version of an unknown form, {said['format']!r}")
        return Version(
            workspace=_text(said["workspace"]),
            root=_id(said["root"]),
            previous=None if said["previous"] is None else _id(said["previous"]),
            number=_number(said["number"]),
            device=_text(said["device"]),
            created_ns=_number(said["created_ns"]),
            snapshots=tuple(
                Named(
                    name=_text(name),
                    description=_text(description),
                    root=_id(root),
                    created_ns=_number(created_ns),
                )
                for name, description, root, created_ns in said["snapshots"]
            ),
        )
    except (ValueError, TypeError, KeyError, RecursionError):
        raise RemoteDamaged(f"the remote's object {wanted.hex()} is no version") from None


def _form(version: Version, snapshots: list[Named]) -> dict[str, object]:
    return {
        "format": FORMAT,
        "workspace": version.workspace,
        "root": version.root.hex(),
        "previous": None if version.previous is None else version.previous.hex(),
        "number": version.number,
        "device": version.device,
        "created_ns": version.created_ns,
        "snapshots": [[s.name, s.description, s.root.hex(), s.created_ns] for s in snapshots],
    }


def _id(said: object) -> ObjectId:
    found = bytes.fromhex(_text(said))
    if len(found) != _LENGTH:
        raise ValueError("an id of another length")
    return ObjectId(found)


def _text(said: object) -> str:
    if not isinstance(said, str):
        raise TypeError("no text")
    return said


def _number(said: object) -> int:
    if not isinstance(said, int) or isinstance(said, bool) or said < 0:
        raise TypeError("no number of 0 or more")
    return said
