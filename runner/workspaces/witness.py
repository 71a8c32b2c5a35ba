"""What stands at a path of a live tree, for the audit: its type, size, mode and digest.

Model. By descriptors, beneath the tree: a path means here what it means to the operations, and what
is seen is told by where it really lies, links in front of it followed. What cannot be looked at is
not there, as far as the audit is concerned: whatever is done with it fails as well, and says why.

Digests are those of the store: "sha256:…" of a content, "chunks:…" of a file of more than `CHUNK`
bytes. Those of large files are kept in mind as long as the files stay as they are (size, inode,
mtime, ctime; only a write by somebody else in the same tick of an old kernel's clock is missed).

A directory of more than `MOST` entries is seen as a whole: how many, their bytes, and "listing:…",
the digest of all names, types, modes and sizes in it. The contents are not read then.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections import OrderedDict
from collections.abc import Iterable
from contextlib import suppress
from itertools import islice

import attrs

from runner.backends import files
from runner.backends.beneath import DIRECTORY, READING, Beneath, Names
from runner.backends.descent import Descent
from runner.backends.local.woods import LocalWoods
from runner.backends.roots import Root
from runner.backends.threads import breathe
from runner.backends.walking import Way, walk
from runner.errors import OperationError
from runner.workspaces.digests import chunk_ids, sha256
from runner.workspaces.objects import CHUNK, ObjectId, chunks

MOST = 1000
MOST_KEPT = 256  # digests of large files
EVERYTHING = Way(hidden=True)
_TYPES = {stat.S_IFREG: "file", stat.S_IFDIR: "directory", stat.S_IFLNK: "link"}


@attrs.frozen
class Spot:
    """A path that an operation is about.

    Attributes:
        path: as it was written.
        entry: the entry itself is meant, also if it is a link.
        deep: with all that is beneath.
    """

    path: str
    entry: bool = False
    deep: bool = False


@attrs.frozen
class Seen:
    """What stands somewhere.

    Attributes:
        type: "file", "directory", "link" or "other".
        size: bytes of a file, or of what a link says; of a whole directory, of all files in it.
        digest: of that; empty for others, and for files that were too large to be read at once.
        mode: its permissions.
        entries: of a directory that is seen as a whole: how many are in it.
    """

    type: str
    size: int | None = None
    digest: str = ""
    mode: int = 0
    entries: int = 0


class TooLarge(Exception):
    """It cannot be seen in the time that there is."""


class Witness:
    """Looks at a live tree; for any thread.

    Args:
        tree: the directory, absolute.
    """

    def __init__(self, tree: str) -> None:
        """Nothing is opened before the first look."""
        self._root = Root(tree, create=False, beneath=None, opener="auto")
        self._known: OrderedDict[tuple[int, ...], tuple[ObjectId | None, ...]] = OrderedDict()

    def look(self, spots: Iterable[Spot], *, most: int | None = None) -> dict[str, Seen | None]:
        """What stands at some paths, by where they really lie; None = nothing.

        Args:
            spots: the paths.
            most: bytes of a file that are read at most.

        Raises:
            TooLarge: there is more to read than that.
        """
        found: dict[str, Seen | None] = {}
        for each in spots:
            try:
                self._look(each, most, found)
            except OSError:
                found.setdefault(self._written(each.path), None)
            except OperationError:  # no path that there could be
                found.setdefault(each.path, None)
        return found

    def close(self) -> None:
        """Let go of the tree; the next look opens it again."""
        self._root.close()

    # ------------------------------------------------------------ one path

    def _look(self, spot: Spot, most: int | None, found: dict[str, Seen | None]) -> None:
        route = self._root.route("audit", spot.path)
        beneath = self._root.open(make=False)
        names = route.names
        if not names:
            found["."] = Seen("directory")
            return
        if ".." not in names and self._look_straight(beneath, names, most, found):
            return
        if spot.entry:
            directory, name = beneath.parent(names)
        else:
            directory, name, _ = beneath.final(names)
        try:
            path = self._real(directory, names, name)
            found[path] = seen = self._seen(directory, name, most)
            if spot.deep and seen is not None and seen.type == "directory":
                if most is not None:
                    raise TooLarge
                self._look_beneath(directory, name, path, found)
        finally:
            os.close(directory)

    def _look_straight(
        self, beneath: Beneath, names: Names, most: int | None, found: dict[str, Seen | None]
    ) -> bool:
        """Look where no link is on the way, as a rule; whether that was so, and is all there is."""
        name = names[-1]
        if len(names) == 1:
            seen = self._seen(beneath.fd, name, most)
        else:
            try:
                directory = beneath.open_names(names[:-1], DIRECTORY, follow=False)
            except OSError:
                return False
            try:
                seen = self._seen(directory, name, most)
            finally:
                os.close(directory)
        if seen is not None and seen.type != "file":
            return False
        found["/".join(names)] = seen
        return True

    def _written(self, path: str) -> str:
        with suppress(OperationError):
            return "/".join(self._root.route("audit", path).names) or "."
        return path

    def _real(self, directory: int, names: Names, name: str) -> str:
        """Where an entry of an open directory lies, from the tree's top."""
        if len(names) == 1 and names[0] == name:
            return name
        top = self._root.real.rstrip("/") + "/"
        real = os.readlink(f"/proc/self/fd/{directory}") + "/"
        if not real.startswith(top):  # the tree was moved meanwhile
            return "/".join(names)
        return real[len(top) :] + name

    def _seen(self, directory: int, name: str, most: int | None) -> Seen | None:
        try:
            status = os.stat(name, dir_fd=directory, follow_symlinks=False)
        except FileNotFoundError:
            return None
        kind, mode = _TYPES.get(stat.S_IFMT(status.st_mode), "other"), status.st_mode & 0o7777
        if kind == "link":
            text = os.fsencode(os.readlink(name, dir_fd=directory))
            return Seen("link", len(text), sha256(text))
        if kind != "file":
            return Seen(kind, mode=mode)
        return self.file(directory, name, status, most)

    def file(
        self, directory: int, name: str, status: os.stat_result, most: int | None = None
    ) -> Seen:
        """A file in an open directory, whose status is known.

        Raises:
            TooLarge: it has more bytes than `most`.
        """
        mode = status.st_mode & 0o7777
        if most is not None and status.st_size > most:
            raise TooLarge
        try:
            fd = os.open(name, READING | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
        except OSError:  # not for us to read
            return Seen("file", status.st_size, "", mode)
        try:
            size, digest = self._digest(fd)
        finally:
            os.close(fd)
        return Seen("file", size, digest, mode)

    # ------------------------------------------------------------ contents

    def _digest(self, fd: int) -> tuple[int, str]:
        """The size and the digest of an open file."""
        status = os.fstat(fd)
        if status.st_size <= CHUNK:
            content = files.read_window(fd, 0, status.st_size)
            return len(content), sha256(content)
        key = (
            status.st_dev,
            status.st_ino,
            status.st_size,
            status.st_mtime_ns,
            status.st_ctime_ns,
        )
        ids = self._known.get(key)
        if ids is None:
            ids = tuple(chunk_ids(fd, status.st_size))
            self._known[key] = ids
            with suppress(KeyError):  # another thread was quicker
                while len(self._known) > MOST_KEPT:
                    self._known.popitem(last=False)
        return status.st_size, f"chunks:{chunks(status.st_size, ids).id.hex()}"

    # ------------------------------------------------------------ trees

    def _look_beneath(
        self, directory: int, name: str, path: str, found: dict[str, Seen | None]
    ) -> None:
        """All that is in a directory, or, if that is too much, the directory as a whole."""
        flags = DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
        top = os.open(name, flags, dir_fd=directory)
        descent = Descent(top)
        try:
            with LocalWoods(top) as woods:
                every = [each for each, _ in islice(walk(woods, EVERYTHING), MOST + 1)]
            if len(every) > MOST:
                found[path] = _as_a_whole(top)
                return
            for each in every:
                breathe()
                *above, last = each.split("/")
                with suppress(OSError):  # it has vanished
                    found[f"{path}/{each}"] = self._seen(descent.go(tuple(above)), last, None)
        finally:
            descent.close()
            os.close(top)


def _as_a_whole(top: int) -> Seen:
    """A directory that has much in it."""
    count = size = 0
    digest = hashlib.sha256()
    descent = Descent(top)
    try:
        with LocalWoods(top) as woods:
            for path, _ in walk(woods, EVERYTHING):
                *above, last = path.split("/")
                with suppress(OSError):
                    directory = descent.go(tuple(above))
                    status = os.stat(last, dir_fd=directory, follow_symlinks=False)
                    length = 0 if stat.S_ISDIR(status.st_mode) else status.st_size
                    line = f"{status.st_mode:o} {length} ".encode() + os.fsencode(path) + b"\0"
                    digest.update(line)
                    count, size = count + 1, size + length
    finally:
        descent.close()
    return Seen("directory", size, f"listing:{digest.hexdigest()}", entries=count)
