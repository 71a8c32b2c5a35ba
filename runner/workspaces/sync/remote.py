"""A remote: where a workspace is kept for other places to reach, and what all kinds of it promise.

    objects   immutable, named after themselves; put again or by several at once they are the same
    refs      one per workspace: the id of its newest version; swapped by comparison only, so of
              two who push at once one is told that the other was first

Objects are put before the ref that leads to them is swapped; so whatever a ref leads to is there.
Nothing is ever removed. A remote that cannot compare and swap is refused when it is opened, not
trusted.

Every method raises `RemoteUnreachable` if the remote cannot be reached or does not answer in time
(try again later), `RemoteRefused` if it does not let us (authorisation, or something that it cannot
do), and `RemoteDamaged` if it says what cannot be. A cancelled call may have had its effect.

What is not here: which objects are put, and what is done with versions (syncing.py).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Protocol
from urllib.parse import quote, unquote

from runner.errors import RemoteDamaged
from runner.workspaces.objects import Object, ObjectId

PATIENCE = 30.0  # seconds for one answer of a remote
GROUP = 64  # objects on their way at once: 64 MiB at most, but for listings of huge directories

_URL = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?P<rest>.*)", re.DOTALL)


class Remote(Protocol):
    """Where a workspace is kept for other places to reach."""

    async def open(self) -> None:
        """Make it usable: reach it, see what it can do, make what it needs."""
        ...

    async def get_ref(self, name: str) -> ObjectId | None:
        """The newest version of a workspace; None if it has none."""
        ...

    async def swap_ref(self, name: str, before: ObjectId | None, after: ObjectId) -> bool:
        """Say which version is the newest now; False, and nothing, if that was another one."""
        ...

    async def list_refs(self) -> tuple[str, ...]:
        """The workspaces that have a version, sorted."""
        ...

    async def missing(self, ids: Sequence[ObjectId]) -> set[ObjectId]:
        """Which of them it does not have."""
        ...

    async def put(self, objects: Sequence[Object]) -> None:
        """Keep them; those that are there already are left alone.

        Args:
            objects: `GROUP` at most.
        """
        ...

    async def get(self, ids: Sequence[ObjectId]) -> list[Object]:
        """Those objects, in any order; each is checked against its id.

        Args:
            ids: `GROUP` at most, as all of them are in memory at once.

        Raises:
            RemoteDamaged: it does not have one of them.
        """
        ...

    async def aclose(self) -> None:
        """Let go of connections; it can be opened again."""
        ...


def scheme_of(url: str) -> tuple[str, str]:
    """The scheme of a URL, and all that comes after its `://`.

    Raises:
        ValueError: it has none.
    """
    found = _URL.fullmatch(url)
    if found is None:
        raise ValueError(f"{url!r} is no URL: it has no scheme, as in file:///mnt/backup")
    return found["scheme"], found["rest"]


def lacking(ids: Sequence[ObjectId], found: Sequence[Object]) -> RemoteDamaged:
    """The error of a remote that does not have all of what leads from its own refs."""
    gone = sorted(each.hex() for each in {*ids} - {each.id for each in found})
    return RemoteDamaged(f"the remote has lost {len(gone)} objects, among them {gone[0]}")


def file_name_of(name: str) -> str:
    """A workspace's name as that of a file: no two have the same, and each is a plain one."""
    return quote(name, safe="").replace(".", "%2E").replace("~", "%7E")


def name_of(file_name: str) -> str:
    """The workspace's name that has this file name."""
    return unquote(file_name)
