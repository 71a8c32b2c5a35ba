"""An overlay: the base below, what was changed of it above, and the live tree that is both.

    base ─┐
          ├─► tree, mounted by root in our own namespace (here), or in a holder's (attaching.py)
    upper ┘

The upper directory is what differs from the base: files, whiteouts (character devices 0:0) and
opaque directories (`user.overlay.opaque`). It never has less than that: a directory is not renamed
in it but refused with EXDEV, for a moved file system's names would stand in attributes that only
the kernel understands, and no file there is without its content. The same for root as for ordinary
users (`userxattr`), so that one may go on with what the other has begun.

What root has mounted stays so when the run ends: a shell, or an editor, goes on in it, and the next
run takes it over, if it is of the same base and the same upper directory. Of a base that was
replaced by another directory it is not: it would show what is gone, and is mounted anew. So is one
that somebody in another mount namespace has mounted since (a container, a service): two mounts of
one upper directory do not see what the other one changes. `mounted` says which was the last. What
somebody else has mounted there, or put there while nothing was mounted, is left alone and said.

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
from runner.workspaces.mounts import Mount
from runner.workspaces.ways import Place

KIND = "overlay"
NAMED = "runner-"
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


def source(base: str, place: Place) -> str:
    """What a mount of this base and this upper directory, and no other, is called.

    The mount keeps both of them, so their numbers are nobody else's as long as it is there.
    """
    both = (os.stat(place.upper), os.stat(base))
    return NAMED + "-".join(f"{each.st_dev}-{each.st_ino}" for each in both)


def is_mounted(place: Place) -> bool:
    """Whether the live tree is what is seen at its place, mounted by us or a run before us."""
    found = mounts.mounted_at(place.tree)
    return bool(found) and _is_ours(found[-1])


def _is_ours(found: Mount) -> bool:
    return found.kind == KIND and found.source.startswith(NAMED)


def mount(base: str, place: Place) -> None:
    """Mount the live tree, as root, unless it is mounted.

    Raises:
        WorkspaceError: another base's is, and somebody uses it.
        OSError: it cannot be; EBUSY: something else is mounted there; ENOTEMPTY: there are files.
    """
    name = source(base, place)
    found = mounts.mounted_at(place.tree)
    is_it = [(each.kind, each.source) for each in found] == [(KIND, name)]
    if is_it and _noted(place) in {"", _device(place)}:
        return  # by a run before us: all that is in it goes on
    for each in found:
        if not _is_ours(each):
            what = f"something else is mounted there ({each.kind}, {each.source})"
            raise OSError(errno.EBUSY, f"{what}: unmount it first")
    if found:
        since = (
            "it was mounted elsewhere since" if is_it else "the base is another directory by now"
        )
        _unmount(place, f"{since}; what shows the old one")
    said = options(base, place)
    if os.listdir(place.tree):
        why = "there are files in its place, put there when it was not mounted: move them away"
        raise OSError(errno.ENOTEMPTY, why)
    with suppress(FileNotFoundError):  # first: who is killed in between has noted nothing wrong
        os.unlink(place.mounted)
    mounts.mount(name, place.tree, KIND, said)
    with suppress(OSError), open(place.mounted, "w") as file:  # also where there is no room for it
        file.write(_device(place))


def _noted(place: Place) -> str:
    """Which mount was the last of this upper directory; empty if nobody knows."""
    with suppress(FileNotFoundError), open(place.mounted) as file:
        return file.read()
    return ""


def _device(place: Place) -> str:
    """What no other mount has as long as this one is there."""
    return str(os.stat(place.tree).st_dev)


def unmount(place: Place, *, in_use: bool = False) -> None:
    """Unmount the live tree, if it is mounted here.

    Args:
        place: the workspace's.
        in_use: also from under those who use it; what they write from then on is lost.

    Raises:
        WorkspaceError: somebody uses it, or something else is mounted in it.
    """
    for each in reversed(mounts.mounted_in(place.path)):
        if each.point != place.tree or not _is_ours(each):
            raise WorkspaceError(
                f"something is mounted at {each.point!r}, in a workspace: unmount it first"
            )
    _unmount(place, repr(place.tree), in_use=in_use)


def _unmount(place: Place, what: str, *, in_use: bool = False) -> None:
    for _ in mounts.mounted_at(place.tree):
        try:
            mounts.unmount(place.tree, in_use=in_use)
        except OSError as error:
            if error.errno == errno.EINVAL:  # another one was quicker
                continue
            raise WorkspaceError(_in_use(place, what, error)) from error


def _in_use(place: Place, what: str, error: OSError) -> str:
    said = f"{what} cannot be unmounted: {error.strerror}"
    if error.errno != errno.EBUSY:
        return said
    who = ", ".join(map(str, users_of(place.tree)))
    by = f" by process {who}" if who else ""
    return f"{said}; it is in use{by}: end that first"


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
