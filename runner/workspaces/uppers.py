"""A live tree that is an overlay: only its upper directory is looked at.

What the kernel writes there, besides the files that differ:

    whiteout   a character device 0:0, or an empty file with `overlay.whiteout`: nothing is there
    opaque     a directory with `overlay.opaque`: nothing shines through it

in extended attributes of `trusted.`, or of `user.` where it was mounted by a user. So the tree is
what its base was (the root that it was made from) with that laid over it. What the upper directory
does not say by itself (a redirect, metadata without their data: options that we do not mount with)
makes us walk through the merged tree instead.

A base that is changed under its overlay shines through in the files that were not written to; that
is not seen here, but with `verify=True`, which reads the merged tree.

Source: Documentation/filesystems/overlayfs.rst of Linux.
"""

from __future__ import annotations

import os
import stat as modes
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress

import attrs

from runner.watching.columns import State
from runner.watching.files import Folder, Tree, parent
from runner.watching.patterns import Rules
from runner.workspaces.capturing import Capture, Captured, go_on
from runner.workspaces.listing import Entry, EntryType
from runner.workspaces.objects import ObjectId
from runner.workspaces.store import Store

_SPACES = ("trusted.overlay.", "user.overlay.")
_WHITEOUT, _OPAQUE = "whiteout", "opaque"
# What is in the upper directory is not all there is to it.
_PARTIAL = frozenset({"redirect", "metacopy"})


class Partial(Exception):
    """The upper directory does not say by itself what differs."""


@attrs.define(eq=False)
class _Base:
    """What is below: the base as a root."""

    upper: str
    store: Store
    root: ObjectId
    _found: dict[str, dict[bytes, Entry]] = attrs.field(factory=dict)
    _opaque: dict[str, bool] = attrs.field(factory=dict)

    def begin(self) -> None:
        """Look at each directory again: it may have become opaque."""
        self._opaque.clear()

    def entries(self, prefix: str) -> dict[bytes, Entry]:
        """The entries that shine through, in a directory of the upper one."""
        return {} if self._is_hidden(prefix) else dict(self._entries(prefix))

    def entry(self, path: str) -> Entry | None:
        """What the base has at a path, whatever is laid over it."""
        above = parent(path)
        return self._entries(above).get(os.fsencode(path[len(above) :]))

    def hides(self, directory: int, name: str, state: State) -> bool:
        """Whether a name is a whiteout."""
        if modes.S_ISCHR(state[4]):
            return os.stat(name, dir_fd=directory, follow_symlinks=False).st_rdev == 0
        if not modes.S_ISREG(state[4]):
            return False
        marks = _marks(f"/proc/self/fd/{directory}/{name}")
        return state[1] == 0 and _WHITEOUT in marks

    def has_changed(self, before: Folder, after: Folder) -> bool:
        """Whether it may have become opaque, or no longer be: it was made anew, or marked."""
        return (before.identity, before.changed) != (after.identity, after.changed)

    def _is_hidden(self, prefix: str) -> bool:
        """Whether a directory is opaque, or in one that is."""
        while prefix:
            if prefix not in self._opaque:
                marks = _marks(f"{self.upper}/{prefix}")
                self._opaque[prefix] = marks.get(_OPAQUE) == b"y"
            if self._opaque[prefix]:
                return True
            prefix = parent(prefix)
        return False

    def _entries(self, prefix: str) -> dict[bytes, Entry]:
        """Those of the base: none if it has no such directory."""
        found = self._found.get(prefix)
        if found is None:
            listing: ObjectId | None = self.root
            if prefix:
                above = self._entries(parent(prefix))
                entry = above.get(os.fsencode(prefix[len(parent(prefix)) : -1]))
                is_there = entry is not None and entry.type is EntryType.DIRECTORY
                listing = entry.id if entry is not None and is_there else None
            entries = () if listing is None else self.store.listing(listing)
            found = self._found[prefix] = {each.name: each for each in entries}
        return found


def _marks(path: str) -> dict[str, bytes]:
    """What the kernel has noted of a file, without what it begins with.

    Raises:
        Partial: it is not all there is to the file.
    """
    found = {}
    with suppress(OSError):  # it has gone, as the next look will say
        for name in os.listxattr(path, follow_symlinks=False):
            for space in _SPACES:
                if name.startswith(space):
                    value = os.getxattr(path, name, follow_symlinks=False)
                    found[name.removeprefix(space)] = value
    if not _PARTIAL.isdisjoint(found):
        raise Partial
    return found


def opaque(upper: str, prefixes: Iterable[str]) -> frozenset[str]:
    """The directories of an upper one through which nothing shines."""
    with suppress(Partial):
        return frozenset(
            each for each in prefixes if each and _marks(f"{upper}/{each}").get(_OPAQUE) == b"y"
        )
    return frozenset(prefixes)


class Upper:
    """The `Capture` of a live tree that is an overlay: the same methods."""

    def __init__(
        self,
        upper: str,
        tree: str,
        store: Store,
        workspace: str,
        *,
        base: ObjectId,
        ignore: Rules | Sequence[str] = (),
    ) -> None:
        """Nothing is looked at yet.

        Args:
            upper: the overlay's upper directory, absolute.
            tree: the merged tree, which is looked at in doubt.
            store: where its objects go.
            workspace: under which what is known of the upper directory is saved.
            base: the root of what is below.
            ignore: what is left out.
        """
        self._base = _Base(upper, store, base)
        self._upper = Capture(upper, store, workspace, ignore=ignore, below=self._base)
        self._merged = Capture(tree, store, None, ignore=ignore, watch=False)

    def take(
        self,
        *,
        verify: bool = False,
        reread: bool = False,
        check: Callable[[], object] = go_on,
    ) -> Captured:
        """The tree as it is now; see `Capture.take`.

        Args:
            verify: trust no hints, among them what the upper directory says: look at all files.
            reread: read them all besides.
            check: see there.
        """
        if not (verify or reread):
            self._base.begin()
            with suppress(Partial):
                return self._upper.take(check=check)
        return self._merged.take(reread=reread, check=check)

    def glance(self) -> Tree | None:
        """Nothing: an upper directory is not watched."""
        return None

    def watch(self, most: int) -> bool:
        """Never: an upper directory is not watched."""
        return False

    def known(self, states: Mapping[str, State | None]) -> dict[str, Entry]:
        """What was captured of files in the upper directory, or is what the base has."""
        found = self._upper.known(states)
        for path, state in states.items():
            if state is None:
                entry = self._base.entry(path)
                if entry is not None:
                    found[path] = entry
        return found

    def note(self, paths: Iterable[str]) -> None:
        """These files are written to: read them again, whatever they look like."""
        noted = tuple(paths)
        self._upper.note(noted)
        self._merged.note(noted)

    def close(self) -> None:
        """Save what is known. It may be used again."""
        self._upper.close()
        self._merged.close()
