"""Who a program is, inside.

Our own uid, in a user namespace of its own. If we are root, it is the owner of the scope; if that
is root as well, an uid that nobody has, and what root owns in the scope is shown to it, and to no
one else, as its own (an idmapped mount): nothing on disk is changed, and what it makes is root's
outside. It can therefore make no file with set-uid bits there.
"""

from __future__ import annotations

import os
import pwd

import attrs

NOBODYS = 1_900_000_000  # beyond what distributions and container tools give out (systemd's UIDS)


class Lacking(Exception):
    """Something that was asked for cannot be had here, and why."""


@attrs.frozen(kw_only=True)
class User:
    """Who the program is.

    Attributes:
        kind: "own", in a user namespace; "other", which only root can give; "" = as we are.
        mapped: who owns inside what root owns outside; 0 = nobody does.
    """

    kind: str
    uid: int
    gid: int
    mapped: int = 0


def own_ids() -> tuple[int, int]:
    """Who starts programs: the guardian runs as we do."""
    return os.geteuid(), os.getegid()


def choose_user(directory: str) -> User:
    """Decide who a program in this directory is.

    Raises:
        Lacking: we are root, and the directory is not there.
    """
    uid, gid = own_ids()
    if uid != 0:
        return User(kind="own", uid=uid, gid=gid)
    try:
        owner = os.stat(directory)
    except OSError as error:
        raise Lacking(f"{directory} cannot be looked at: {error.strerror}") from error
    if owner.st_uid:
        return User(kind="other", uid=owner.st_uid, gid=owner.st_gid or _group_of(owner.st_uid))
    return User(kind="other", uid=NOBODYS, gid=NOBODYS, mapped=NOBODYS)


def _group_of(uid: int) -> int:
    try:
        return pwd.getpwuid(uid).pw_gid or NOBODYS
    except KeyError:
        return NOBODYS
