"""The local backend: files by descriptor beneath one directory, programs through a process host.

Model. Nothing is touched before the first operation, which opens the root directory; from then on
the scope *is* that descriptor (a directory that is moved is followed, one that is removed is made
or sought anew). An observation of a missing root is NotFound; an effect makes it, if `create`.

Short work (files of 64 KiB and less, a stat, a rename, a small listing) is done inline, in trio's
thread, in a few microseconds; what may take long goes to a thread of ours and is waited for, also
when the caller is cancelled. A rename is never torn: content is replaced whole or not at all.

What this does not do: order (an actor's), permissions and isolation (a scope's), and it is no
boundary for the programs that it runs.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeVar

import trio

from runner import messages as m
from runner.backends import base, files, listing, trees
from runner.backends.beneath import (
    DIRECTORY,
    READING,
    Beneath,
    Opener,
    Route,
    UnusablePath,
    fail,
    parse,
    relative,
)
from runner.backends.files import SMALL
from runner.backends.threads import in_thread
from runner.errors import InvalidPath, PathEscapes

if TYPE_CHECKING:
    from runner.processes.host import ProcessHost

T = TypeVar("T")
AnswerT = TypeVar("AnswerT")

_NO_ENV: Mapping[str, str] = MappingProxyType({})


class LocalBackend:
    """Files and programs in one directory of this machine. Constructed without touching it.

    Args:
        root: the directory; relative to the working directory of now.
        host: runs programs; one of our own is made at the first exec if None.
        env: variables for every program, on top of the allow-listed ones.
        create: whether an effect makes a missing root.
        beneath: a directory that the root must lie in, links resolved: for a scope of a scope.
        opener: forces one way of path containment (for tests).
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        *,
        host: ProcessHost | None = None,
        env: Mapping[str, str] = _NO_ENV,
        create: bool = True,
        beneath: str | os.PathLike[str] | None = None,
        opener: Opener = "auto",
    ) -> None:
        self.root = os.path.abspath(os.fspath(root))
        self._host = host
        self._own_host: ProcessHost | None = None
        self._env = dict(env)
        self._create = create
        self._within = None if beneath is None else os.path.abspath(os.fspath(beneath))
        self._opener: Opener = opener
        self._beneath: Beneath | None = None
        self._roots: tuple[str, ...] = (self.root,)

    def __repr__(self) -> str:
        state = "not opened" if self._beneath is None else self._beneath.opener
        return f"<LocalBackend {self.root!r} {state}>"

    async def carry_out(self, operation: m.Message[AnswerT]) -> AnswerT:
        """Carry out a message: the method of its name."""
        return await base.carry_out(self, operation)

    async def aclose(self) -> None:
        """Let go of the directory; a host of our own ends what it still runs."""
        self._beneath = None  # closed when the last operation has let go of it
        host, self._own_host = self._own_host, None
        if host is not None:
            await host.aclose()

    # ------------------------------------------------------------ the root, and what comes in

    def _open(self, *, make: bool) -> Beneath:
        """The open root. An effect (`make`) creates a missing one."""
        beneath = self._beneath
        if beneath is not None and os.fstat(beneath.fd).st_nlink:
            return beneath
        # The first operation, or the directory was removed: look at the path again.
        make = make and self._create
        if self._within is None:
            if make:
                os.makedirs(self.root, exist_ok=True)
            fd = os.open(self.root, DIRECTORY | os.O_CLOEXEC)
        else:
            fd = self._open_within(self._within, make=make)
        beneath = self._beneath = Beneath(fd, opener=self._opener)
        try:
            self._roots = (self.root, os.readlink(f"/proc/self/fd/{fd}"))
        except OSError:  # no /proc
            self._roots = (self.root, os.path.realpath(self.root))
        return beneath

    def _open_within(self, within: str, *, make: bool) -> int:
        if make:
            os.makedirs(within, exist_ok=True)
        outer = Beneath(os.open(within, DIRECTORY | os.O_CLOEXEC), opener=self._opener)
        route = relative(parse(self.root), within)
        if route is None:
            raise fail(errno.EXDEV)
        if make:
            return outer.make(route.names)
        return outer.open(route, DIRECTORY)

    def _route(self, op: str, path: str) -> Route:
        """A caller's path as names from the root; absolute ones that lie inside are accepted."""
        try:
            route = parse(path)
            if not route.absolute:
                return route
            inside = relative(route, *self._roots)
        except UnusablePath as error:
            raise InvalidPath(op, path, str(error), scope=self.root) from None
        if inside is None:
            raise PathEscapes(op, path, scope=self.root, hint=f"paths here begin at {self.root}")
        return inside

    def _answers(self, op: str, path: str) -> base.Answers:
        return base.Answers(op, path, self.root)

    # ------------------------------------------------------------ observations

    async def read(self, path: str, *, offset: int = 0, limit: int | None = None) -> bytes:
        """The content of a regular file, or `limit` bytes of it from `offset`."""
        await trio.lowlevel.checkpoint()
        if offset < 0 or (limit is not None and limit < 0):
            base.require_counts("read", path, self.root, offset, limit)
        with self._answers("read", path):
            beneath = self._open(make=False)
            fd = beneath.open(self._route("read", path), READING)
            try:
                status = os.fstat(fd)
                files.require_regular(status)
                count = max(status.st_size - offset, 0)
                if limit is not None:
                    count = min(count, limit)
                if count <= SMALL:
                    return os.pread(fd, count, offset) if count else b""
                return await in_thread(lambda: files.read_window(fd, offset, count))
            finally:
                os.close(fd)

    async def stat(self, path: str) -> m.FileStat:
        """What stands at a path, links followed."""
        await trio.lowlevel.checkpoint()
        with self._answers("stat", path):
            fd = self._open(make=False).open(self._route("stat", path), os.O_PATH)
            try:
                return files.file_stat(os.fstat(fd))
            finally:
                os.close(fd)

    async def exists(self, path: str) -> bool:
        """Whether something stands at a path, links followed; a path that leads out is an error."""
        await trio.lowlevel.checkpoint()
        with self._answers("exists", path):
            route = self._route("exists", path)
            try:
                os.close(self._open(make=False).open(route, os.O_PATH))
            except OSError as error:
                if error.errno in {errno.ENOENT, errno.ENOTDIR, errno.ELOOP}:
                    return False
                raise
            return True

    async def ls(self, path: str = ".", *, limit: int = 10_000) -> m.Listing:
        """The entries of a directory, sorted by name."""
        await trio.lowlevel.checkpoint()
        base.require_counts("ls", path, self.root, limit)
        with self._answers("ls", path):
            flags = READING | os.O_DIRECTORY
            fd = self._open(make=False).open(self._route("ls", path), flags)
            try:
                names = listing.few_names(fd)
                if names is None:
                    return await in_thread(lambda: listing.listing(fd, limit))
                names.sort()
                entries = tuple(listing.entries_of(fd, names[:limit]))
                return m.Listing(entries=entries, omitted=max(len(names) - limit, 0))
            finally:
                os.close(fd)

    # ------------------------------------------------------------ effects

    async def write(self, path: str, content: bytes, *, durable: bool = False) -> None:
        """Replace a file's content whole, or make the file and its parents."""
        await trio.lowlevel.checkpoint()
        with self._answers("write", path):
            directory, name = self._file("write", path)
            try:
                if len(content) <= SMALL and not durable:
                    files.replace(directory, name, content)
                else:
                    await in_thread(
                        lambda: files.replace(directory, name, content, durable=durable)
                    )
            finally:
                os.close(directory)

    async def append(self, path: str, content: bytes) -> None:
        """Add to a file's end, or make the file and its parents."""
        await trio.lowlevel.checkpoint()
        with self._answers("append", path):
            directory, name = self._file("append", path)
            try:
                if len(content) <= SMALL:
                    files.append(directory, name, content)
                else:
                    await in_thread(lambda: files.append(directory, name, content))
            finally:
                os.close(directory)

    def _file(self, op: str, path: str) -> tuple[int, str]:
        """The directory and the name of a file to write, through links; parents are made."""
        route = self._route(op, path)
        if route.directory:
            raise fail(errno.EISDIR)
        return self._open(make=True).target(route.names, make=True)

    async def mkdir(self, path: str, *, exist_ok: bool = True) -> None:
        """Make a directory and its parents."""
        await trio.lowlevel.checkpoint()
        with self._answers("mkdir", path):
            names = self._route("mkdir", path).names
            beneath = self._open(make=True)
            try:
                os.close(beneath.open_names(names, DIRECTORY))
            except FileNotFoundError:
                os.close(beneath.make(names))
            else:
                if not exist_ok:
                    raise fail(errno.EEXIST)

    async def edit(self, path: str, old: bytes, new: bytes, *, replace_all: bool = False) -> int:
        """Replace an exact piece of a file; how many times it was replaced."""
        await trio.lowlevel.checkpoint()
        with self._answers("edit", path):
            route = self._route("edit", path)
            if route.directory:
                raise fail(errno.EISDIR)
            directory, name = self._open(make=False).target(route.names)
            try:

                def work() -> int:
                    content, count = base.edited(
                        files.read_entry(directory, name),
                        old,
                        new,
                        replace_all=replace_all,
                        path=path,
                        scope=self.root,
                    )
                    files.replace(directory, name, content)
                    return count

                status = files.status_of(directory, name)
                if status is None or status.st_size + len(new) <= SMALL:
                    return work()
                return await in_thread(work)
            finally:
                os.close(directory)

    async def copy(self, source: str, target: str, *, overwrite: bool = False) -> None:
        """Copy a file or a tree to a new path; links are copied as links; parents are made."""
        await trio.lowlevel.checkpoint()
        with contextlib.ExitStack() as stack:
            ends = self._ends("copy", source, target, stack)
            with self._answers("copy", target):
                trees.require_replaceable(ends, overwrite=overwrite)
            with self._answers("copy", source):
                if trees.is_short_copy(ends.status):
                    trees.copy(ends, overwrite=overwrite)
                else:
                    await in_thread(lambda: trees.copy(ends, overwrite=overwrite))

    async def move(self, source: str, target: str, *, overwrite: bool = False) -> None:
        """Rename a file, a link or a tree; parents of the target are made."""
        await trio.lowlevel.checkpoint()
        with contextlib.ExitStack() as stack:
            ends = self._ends("move", source, target, stack)
            with self._answers("move", target):
                if trees.renamed(ends, overwrite=overwrite):
                    return
                # Another file system is mounted within the scope.
                trees.require_replaceable(ends, overwrite=overwrite)
            with self._answers("move", source):
                await in_thread(lambda: trees.move_across(ends, overwrite=overwrite))

    def _ends(self, op: str, source: str, target: str, stack: contextlib.ExitStack) -> trees.Ends:
        """Both ends of a copy or a move, open; nothing is made if it would lead into itself."""
        with self._answers(op, source):
            route = self._route(op, source)
            beneath = self._open(make=True)
            old_directory, old = beneath.parent(route.names)
            stack.callback(os.close, old_directory)
            status = os.stat(old, dir_fd=old_directory, follow_symlinks=False)
            is_directory = stat.S_ISDIR(status.st_mode)
            if route.directory and not is_directory:
                raise fail(errno.ENOTDIR)
        with self._answers(op, target):
            place = self._route(op, target)
            if place.directory and not is_directory:
                raise fail(errno.ENOTDIR)
            above = beneath.entry(place.names)
            near, depth = beneath.nearest(above)
            stack.callback(os.close, near)
            if is_directory and trees.lies_in(near, status, beneath.fd):
                raise fail(errno.EINVAL)
            new_directory = near
            if depth < len(above):
                new_directory = beneath.make(above)
                stack.callback(os.close, new_directory)
        return trees.Ends(
            old_directory=old_directory,
            old=old,
            new_directory=new_directory,
            new=place.names[-1],
            status=status,
            opener=self._opener,
        )

    async def remove(self, path: str, *, recursive: bool = False, missing_ok: bool = False) -> None:
        """Remove a file, a link, an empty directory, or a tree; never the root."""
        await trio.lowlevel.checkpoint()
        with self._answers("remove", path):
            route = self._route("remove", path)
            try:
                directory, name = self._open(make=False).parent(route.names)
            except FileNotFoundError:
                if missing_ok:
                    return
                raise
            try:
                status = files.status_of(directory, name)
                if status is None:
                    if missing_ok:
                        return
                    raise fail(errno.ENOENT)
                if not stat.S_ISDIR(status.st_mode):
                    if route.directory:
                        raise fail(errno.ENOTDIR)
                    os.unlink(name, dir_fd=directory)
                elif recursive:
                    await in_thread(
                        lambda: trees.remove_tree(
                            directory, name, opener=self._opener, missing_ok=missing_ok
                        )
                    )
                else:
                    os.rmdir(name, dir_fd=directory)
            finally:
                os.close(directory)
