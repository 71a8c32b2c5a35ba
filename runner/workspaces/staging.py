"""Where what is to be put into a tree is made ready: whole, before anything in the tree changes.

Model. An act that changes a tree first makes all contents that it puts there, under numbers, in a
directory of its own on the tree's own mount; only then is it decided (journal.py), and from there
on renames are all it takes. So a full disk is met while nothing has changed, and an act that was
cut off finds what it needs where it was. A number that is gone has been put in its place.

The directory is `<place>/<a temporary name>`, beside the tree; where that is another mount (an
overlay's merged directory), it is one in the tree itself, whose name no scope shows. Where a tree
has mounts in it, contents are copied over to those.

What a killed process left before it had decided is removed by the next one (`sweep`).
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING, Protocol

import attrs

from runner.backends.files import is_left_behind, is_temporary, temporary_name, write_all
from runner.backends.threads import breathe
from runner.backends.trees import copy_entry, remove_tree
from runner.errors import StoreDamaged
from runner.workspaces.listing import Entry, EntryType

if TYPE_CHECKING:
    from runner.workspaces.objects import ObjectId

NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
ENTER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


class Contents(Protocol):
    """Where bytes come from: the store."""

    def content(self, id_: ObjectId, /) -> Iterator[bytes | int]:
        """The content of a file or link, in pieces; a number is that many zeros."""
        ...


@contextlib.contextmanager
def opened(path: str) -> Iterator[int]:
    """A directory, by its path, for a while."""
    fd = os.open(path, ENTER)
    try:
        yield fd
    finally:
        os.close(fd)


def place_beside(tree: str) -> str:
    """Where a live tree's acts are staged, if that is on its mount."""
    return os.path.join(os.path.dirname(tree.rstrip("/")), "staging")


@attrs.define(eq=False)
class Staging:
    """An act's directory. Made by `begin` or `again`.

    Attributes:
        name: of it, which is also a name for a copy in the tree that nobody else uses.
        inside: whether it is in the tree itself.
        fd: open; None if it is not there.
    """

    name: str
    inside: bool
    fd: int
    _parent: int

    @classmethod
    def begin(cls, tree: int, place: str) -> Staging:
        """Make one for an act on an open tree; `place` is made if it is missing."""
        os.makedirs(place, 0o700, exist_ok=True)
        parent = os.open(place, ENTER)
        inside = _mount(parent) != _mount(tree)
        if inside:
            os.close(parent)
            parent = os.dup(tree)
        name = temporary_name()
        try:
            os.mkdir(name, 0o700, dir_fd=parent)
            return cls(name, inside, _entered(parent, name), parent)
        except BaseException:
            os.close(parent)
            raise

    @classmethod
    def again(cls, tree: int, place: str, name: str, *, inside: bool) -> Staging | None:
        """That of an act that was cut off; None if it is not there any more."""
        try:
            parent = os.dup(tree) if inside else os.open(place, ENTER)
        except FileNotFoundError:
            return None
        try:
            return cls(name, inside, _entered(parent, name), parent)
        except FileNotFoundError:
            os.close(parent)
            return None

    def fill(self, store: Contents, contents: Sequence[Entry]) -> None:
        """Make contents ready, by their numbers; those of one group are one file."""
        first: dict[int, str] = {}
        for number, entry in enumerate(contents):
            breathe()
            name = str(number)
            if entry.group in first:
                os.link(
                    first[entry.group],
                    name,
                    src_dir_fd=self.fd,
                    dst_dir_fd=self.fd,
                    follow_symlinks=False,
                )
                continue
            make(store, entry, self.fd, name)
            if entry.group:
                first[entry.group] = name

    def sync(self) -> None:
        """Let what is ready outlast a power failure."""
        for name in os.listdir(self.fd):
            with contextlib.suppress(OSError):  # a link, a fifo
                fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=self.fd)
                try:
                    os.fsync(fd)
                finally:
                    os.close(fd)
        os.fsync(self.fd)

    def close(self) -> None:
        """Let go of it, and leave it."""
        os.close(self.fd)
        os.close(self._parent)

    def remove(self) -> None:
        """Take it away with what is left in it."""
        try:
            try:
                os.rmdir(self.name, dir_fd=self._parent)  # as a rule, all was put in its place
            except OSError as error:
                if error.errno not in {errno.ENOTEMPTY, errno.EEXIST}:
                    raise
                remove_tree(self._parent, self.name, may_breathe=False, missing_ok=True)
        finally:
            self.close()


def make(store: Contents, entry: Entry, directory: int, name: str) -> None:
    """Make an entry that is no directory, where nothing is; without its other names."""
    if entry.type is EntryType.LINK:
        target = b"".join(_bytes_of(store, entry))
        os.symlink(target, os.fsencode(name), dir_fd=directory)
    elif entry.type is EntryType.FIFO:
        os.mkfifo(name, 0o600, dir_fd=directory)
        os.chmod(name, entry.mode, dir_fd=directory)  # not what the umask leaves of it
    else:
        fd = os.open(name, NEW, 0o600, dir_fd=directory)
        try:
            _write(store, entry, fd)
            if entry.mode != 0o600:
                os.fchmod(fd, entry.mode)
        finally:
            os.close(fd)


def _write(store: Contents, entry: Entry, fd: int) -> None:
    written, hole = 0, False
    for piece in store.content(entry.id):
        breathe()
        hole = isinstance(piece, int)
        if isinstance(piece, int):
            written = os.lseek(fd, piece, os.SEEK_CUR)
        else:
            write_all(fd, piece)
            written += len(piece)
    if hole:
        os.ftruncate(fd, written)
    if written != entry.size:
        what = f"a content has {written} bytes, and should have {entry.size}"
        raise StoreDamaged(what, how="check() says what else is damaged")


def _bytes_of(store: Contents, entry: Entry) -> Iterator[bytes]:
    for piece in store.content(entry.id):
        assert not isinstance(piece, int), "a link's target has no holes"
        yield piece


def duplicate(source: int, old: str, target: int, new: str) -> None:
    """Copy an entry that is no directory, where nothing is."""
    status = os.stat(old, dir_fd=source, follow_symlinks=False)
    if not stat.S_ISFIFO(status.st_mode):
        copy_entry(source, old, target, new)
        return
    os.mkfifo(new, 0o600, dir_fd=target)
    os.chmod(new, stat.S_IMODE(status.st_mode), dir_fd=target)


def sweep(tree: int, place: str, kept: Collection[str]) -> None:
    """Remove what killed processes left that had not decided anything yet.

    Args:
        tree: the open tree.
        place: beside it; whoever calls this has the workspace's lock, so all in it is left.
        kept: the names of acts' own directories, which are to be finished.
    """
    for name in os.listdir(tree):
        if is_temporary(name) and name not in kept and is_left_behind(name):
            remove_tree(tree, name, may_breathe=False, missing_ok=True)
    with contextlib.suppress(FileNotFoundError), opened(place) as parent:
        for name in os.listdir(parent):
            if is_temporary(name) and name not in kept:
                remove_tree(parent, name, may_breathe=False, missing_ok=True)


def _entered(parent: int, name: str) -> int:
    return os.open(name, ENTER | os.O_NOFOLLOW, dir_fd=parent)


def _mount(fd: int) -> tuple[int, str]:
    """What two directories have in common if entries can be renamed between them."""
    mount = ""
    with contextlib.suppress(FileNotFoundError), open(f"/proc/self/fdinfo/{fd}") as file:
        mount = next((line for line in file if line.startswith("mnt_id:")), "")
    return os.fstat(fd).st_dev, mount
