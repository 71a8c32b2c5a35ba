"""A batch: many changes of a live tree, all of them or none.

Model. Each operation is checked at once against the tree as it will be (batch_view.py), and its
content is made ready beside the tree; nothing in the tree changes. `commit` writes one row of the
journal, which is the moment from which all of it is true; then files are renamed into their places.
A batch that ends otherwise (an exception, a crash) never was; one that is cut off after that moment
is finished by `roll_forward` (journal.py).

What is moved is another name of the same file until then, not a copy, as far as the file system
can do that. So a directory costs a name for each file in it.

A program at work in the tree may see some of the files renamed and others not yet, for a moment:
that all is changed at once holds for whoever asks the workspace, and after a crash.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import time
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import TYPE_CHECKING, Self

from runner.backends.beneath import Names, UnusablePath, fail, parse, relative
from runner.backends.failures import Answers
from runner.backends.files import keep_ownership, require_replaceable, write_all
from runner.errors import InvalidArgument, InvalidPath, PathEscapes
from runner.workspaces import step_rows
from runner.workspaces.batch_view import Decided, Gone, New, Ready, Seen, View
from runner.workspaces.journal import Done, decide, details_of, nothing
from runner.workspaces.records import Act
from runner.workspaces.staging import NEW, Staging, duplicate, place_beside

if TYPE_CHECKING:
    from runner.workspaces.store import Store

_ENTER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_NO_OTHER_NAME = {errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP, errno.ENOSYS}


class Batch:
    """Changes that are made together; a context manager. The caller has the workspace's lock.

    Leaving the block commits, leaving it by an exception discards. Operations are those of a scope,
    with its errors; each is refused at once if it could not be carried out.
    """

    def __init__(
        self,
        store: Store,
        workspace: str,
        tree: str,
        *,
        place: str | None = None,
        durable: bool = False,
        also: Callable[[], None] = nothing,
    ) -> None:
        """Nothing is touched before the block begins.

        Args:
            store: has the journal.
            workspace: its id.
            tree: its live tree, an absolute path.
            place: where to make contents ready; None = in `staging`, beside the tree.
            durable: whether all of it is to outlast a power failure.
            also: writes to the store what is to be true if and only if the batch is.
        """
        self._store, self._workspace, self._path = store, workspace, tree
        self._place = place_beside(tree) if place is None else place
        self._durable, self._also = durable, also
        self._number = 0
        self._open: tuple[int, Staging, View] | None = None

    def __enter__(self) -> Self:
        """Begin."""
        with self._answers("batch", "."):
            tree = os.open(self._path, _ENTER)
            try:
                staging = Staging.begin(tree, self._place)
            except BaseException:
                os.close(tree)
                raise
            self._open = (tree, staging, View(tree, staging.fd))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Commit it, or discard it."""
        if kind is None and self._open is not None:
            self.commit()
        else:
            self.discard()

    # ------------------------------------------------------------ looking

    def exists(self, path: str) -> bool:
        """Whether something will be there."""
        with self._answers("exists", path), contextlib.suppress(FileNotFoundError):
            return self._view.see(self._names("exists", path)) is not None
        return False

    def read(self, path: str) -> bytes:
        """The content that a file will have."""
        with self._answers("read", path):
            seen = self._file(self._names("read", path))
            if seen is None:
                raise fail(errno.ENOENT)
            fd = os.open(seen.name, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=seen.directory)
            with open(fd, "rb") as file:
                return file.read()

    # ------------------------------------------------------------ changing

    def write(
        self, path: str, content: bytes | Iterable[bytes], *, mode: int | None = None
    ) -> None:
        """Replace a file, or make it; with its parents, if they are missing."""
        with self._answers("write", path):
            names = self._names("write", path)
            old = self._file(names)
            self._make_above(names)
            number = self._next()
            fd = os.open(str(number), NEW, 0o666, dir_fd=self._staging.fd)
            try:
                for piece in [content] if isinstance(content, bytes) else content:
                    write_all(fd, piece)
                if old is not None:
                    keep_ownership(fd, old.status)
                    os.fchmod(fd, old.mode)
                if mode is not None:
                    os.fchmod(fd, mode)
            finally:
                os.close(fd)
            self._view.decide(names, Ready(number, ours=True))

    def append(self, path: str, content: bytes) -> None:
        """Add to the end of a file, or make it."""
        with self._answers("append", path):
            names = self._names("append", path)
            if self._file(names) is None:
                self.write(path, content)
                return
            self._enter(names[:-1])
            old = self._there(names)
            if isinstance(old.ready, Ready) and old.ready.ours:
                number = old.ready.number
            else:
                number = self._next()
                duplicate(old.directory, old.name, self._staging.fd, str(number))
            flags = os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
            os.chmod(str(number), 0o600, dir_fd=self._staging.fd)
            fd = os.open(str(number), flags, dir_fd=self._staging.fd)
            try:
                write_all(fd, content)
                os.fchmod(fd, old.mode)
            finally:
                os.close(fd)
            self._view.decide(names, Ready(number, ours=True))

    def mkdir(self, path: str, *, exist_ok: bool = True) -> None:
        """Make a directory, with its parents."""
        with self._answers("mkdir", path):
            names = self._names("mkdir", path)
            seen = self._view.see(names)
            if seen is not None:
                if not exist_ok or not seen.is_directory:
                    raise fail(errno.EEXIST)
                return
            self._make_above((*names, "."))

    def chmod(self, path: str, mode: int) -> None:
        """Give a file or a directory its permission bits."""
        with self._answers("chmod", path):
            if not 0 <= mode <= 0o7777:
                raise InvalidArgument("chmod", path, f"{mode!r} is no mode", hint="as 0o644")
            names = self._names("chmod", path)
            seen = self._there(names)
            if seen.ready is None and os.geteuid() not in {0, seen.status.st_uid}:
                raise fail(errno.EPERM)
            if not names:
                raise fail(errno.EBUSY)
            self._view.set_mode(names, mode)

    def remove(self, path: str, *, recursive: bool = False, missing_ok: bool = False) -> None:
        """Remove a file, a link or a directory."""
        with self._answers("remove", path):
            names = self._names("remove", path, entry=True)
            if not names:
                raise fail(errno.EBUSY)
            seen = self._view.see(names)
            if seen is None:
                if missing_ok:
                    return
                raise fail(errno.ENOENT)
            if seen.is_directory and not recursive and self._view.names_in(names):
                raise fail(errno.ENOTEMPTY)
            self._remove(names)

    def copy(self, source: str, target: str, *, overwrite: bool = False) -> None:
        """Copy a file, a link or a tree."""
        with self._answers("copy", source):
            old, new = self._ends("copy", source, target, overwrite=overwrite)
            for names in self._view.below(old):
                self._view.decide((*new, *names[len(old) :]), self._copied(self._there(names)))

    def move(self, source: str, target: str, *, overwrite: bool = False) -> None:
        """Move a file, a link or a tree."""
        with self._answers("move", source):
            old, new = self._ends("move", source, target, overwrite=overwrite)
            if old == new:
                return
            self._enter(old[:-1])
            for names in self._view.below(old):
                there, seen = (*new, *names[len(old) :]), self._there(names)
                self._view.decide(there, self._moved(seen))
                if not seen.is_directory and seen.mode != stat.S_IMODE(seen.status.st_mode):
                    self._view.set_mode(there, seen.mode)
            self._remove(old)

    # ------------------------------------------------------------ the end

    def commit(self) -> Done:
        """Make all of it true, now."""
        tree, staging, view = self._opened()
        with self._answers("batch", "."):
            try:
                steps = view.steps()
                if self._durable:
                    staging.sync()
            except BaseException:
                self.discard()
                raise
            view.close()
            self._open = None
            try:
                act = Act(
                    workspace=self._workspace,
                    kind="batch",
                    tree=self._path,
                    details={
                        **details_of(staging, self._place, durable=self._durable),
                        "steps": step_rows.encode(steps),
                    },
                    created_ns=time.time_ns(),
                )
                return decide(self._store, act, tree, staging, steps, also=self._also)
            finally:
                os.close(tree)

    def discard(self) -> None:
        """Forget all of it. May be called at any time, also afterwards."""
        if self._open is not None:
            tree, staging, view = self._open
            self._open = None
            view.close()
            os.close(tree)
            staging.remove()

    # ------------------------------------------------------------ inside

    @property
    def _view(self) -> View:
        return self._opened()[2]

    @property
    def _staging(self) -> Staging:
        return self._opened()[1]

    def _opened(self) -> tuple[int, Staging, View]:
        if self._open is None:
            raise InvalidArgument("batch", None, "it is over", hint="begin another one")
        return self._open

    def _answers(self, op: str, path: str) -> Answers:
        return Answers(op, path, self._path)

    def _next(self) -> int:
        self._number += 1
        return self._number

    def _names(self, op: str, path: str, *, entry: bool = False) -> Names:
        try:
            route = parse(path)
        except UnusablePath as error:
            raise InvalidPath(op, path, str(error)) from None
        inside = relative(route, self._path)
        if inside is None:
            raise PathEscapes(op, path, hint=f"paths here begin at {self._path}")
        return self._view.resolve(inside, entry=entry)

    def _there(self, names: Names) -> Seen:
        seen = self._view.see(names)
        if seen is None:
            raise fail(errno.ENOENT)
        return seen

    def _file(self, names: Names) -> Seen | None:
        """The file at names, which may be read and replaced; None if nothing is there."""
        seen = self._view.see(names)
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
            seen = self._view.see(names[:depth])
            if seen is None:
                self._enter(names[: depth - 1])
                self._view.decide(names[:depth], New(0o777 & ~_umask()))
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
        below = self._view.below(names)
        for each in below:
            if self._there(each).is_directory and self._view.names_in(each):
                self._enter(each)
        for each in below:
            self._view.decide(each, Gone())

    def _ends(self, op: str, source: str, target: str, *, overwrite: bool) -> tuple[Names, Names]:
        old = self._names(op, source, entry=True)
        new = self._names(op, target, entry=True)
        seen = self._there(old)
        if not old or not new:
            raise fail(errno.EBUSY)
        if seen.is_directory and new[: len(old)] == old and new != old:
            raise fail(errno.EINVAL)
        there = self._view.see(new)
        if there is not None and new != old:
            if not overwrite:
                raise fail(errno.EEXIST)
            if there.is_directory and not seen.is_directory:
                raise fail(errno.EISDIR)
            if seen.is_directory and not there.is_directory:
                raise fail(errno.ENOTDIR)
            if there.is_directory and self._view.names_in(new):
                raise fail(errno.ENOTEMPTY)
        if op == "copy" and new == old:
            raise fail(errno.EEXIST if not overwrite else errno.EINVAL)
        self._make_above(new)
        return old, new

    def _copied(self, seen: Seen) -> Decided:
        if seen.is_directory:
            return New(seen.mode)
        number = self._next()
        duplicate(seen.directory, seen.name, self._staging.fd, str(number))
        if not seen.is_link:
            os.chmod(str(number), seen.mode, dir_fd=self._staging.fd)
        return Ready(number, ours=True)

    def _moved(self, seen: Seen) -> Decided:
        if seen.is_directory:
            return New(seen.mode)
        if isinstance(seen.ready, Ready):
            return seen.ready
        number = self._next()
        ready = self._staging.fd
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


def _umask() -> int:
    """What new files do not get; the kernel tells it only to who changes it, or in /proc."""
    with open("/proc/self/status") as file:
        return next((int(line[6:], 8) for line in file if line.startswith("Umask:")), 0o022)
