"""Making a live tree, from a directory or from nothing, by the best way that works.

    place/making/…  ──►  upper, work, and at last tree, each by a rename  ──►  whole

What has a tree is whole; what has not is a crash's, and `removing.tidy` knows it. So whoever makes
one holds `place/lock` meanwhile. A tree that is an overlay is made empty; `attaching.attach` mounts
it, now and at every later time.

Neither may contain the other, base and workspace: the copy would have itself in it without end, and
the kernel's overlay would wait for itself. That is looked at before anything is made, by the
directories themselves and not by their names.

This is the way in for whoever has live trees: `make`, `attach`, `detach`, `remove` and `tidy`.
"""

from __future__ import annotations

import os
import stat
from typing import Literal

from runner.backends.failures import translate
from runner.errors import WorkspaceError
from runner.workspaces.attaching import Attached, attach, detach
from runner.workspaces.copying import Ignore, copy_tree
from runner.workspaces.probing import BY_ROOT, IN_NAMESPACE, chosen, probe
from runner.workspaces.removing import clear, remove, tidy
from runner.workspaces.ways import Made, Place, Probe, Skipped, Way

__all__ = [
    "Attached",
    "attach",
    "check_apart",
    "detach",
    "is_in_live_tree",
    "make",
    "remove",
    "tidy",
]
PLAIN = "plain"
BEST = ("auto", PLAIN)
NOTHING = "there is nothing to begin with"


def make(
    source: str | None,
    path: str,
    *,
    way: Way | Literal["auto", "plain", "overlay", "reflink", "copy"] = "auto",
    ignore: Ignore | None = None,
    is_live: bool = False,
    is_held: bool = False,
    run_id: str = "probe",
) -> Made:
    """Make a live tree, in a thread: it takes long, and notices that its caller was cancelled.

    Args:
        source: the base, a directory; None = begin empty.
        path: the workspace's own directory; there may be one, without a tree.
        way: how; "auto" = by the best that works; "plain" = so that every program sees its files.
        ignore: what a copy leaves out; an overlay shows everything.
        is_live: whether the source is another workspace's tree, or lies in one: it changes, so it
            is copied.
        is_held: whether its programs are to be held inside (isolation), in a user of their own.
        run_id: whose a holder is that a probe needs.

    Returns:
        What was made. An overlay's tree is empty until it is attached.

    Raises:
        WorkspaceError: it cannot be made, why not, and what would help; nothing is left of it.

    Cancellation: nothing is left of it.
    """
    place = Place.at(path)
    if os.path.lexists(place.tree):
        raise WorkspaceError(f"there is a live tree at {place.tree!r} already")
    try:
        best, why = _decide(source, place, way, is_live=is_live, is_held=is_held, run_id=run_id)
        os.makedirs(place.path, mode=0o700, exist_ok=True)
        clear(place.making)  # of a crash
    except OSError as error:
        raise _not_made(place, error) from error
    try:
        skipped = _make(source, place, best, ignore)
    except OSError as error:
        clear(place.making, may_breathe=False)
        raise _not_made(place, error) from error
    except BaseException:
        clear(place.making, may_breathe=False)
        raise
    return Made(way=best, tree=place.tree, why=why, skipped=skipped)


def _decide(
    source: str | None, place: Place, way: str, *, is_live: bool, is_held: bool, run_id: str
) -> tuple[Way, str]:
    if way not in {*BEST, *Way}:
        ways = ", ".join(map(repr, (*BEST, *map(str, Way))))
        raise WorkspaceError(f"there is no way {way!r} to make a workspace: {ways}")
    if source is None:
        return Way.COPY, NOTHING
    check_apart(source, place.path)
    if not is_live:
        _check_outside(source, os.path.dirname(place.path))
    if way == Way.COPY:
        return Way.COPY, "copy: it was asked for"
    probes = probe(source, os.path.dirname(place.path), run_id=run_id)
    if is_live:
        why = "the base is a workspace, which changes"
        probes = (Probe(way=Way.OVERLAY, works=False, why=why), *probes[1:])
    elif is_held and probes[0].why == BY_ROOT and os.stat(source).st_uid == 0:
        why = "it cannot show root's files to the ordinary user whom isolated programs run as"
        no = Probe(way=Way.OVERLAY, works=False, why=why, mend="chown the base to one")
        probes = (no, *probes[1:])
    elif way == PLAIN and probes[0].why == IN_NAMESPACE:
        why = "its files would be seen by programs that runner starts, and by no others"
        no = Probe(way=Way.OVERLAY, works=False, why=why, mend='way="overlay" all the same')
        probes = (no, *probes[1:])
    if way in BEST:
        best, said = chosen(probes)
        return best.way, said
    found = next(each for each in probes if each.way == way)
    if not found.works:
        raise WorkspaceError(f'a workspace cannot be made by {found}; or by way="auto"')
    return found.way, f"{found.way}: {found.why}"


def check_way(source: str, path: str, *, way: str, is_live: bool, is_held: bool) -> str:
    """See whether a live tree could be made; what is said of the way that it would be made by.

    Raises:
        WorkspaceError: it could not, and why.
    """
    place = Place.at(path)
    try:
        return _decide(source, place, way, is_live=is_live, is_held=is_held, run_id="probe")[1]
    except OSError as error:
        raise _not_made(place, error) from error


def _make(source: str | None, place: Place, way: Way, ignore: Ignore | None) -> tuple[Skipped, ...]:
    os.mkdir(place.making, 0o700)
    making = Place(path=place.making)
    skipped: tuple[Skipped, ...] = ()
    if source is None:
        os.mkdir(making.tree)
    elif way is Way.OVERLAY:
        os.mkdir(making.tree, 0o700)
        os.mkdir(making.work, 0o700)
        os.mkdir(making.upper, 0o700)
        status = os.stat(source)
        if (status.st_uid, status.st_gid) != (os.geteuid(), os.getegid()):
            os.chown(making.upper, status.st_uid, status.st_gid)
        os.chmod(making.upper, stat.S_IMODE(status.st_mode))  # the tree's own, once it is mounted
        os.utime(making.upper, ns=(status.st_atime_ns, status.st_mtime_ns))
        os.rename(making.work, place.work)
        os.rename(making.upper, place.upper)
    else:
        skipped = copy_tree(source, making.tree, share=way is Way.REFLINK, ignore=ignore)
    os.rename(making.tree, place.tree)  # from here on it is whole
    os.rmdir(place.making)
    return skipped


def is_in_live_tree(path: str) -> bool:
    """Whether a directory is the live tree of a workspace, of whichever project, or lies in one."""
    here = os.path.realpath(path)
    while here != "/":
        above = os.path.dirname(here)
        if os.path.basename(here) == "tree" and os.path.lexists(os.path.join(above, "lock")):
            return os.path.exists(os.path.join(above, "..", "..", "store.db"))
        here = above
    return False


def check_apart(source: str, path: str) -> None:
    """See to it that a base and a workspace do not lie in each other.

    Args:
        source: the base.
        path: the workspace's own directory, or a store's; it need not be there.

    Raises:
        WorkspaceError: they do, or the base is no directory.
    """
    try:
        base = os.stat(source)
    except (OSError, ValueError) as error:
        raise WorkspaceError(f"the base {source!r} cannot be used: {_said(error)}") from error
    if not stat.S_ISDIR(base.st_mode):
        raise WorkspaceError(f"the base {source!r} is no directory")
    for above in _upwards(path):
        if os.path.samestat(base, above):
            raise WorkspaceError(
                f"the workspace {path!r} would lie in its base {source!r}, and so in itself: "
                "keep workspaces (the state directory) outside of it"
            )
    _check_outside(source, path)


def _check_outside(source: str, directory: str) -> None:
    if os.path.isdir(directory):
        around = os.stat(directory)
        if any(os.path.samestat(around, above) for above in _upwards(source)):
            raise WorkspaceError(
                f"the base {source!r} lies in a workspace, or where workspaces are kept "
                f"({directory!r}): name another directory, or that workspace itself"
            )


def _upwards(path: str) -> list[os.stat_result]:
    """The status of a directory and of all above it; of those that are there."""
    found, here = [], os.path.realpath(path)
    while True:
        if os.path.isdir(here):
            found.append(os.stat(here))
        above = os.path.dirname(here)
        if above == here:
            return found
        here = above


def _said(error: OSError | ValueError) -> str:
    return error.strerror or str(error) if isinstance(error, OSError) else str(error)


def _not_made(place: Place, error: OSError) -> WorkspaceError:
    where = error.filename if isinstance(error.filename, str) else place.path
    said = translate(error, "make", where, place.path)
    return WorkspaceError(f"the workspace cannot be made: {said.path!r}: {_said(error)}")
