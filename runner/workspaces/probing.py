"""Which ways work between a base and the place of a workspace, found out by trying them.

Each is tried once for a pair of file systems (and for who we are): an overlay is mounted, a file of
the base changed in it and a directory renamed away; blocks of a file are shared. The trial stands
beside where workspaces are made and is removed; in the base nothing is changed.

What is true of one base only is looked at each time: whether files in it belong to somebody who has
no name in a user namespace (`owners`).
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
import tempfile
import threading
from collections.abc import Iterator

from runner.backends.threads import breathe
from runner.processes.holding import Holder
from runner.workspaces import mounts, overlay
from runner.workspaces.blocks import FICLONE
from runner.workspaces.locking import Lock
from runner.workspaces.removing import REMOVING, clear
from runner.workspaces.ways import Place, Probe, Way

LOOKED_AT = 200_000  # entries of a base, for their owners
SEARCHED = 200  # entries of a base, for a file whose blocks can be shared
MEND_OVERLAY = (
    "run as root, or allow user namespaces: sysctl user.max_user_namespaces=10000, "
    "kernel.unprivileged_userns_clone=1, kernel.apparmor_restrict_unprivileged_userns=0; "
    "in a container: --security-opt seccomp=unconfined"
)
MEND_REFLINK = "keep base and workspaces on one file system of btrfs, XFS or bcachefs"
BY_ROOT, IN_NAMESPACE = "mounted by root", "mounted in a user namespace of its own"
_known: dict[tuple[int, int, int], tuple[Probe, ...]] = {}
_turn = threading.Lock()


def probe(base: str, directory: str, *, run_id: str = "probe") -> tuple[Probe, ...]:
    """Find out which ways work; the first that does is the best.

    Args:
        base: a directory.
        directory: where workspaces are made; it is made if it is not there.
        run_id: whose a holder is that is needed for that.

    Raises:
        OSError: one of the two cannot be used at all.
    """
    os.makedirs(directory, mode=0o700, exist_ok=True)
    key = os.stat(base).st_dev, os.stat(directory).st_dev, os.geteuid()
    with _turn:
        if key not in _known:
            with _trial(directory) as place:
                _known[key] = (
                    _try_overlay(base, place, run_id),
                    _try_reflink(base, place),
                    Probe(way=Way.COPY, works=True, why="every file is copied"),
                )
        found = _known[key]
    if found[0].works and found[0].why == IN_NAMESPACE:
        strange = owners(base)
        if strange:
            mend = f"chown it to the user who runs this (uid {os.geteuid()}, gid {os.getegid()})"
            return (Probe(way=Way.OVERLAY, works=False, why=strange, mend=mend), *found[1:])
    return found


def chosen(probes: tuple[Probe, ...]) -> tuple[Probe, str]:
    """The best way that works, and why none that would be better."""
    lacking: list[str] = []
    for each in probes:
        if each.works:
            return each, "; ".join((*lacking, f"{each.way}: {each.why}"))
        lacking.append(str(each))
    raise AssertionError("a copy always works")  # pragma: no cover - see `probe`


@contextlib.contextmanager
def _trial(directory: str) -> Iterator[Place]:
    path = tempfile.mkdtemp(prefix=f"{REMOVING}probe-", dir=os.path.realpath(directory))
    lock = Lock.take(os.path.join(path, "lock"), "probe")  # it is not a dead one's
    try:
        yield Place(path=path)
    finally:
        clear(path, may_breathe=False)
        lock.release()


# ------------------------------------------------------------ overlay


def _try_overlay(base: str, place: Place, run_id: str) -> Probe:
    """As root in the namespace that all see; else in one of our own."""
    for path in (place.tree, place.upper, place.work):
        os.mkdir(path)
    try:
        base = os.path.realpath(base)
        try:
            options = overlay.options(base, place)
            mounts.mount(overlay.source(base, place), place.tree, overlay.KIND, options)
        except OSError as error:
            if error.errno not in {errno.EPERM, errno.EACCES}:
                raise
            return _try_in_namespace(base, place, run_id)
        try:
            _use(place.tree)
        finally:
            mounts.unmount(place.tree)
        return Probe(way=Way.OVERLAY, works=True, why=BY_ROOT)
    except OSError as error:
        why = f"it cannot be mounted here: {error.strerror or error}"
        return Probe(way=Way.OVERLAY, works=False, why=why, mend=_mend(error))


def _try_in_namespace(base: str, place: Place, run_id: str) -> Probe:
    options = overlay.options(base, place)
    try:
        name = overlay.source(base, place)
        holder = Holder(overlay.KIND, name, place.tree, options, run_id=run_id)
    except OSError as error:
        why = f"only root may mount, and a user namespace cannot do it: {error.strerror}"
        return Probe(way=Way.OVERLAY, works=False, why=why, mend=MEND_OVERLAY)
    try:
        _use(holder.outside(place.tree))
    finally:
        holder.close()
    return Probe(way=Way.OVERLAY, works=True, why=IN_NAMESPACE)


def _mend(error: OSError) -> str:
    if error.errno == errno.ENODEV:
        return "the kernel has no overlay: modprobe overlay"
    if error.errno == errno.EINVAL:
        return "keep workspaces on a file system of its own: ext4, XFS, btrfs, tmpfs"
    return ""


def _use(tree: str) -> None:
    """Do in a mounted tree what work in it does."""
    path = os.path.join(tree, f"{REMOVING}trial")
    os.mkdir(path)
    with open(os.path.join(path, "file"), "wb") as file:
        file.write(b"trial")
    os.rename(path, path + "2")
    os.unlink(os.path.join(path + "2", "file"))
    os.rmdir(path + "2")


def owners(base: str) -> str:
    """Why no file of a base may be changed in a user namespace; empty if each may.

    The kernel copies a file up with its owner and group, and says EOVERFLOW where those have no
    name in the namespace: ours has one user and one group.
    """
    ours = os.geteuid(), os.getegid()
    waiting, seen = [base], 0
    while waiting and seen < LOOKED_AT:
        breathe()
        directory = waiting.pop()
        with contextlib.suppress(PermissionError, FileNotFoundError, NotADirectoryError):
            for name, status in _entries(directory):
                seen += 1
                path = os.path.join(directory, name)
                if (status.st_uid, status.st_gid) != ours:
                    who = f"uid {status.st_uid}, gid {status.st_gid}"
                    return f"{path!r} belongs to {who}, which no user namespace of ours has"
                if name and stat.S_ISDIR(status.st_mode):
                    waiting.append(path)
    return ""


def _entries(directory: str) -> Iterator[tuple[str, os.stat_result]]:
    yield "", os.lstat(directory)
    with os.scandir(directory) as entries:
        for entry in entries:
            with contextlib.suppress(FileNotFoundError):
                yield entry.name, entry.stat(follow_symlinks=False)


# ------------------------------------------------------------ reflink


def _try_reflink(base: str, place: Place) -> Probe:
    target = os.path.join(place.path, "clone")
    found = _file_in(base)
    if found is None and os.stat(base).st_dev != os.stat(place.path).st_dev:
        why = "base and workspaces are on two file systems"
        return Probe(way=Way.REFLINK, works=False, why=why, mend=MEND_REFLINK)
    try:
        reading = _own_file(place) if found is None else found
        try:
            writing = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            try:
                fcntl.ioctl(writing, FICLONE, reading)
            finally:
                os.close(writing)
        finally:
            os.close(reading)
    except OSError as error:
        why = f"files cannot share their blocks here: {error.strerror}"
        return Probe(way=Way.REFLINK, works=False, why=why, mend=MEND_REFLINK)
    return Probe(way=Way.REFLINK, works=True, why="files share their blocks until one is written")


def _own_file(place: Place) -> int:
    fd = os.open(os.path.join(place.path, "own"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    os.write(fd, b"x" * 4096)
    return fd


def _file_in(base: str) -> int | None:
    """A file of the base with something in it, open; None if none is near."""
    waiting, seen = [base], 0
    while waiting and seen < SEARCHED:
        with contextlib.suppress(OSError), os.scandir(waiting.pop(0)) as entries:
            for entry in entries:
                seen += 1
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)
                elif entry.is_file(follow_symlinks=False) and entry.stat().st_size:
                    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC
                    with contextlib.suppress(OSError):
                        return os.open(entry.path, flags)
    return None
