"""An overlay: the base below, what was changed of it above, and the live tree that is both.

    base ─┐
          ├─► tree, mounted by root in our own namespace (here), or in a holder's (attaching.py)
    upper ┘

The upper directory is what differs from the base: files, whiteouts (character devices 0:0) and
opaque directories (`user.overlay.opaque`). It never has less than that: a directory is not renamed
in it but refused with EXDEV, for a moved file system's names would stand in attributes that only
the kernel understands, and no file there is without its content. The same for root as for ordinary
users (`userxattr`), so that one may go on with what the other has begun.

To change the base meanwhile is not defined by the kernel; in practice what was not changed above
shows the base's new content. Source: the kernel's Documentation/filesystems/overlayfs.rst.
"""

from __future__ import annotations

import errno
import os
import re
from contextlib import suppress

from runner.errors import WorkspaceError
from runner.workspaces import mounts
from runner.workspaces.ways import Place

KIND = "overlay"
LONGEST = 4095  # bytes of options that mount(2) takes
_SPECIAL = re.compile(r"([\\:,])")


def options(base: str, place: Place) -> str:
    """What mount(2) is told.

    Raises:
        OSError: the paths are too long for that.
    """
    lower, upper, work = (_SPECIAL.sub(r"\\\1", each) for each in (base, place.upper, place.work))
    said = f"lowerdir={lower},upperdir={upper},workdir={work},index=off,userxattr"
    if len(os.fsencode(said)) > LONGEST:
        raise OSError(errno.ENAMETOOLONG, "the paths of base and workspace are too long")
    return said


def source(place: Place) -> str:
    """What a mount of this upper directory, and no other, is called."""
    status = os.stat(place.upper)
    return f"runner-{status.st_dev}-{status.st_ino}"


def is_mounted(place: Place) -> bool:
    """Whether the live tree is what is seen at its place, mounted by us or a run before us."""
    found = mounts.mounted_at(place.tree)
    return bool(found) and (found[-1].kind, found[-1].source) == (KIND, source(place))


def mount(base: str, place: Place) -> None:
    """Mount the live tree, as root, unless it is mounted.

    Raises:
        OSError: it cannot be; EBUSY: something else is mounted there, and in use.
    """
    found = mounts.mounted_at(place.tree)
    if len(found) == 1 and is_mounted(place):
        return  # by a run that was killed: all that is in it goes on
    for _ in found:
        mounts.unmount(place.tree)
    mounts.mount(source(place), place.tree, KIND, options(base, place))


def unmount(place: Place) -> None:
    """Unmount the live tree, if it is mounted here.

    Raises:
        WorkspaceError: somebody uses it, or something else is mounted in it.
    """
    for each in reversed(mounts.mounted_in(place.path)):
        if each.point != place.tree:
            raise WorkspaceError(
                f"something is mounted at {each.point!r}, in a workspace: unmount it first"
            )
    for _ in mounts.mounted_at(place.tree):
        try:
            mounts.unmount(place.tree)
        except OSError as error:
            if error.errno == errno.EINVAL:  # another one was quicker
                continue
            raise WorkspaceError(_in_use(place, error)) from error


def _in_use(place: Place, error: OSError) -> str:
    who = ", ".join(map(str, users_of(place.tree)))
    by = f" by process {who}" if who else ""
    return f"{place.tree!r} cannot be unmounted: {error.strerror}; it is in use{by}: end that first"


def users_of(directory: str) -> list[int]:
    """Processes that are in a directory, or have something of it open; as far as we may see."""
    found = set()
    for name in filter(str.isdigit, os.listdir("/proc")):
        links = [f"/proc/{name}/cwd", f"/proc/{name}/root"]
        with suppress(OSError):  # it has ended, or is not ours to look at
            links += [f"/proc/{name}/fd/{each}" for each in os.listdir(f"/proc/{name}/fd")]
        for link in links:
            with suppress(OSError):
                if (os.readlink(link) + "/").startswith(directory + "/"):
                    found.add(int(name))
    return sorted(found)
