"""Having a live tree at its place: mounted again after a reboot, by root or by a holder.

    attach(place, way, source) ──► Attached: tree (programs), root (file work), enter ──► detach

A copy is there, and nothing is done. An overlay that root has mounted is seen by all, and stays
unless it is detached: the next run takes it over. One in a holder's namespaces ends with the run,
and is seen in those only: file work reaches it by /proc/PID/root, and programs enter
(`attached.host(run_id)`); both call the tree by the same name, and it is as in any other workspace,
but that set-uid programs such as sudo get no rights there.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable

import attrs

from runner.errors import WorkspaceError
from runner.processes.holding import Holder
from runner.processes.host import ProcessHost
from runner.workspaces import overlay
from runner.workspaces.ways import Place, Way


@attrs.define(eq=False, kw_only=True)
class Attached:
    """A live tree that can be used.

    Attributes:
        tree: its absolute path, as programs see it.
        root: the path by which files in it are reached from outside.
        enter: what has a program enter it, put before the program's arguments; mostly nothing.
        outside: what `root` has before `tree`.
    """

    tree: str
    root: str = attrs.Factory(lambda self: self.tree, takes_self=True)
    enter: tuple[str, ...] = ()
    outside: str = ""
    _let_go: Callable[[bool], None] | None = None
    _lives: Callable[[], bool] | None = None

    def host(self, run_id: str) -> ProcessHost:
        """A host whose programs see the tree; whoever asked for it closes it.

        Args:
            run_id: of the host that it stands in for.
        """
        return ProcessHost(run_id=run_id, enter=self.enter, outside=self.outside)

    @property
    def alive(self) -> bool:
        """Whether it still can, or has to be attached anew.

        Its holder may have been killed, and what is mounted for all to see may be unmounted by all.
        """
        return self._lives is None or self._lives()

    @property
    def stays(self) -> bool:
        """Whether it is there, for everybody, also when we are gone."""
        return not self.enter

    def detach(self, *, in_use: bool = False) -> None:
        """Let go of it: it is unmounted. May be called again.

        Args:
            in_use: also from under those who use it, who lose what they write from then on.

        Raises:
            WorkspaceError: somebody uses it.
        """
        if self._let_go is not None:
            self._let_go(in_use)
            self._let_go = None


def attach(path: str, way: str, source: str | None, *, run_id: str = "attach") -> Attached:
    """Have the live tree of a workspace at its place; in a thread, a few milliseconds.

    Args:
        path: the workspace's own directory.
        way: how it was made.
        source: what of; needed for an overlay.
        run_id: whose a holder is, for a sweep.

    Raises:
        WorkspaceError: it cannot be, why, and what would help.
    """
    place = Place.at(path)
    if not os.path.isdir(place.tree) or os.path.islink(place.tree):
        raise WorkspaceError(f"there is no live tree at {place.tree!r}: it was removed or moved")
    if way != Way.OVERLAY:
        return Attached(tree=place.tree)
    if source is None or not os.path.isdir(source):
        raise WorkspaceError(
            f"the base {source!r} of an overlay is no directory any more: what was changed is in "
            f"{place.upper!r}"
        )
    base = os.path.realpath(source)
    try:
        try:
            overlay.mount(base, place)
        except OSError as error:
            if error.errno not in {errno.EPERM, errno.EACCES}:
                raise
            return _held(base, place, run_id)
    except OSError as error:
        raise WorkspaceError(
            f"the live tree {place.tree!r} cannot be mounted: {error.strerror}; what was changed "
            f"is in {place.upper!r}"
        ) from error
    device = os.stat(place.tree).st_dev  # no other's, as long as it is mounted
    return Attached(
        tree=place.tree,
        let_go=lambda in_use: overlay.unmount(place, in_use=in_use),
        lives=lambda: _is_at(place, device),
    )


def _is_at(place: Place, device: int) -> bool:
    try:
        return os.stat(place.tree).st_dev == device
    except OSError:
        return False


def _held(base: str, place: Place, run_id: str) -> Attached:
    options = overlay.options(base, place)
    holder = Holder(overlay.KIND, overlay.source(base, place), place.tree, options, run_id=run_id)
    return Attached(
        tree=place.tree,
        root=holder.outside(place.tree),
        enter=holder.enter,
        outside=holder.root,
        let_go=lambda _: holder.close(),
        lives=lambda: holder.alive,
    )


def detach(path: str, *, in_use: bool = False) -> None:
    """Have the live tree of a workspace away from its place, whoever has mounted it there.

    Args:
        path: the workspace's own directory.
        in_use: see `Attached.detach`.

    Raises:
        WorkspaceError: somebody uses it, or something else is mounted there.
    """
    overlay.unmount(Place.at(path), in_use=in_use)


def is_seen(tree: str, way: str) -> bool:
    """Whether the files of a live tree are at its path now, for every program.

    Args:
        tree: its path.
        way: how it was made.
    """
    if way != Way.OVERLAY:
        return os.path.isdir(tree)
    return overlay.is_mounted(Place.at(os.path.dirname(tree)))
