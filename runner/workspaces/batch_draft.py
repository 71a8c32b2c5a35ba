"""What a batch has decided so far: contents that are ready, and what is to be where.

Model. Every function takes names, links already followed, and either decides or raises the OSError
that the kernel would have raised, had those before it been carried out. The tree is not touched;
`view.steps()` says what it takes.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterable

import attrs

from runner.backends.beneath import Beneath, Names, fail, parse
from runner.backends.files import keep_ownership, require_replaceable, write_all
from runner.backends.straight import resolved
from runner.workspaces.batch_view import Decided, Gone, New, Ready, Seen, View
from runner.workspaces.planning import Step
from runner.workspaces.staging import ENTER, NEW, Staging, duplicate

_NO_OTHER_NAME = {errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP, errno.ENOSYS}


class Draft:
    """A batch that is being made of a directory in an open tree.

    Attributes:
        tree: open.
        staging: where contents are ready.
        view: the directory as it will be.
    """

    def __init__(
        self, path: str, place: str, inside: str = ".", *, follows_links: bool = True
    ) -> None:
        """Open the tree, the directory in it, which is made if it is missing, and a staging.

        Raises:
            OSError: it cannot be; EXDEV: the directory lies outside of the tree.
        """
        with contextlib.ExitStack() as stack:
            self.tree = os.open(path, ENTER)
            stack.callback(os.close, self.tree)
            self._above, directory = _entered(self.tree, inside)
            stack.callback(os.close, directory)
            self.staging = Staging.begin(self.tree, place)
            self.view = View(directory, self.staging.fd, follows_links=follows_links)
            stack.callback(self.view.close)
            self._stack = stack.pop_all()
        self._number = 0

    def close(self) -> None:
        """Let go of the tree; the staging is its own."""
        self._stack.close()

    def steps(self) -> list[Step]:
        """What makes the tree the one that was decided."""
        return [attrs.evolve(each, names=(*self._above, *each.names)) for each in self.view.steps()]

    def read(self, names: Names) -> bytes:
        """The content that a file will have."""
        seen = self._file(names)
        if seen is None:
            raise fail(errno.ENOENT)
        fd = os.open(seen.name, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=seen.directory)
        with open(fd, "rb") as file:
            return file.read()

    def write(self, names: Names, content: Iterable[bytes], mode: int | None) -> None:
        """Replace a file, or make it."""
        old = self._file(names)
        self._make_above(names)
        number = self._next()
        fd = os.open(str(number), NEW, 0o666, dir_fd=self.staging.fd)
        try:
            for piece in content:
                write_all(fd, piece)
            if old is not None:
                keep_ownership(fd, old.status)
                os.fchmod(fd, old.mode)
            if mode is not None:
                os.fchmod(fd, mode)
        finally:
            os.close(fd)
        self.view.decide(names, Ready(number, ours=True))

    def append(self, names: Names, content: bytes) -> None:
        """Add to the end of a file, or make it."""
        if self._file(names) is None:
            self.write(names, [content], None)
            return
        self._enter(names[:-1])
        old, ready = self._there(names), self.staging.fd
        if isinstance(old.ready, Ready) and old.ready.ours:
            number = old.ready.number
        else:
            number = self._next()
            duplicate(old.directory, old.name, ready, str(number))
        os.chmod(str(number), 0o600, dir_fd=ready)
        fd = os.open(str(number), os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW, dir_fd=ready)
        try:
            write_all(fd, content)
            os.fchmod(fd, old.mode)
        finally:
            os.close(fd)
        self.view.decide(names, Ready(number, ours=True))

    def mkdir(self, names: Names, *, exist_ok: bool) -> None:
        """Make a directory, with its parents."""
        seen = self.view.see(names)
        if seen is None:
            self._make_above((*names, "."))
        elif not exist_ok or not seen.is_directory:
            raise fail(errno.EEXIST)

    def chmod(self, names: Names, mode: int) -> None:
        """Give something its permission bits."""
        seen = self._there(names)
        if seen.ready is None and os.geteuid() not in {0, seen.status.st_uid}:
            raise fail(errno.EPERM)
        if not names:
            raise fail(errno.EBUSY)
        self.view.set_mode(names, mode)

    def remove(self, names: Names, *, recursive: bool, missing_ok: bool) -> None:
        """Remove a file, a link or a directory."""
        if not names:
            raise fail(errno.EBUSY)
        seen = self.view.see(names)
        if seen is None:
            if missing_ok:
                return
            raise fail(errno.ENOENT)
        if seen.is_directory and not recursive and self.view.names_in(names):
            raise fail(errno.ENOTEMPTY)
        self._remove(names)

    def copy(self, old: Names, new: Names, *, overwrite: bool) -> None:
        """Copy a file, a link or a tree."""
        self._require_ends(old, new, overwrite=overwrite)
        if old == new:
            raise fail(errno.EINVAL if overwrite else errno.EEXIST)
        self._make_above(new)
        for names in self.view.below(old):
            self.view.decide((*new, *names[len(old) :]), self._copied(self._there(names)))

    def move(self, old: Names, new: Names, *, overwrite: bool) -> None:
        """Move a file, a link or a tree."""
        self._require_ends(old, new, overwrite=overwrite)
        if old == new:
            return
        self._make_above(new)
        self._enter(old[:-1])
        for names in self.view.below(old):
            there, seen = (*new, *names[len(old) :]), self._there(names)
            self.view.decide(there, self._moved(seen))
            if not seen.is_directory and seen.mode != stat.S_IMODE(seen.status.st_mode):
                self.view.set_mode(there, seen.mode)
        self._remove(old)

    # ------------------------------------------------------------ inside

    def _next(self) -> int:
        self._number += 1
        return self._number

    def _there(self, names: Names) -> Seen:
        seen = self.view.see(names)
        if seen is None:
            raise fail(errno.ENOENT)
        return seen

    def _file(self, names: Names) -> Seen | None:
        """The file at names, which may be read and replaced; None if nothing is there."""
        seen = self.view.see(names)
        if seen is None:
            return None
        if seen.is_directory:
            raise fail(errno.EISDIR)
        if seen.ready is None:
            require_replaceable(seen.directory, seen.name, seen.status)
        elif not stat.S_ISREG(seen.status.st_mode):
            raise fail(errno.ENXIO)
        return seen

    def _make_above(self, names: Names) -> None:
        """Make what directories are missing on the way to the last name."""
        for depth in range(1, len(names)):
            seen = self.view.see(names[:depth])
            if seen is None:
                self._enter(names[: depth - 1])
                self.view.decide(names[:depth], New(0o777 & ~_umask()))
            elif not seen.is_directory:
                raise fail(errno.ENOTDIR)
        if names[-1] != ".":
            self._enter(names[:-1])

    def _enter(self, names: Names) -> None:
        """Raise EACCES if we may not change what is in a directory."""
        seen = self._there(names)
        if seen.ready is None and not os.access(
            seen.name, os.W_OK | os.X_OK, dir_fd=seen.directory, effective_ids=True
        ):
            raise fail(errno.EACCES)

    def _remove(self, names: Names) -> None:
        self._enter(names[:-1])
        below = self.view.below(names)
        for each in below:
            if self._there(each).is_directory and self.view.names_in(each):
                self._enter(each)
        for each in below:
            self.view.decide(each, Gone())

    def _require_ends(self, old: Names, new: Names, *, overwrite: bool) -> None:
        """Raise what rename(2) would say, before the work is done."""
        seen = self._there(old)
        if not old or not new:
            raise fail(errno.EBUSY)
        if old == new:
            return
        if seen.is_directory and new[: len(old)] == old:
            raise fail(errno.EINVAL)
        there = self.view.see(new)
        if there is None:
            return
        if not overwrite:
            raise fail(errno.EEXIST)
        if there.is_directory and not seen.is_directory:
            raise fail(errno.EISDIR)
        if seen.is_directory and not there.is_directory:
            raise fail(errno.ENOTDIR)
        if there.is_directory and self.view.names_in(new):
            raise fail(errno.ENOTEMPTY)

    def _copied(self, seen: Seen) -> Decided:
        if seen.is_directory:
            return New(seen.mode)
        number = self._next()
        duplicate(seen.directory, seen.name, self.staging.fd, str(number))
        if not seen.is_link:
            os.chmod(str(number), seen.mode, dir_fd=self.staging.fd)
        return Ready(number, ours=True)

    def _moved(self, seen: Seen) -> Decided:
        if seen.is_directory:
            return New(seen.mode)
        if isinstance(seen.ready, Ready):
            return seen.ready
        number = self._next()
        ready = self.staging.fd
        try:
            os.link(
                seen.name,
                str(number),
                src_dir_fd=seen.directory,
                dst_dir_fd=ready,
                follow_symlinks=False,
            )
        except OSError as error:
            if error.errno not in _NO_OTHER_NAME:
                raise
            duplicate(seen.directory, seen.name, ready, str(number))
            return Ready(number, ours=True)
        return Ready(number, ours=False)


def _entered(tree: int, inside: str) -> tuple[Names, int]:
    """The names of a directory in a tree, without links, and it, open."""
    beneath, route = Beneath(os.dup(tree)), parse(inside)
    os.close(beneath.make(route.names))
    names = resolved(beneath, route, entry=False, root="", real_root="").names
    return names, beneath.open_names(names, ENTER, follow=False)


def _umask() -> int:
    """What new files do not get; the kernel tells it only to who changes it, or in /proc."""
    with open("/proc/self/status") as file:
        return next((int(line[6:], 8) for line in file if line.startswith("Umask:")), 0o022)
