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
from typing import TypeVar, cast

import trio

from runner import messages as m
from runner.backends import base, files, listing, ripgrep, search, trees
from runner.backends.base import LATER, Later
from runner.backends.beneath import DIRECTORY, READING, Beneath, Opener, fail
from runner.backends.files import SMALL
from runner.backends.roots import Root
from runner.backends.threads import in_thread
from runner.processes.environment import base_environment
from runner.processes.host import ProcessHost

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
        self._root = Root(root, create=create, beneath=beneath, opener=opener)
        self._host = host
        self._own_host: ProcessHost | None = None
        self._env = dict(env)

    def __repr__(self) -> str:
        return f"<LocalBackend {self._root.path!r} {self._root.opener}>"

    @property
    def root(self) -> str:
        """The directory's absolute path, as it was given."""
        return self._root.path

    async def carry_out(self, operation: m.Message[AnswerT]) -> AnswerT:
        """Carry out a message: the method of its name."""
        return await base.carry_out(self, operation)

    def answer_now(self, operation: m.Message[AnswerT]) -> AnswerT | Later:
        """Carry out a message whose work is short, without a checkpoint."""
        answer: object = LATER
        message: object = operation  # so that a case narrows it
        match message:
            case m.Read(path=path):
                answer = self._read_now(path, message.offset, message.limit)
            case m.Exists(path=path):
                answer = self._exists_now(path)
            case m.Stat(path=path):
                answer = self._stat_now(path)
            case m.Write(path=path):
                answer = self._write_now(path, message.content, durable=message.durable)
            case _:
                pass
        return cast("AnswerT | Later", answer)

    async def aclose(self) -> None:
        """Let go of the directory; a host of our own ends what it still runs."""
        self._root.close()
        host, self._own_host = self._own_host, None
        if host is not None:
            await host.aclose()

    # ------------------------------------------------------------ observations

    async def read(self, path: str, *, offset: int = 0, limit: int | None = None) -> bytes:
        """The content of a regular file, or `limit` bytes of it from `offset`."""
        await trio.lowlevel.checkpoint()
        content = self._read_now(path, offset, limit)
        if isinstance(content, bytes):
            return content
        with self._root.answers("read", path):
            fd = self._root.open(make=False).open(self._root.route("read", path), READING)
            try:
                count = _window(fd, offset, limit)
                return await in_thread(lambda: files.read_window(fd, offset, count))
            finally:
                os.close(fd)

    def _read_now(self, path: str, offset: int, limit: int | None) -> bytes | Later:
        if offset < 0 or (limit is not None and limit < 0):
            base.require_counts("read", path, self.root, offset, limit)
        with self._root.answers("read", path):
            fd = self._root.open(make=False).open(self._root.route("read", path), READING)
            try:
                count = _window(fd, offset, limit)
                if count > SMALL:
                    return LATER
                return os.pread(fd, count, offset) if count else b""
            finally:
                os.close(fd)

    async def stat(self, path: str) -> m.FileStat:
        """What stands at a path, links followed."""
        await trio.lowlevel.checkpoint()
        return self._stat_now(path)

    def _stat_now(self, path: str) -> m.FileStat:
        with self._root.answers("stat", path):
            fd = self._root.open(make=False).open(self._root.route("stat", path), os.O_PATH)
            try:
                return files.file_stat(os.fstat(fd))
            finally:
                os.close(fd)

    async def exists(self, path: str) -> bool:
        """Whether something stands at a path, links followed; a path that leads out is an error."""
        await trio.lowlevel.checkpoint()
        return self._exists_now(path)

    def _exists_now(self, path: str) -> bool:
        with self._root.answers("exists", path):
            route = self._root.route("exists", path)
            try:
                os.close(self._root.open(make=False).open(route, os.O_PATH))
            except OSError as error:
                if error.errno in {errno.ENOENT, errno.ENOTDIR, errno.ELOOP}:
                    return False
                raise
            return True

    async def ls(self, path: str = ".", *, limit: int = 10_000) -> m.Listing:
        """The entries of a directory, sorted by name."""
        await trio.lowlevel.checkpoint()
        base.require_counts("ls", path, self.root, limit)
        with self._root.answers("ls", path):
            flags = READING | os.O_DIRECTORY
            fd = self._root.open(make=False).open(self._root.route("ls", path), flags)
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
        if self._write_now(path, content, durable=durable) is None:
            return
        with self._root.answers("write", path):
            directory, name = self._file("write", path)
            try:
                await in_thread(lambda: files.replace(directory, name, content, durable=durable))
            finally:
                os.close(directory)

    def _write_now(self, path: str, content: bytes, *, durable: bool) -> Later | None:
        if durable or len(content) > SMALL:
            return LATER
        with self._root.answers("write", path):
            directory, name = self._file("write", path)
            try:
                files.replace(directory, name, content)
            finally:
                os.close(directory)
        return None

    async def append(self, path: str, content: bytes) -> None:
        """Add to a file's end, or make the file and its parents."""
        await trio.lowlevel.checkpoint()
        with self._root.answers("append", path):
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
        route = self._root.route(op, path)
        if route.directory:
            raise fail(errno.EISDIR)
        return self._root.open(make=True).target(route.names, make=True)

    async def mkdir(self, path: str, *, exist_ok: bool = True) -> None:
        """Make a directory and its parents."""
        await trio.lowlevel.checkpoint()
        with self._root.answers("mkdir", path):
            names = self._root.route("mkdir", path).names
            beneath = self._root.open(make=True)
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
        with self._root.answers("edit", path):
            route = self._root.route("edit", path)
            if route.directory:
                raise fail(errno.EISDIR)
            directory, name = self._root.open(make=False).target(route.names)
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
            with self._root.answers("copy", target):
                trees.require_replaceable(ends, overwrite=overwrite)
            with self._root.answers("copy", source):
                if trees.is_short_copy(ends.status):
                    trees.copy(ends, overwrite=overwrite)
                else:
                    await in_thread(lambda: trees.copy(ends, overwrite=overwrite))

    async def move(self, source: str, target: str, *, overwrite: bool = False) -> None:
        """Rename a file, a link or a tree; parents of the target are made."""
        await trio.lowlevel.checkpoint()
        with contextlib.ExitStack() as stack:
            ends = self._ends("move", source, target, stack)
            with self._root.answers("move", target):
                if trees.renamed(ends, overwrite=overwrite):
                    return
                # Another file system is mounted within the scope.
                trees.require_replaceable(ends, overwrite=overwrite)
            with self._root.answers("move", source):
                await in_thread(lambda: trees.move_across(ends, overwrite=overwrite))

    def _ends(self, op: str, source: str, target: str, stack: contextlib.ExitStack) -> trees.Ends:
        """Both ends of a copy or a move, open; nothing is made if it would lead into itself."""
        with self._root.answers(op, source):
            route = self._root.route(op, source)
            beneath = self._root.open(make=True)
            old_directory, old = beneath.parent(route.names)
            stack.callback(os.close, old_directory)
            status = os.stat(old, dir_fd=old_directory, follow_symlinks=False)
            is_directory = stat.S_ISDIR(status.st_mode)
            if route.directory and not is_directory:
                raise fail(errno.ENOTDIR)
        with self._root.answers(op, target):
            place = self._root.route(op, target)
            above = beneath.entry(place.names)
            if place.directory and not is_directory:
                raise fail(errno.ENOTDIR)
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
        )

    async def remove(self, path: str, *, recursive: bool = False, missing_ok: bool = False) -> None:
        """Remove a file, a link, an empty directory, or a tree; never the root."""
        await trio.lowlevel.checkpoint()
        with self._root.answers("remove", path):
            route = self._root.route("remove", path)
            try:
                directory, name = self._root.open(make=False).parent(route.names)
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
                        lambda: trees.remove_tree(directory, name, missing_ok=missing_ok)
                    )
                else:
                    os.rmdir(name, dir_fd=directory)
            finally:
                os.close(directory)

    # ------------------------------------------------------------ search

    async def glob(
        self, pattern: str, path: str = ".", *, hidden: bool = False, limit: int = 10_000
    ) -> m.Found:
        """The paths below `path` that match a pattern; the rules are those of `search`."""
        await trio.lowlevel.checkpoint()
        base.require_counts("glob", path, self.root, limit)
        with search.patterns("glob", pattern, self.root):
            compiled = search.compile_glob(pattern, hidden=hidden)
        with self._root.answers("glob", path):
            route = self._root.route("glob", path)
            top = Beneath(
                self._root.open(make=False).open(route, DIRECTORY), opener=self._root.forced
            )
            return await in_thread(lambda: search.find(top, compiled, route.prefix, limit=limit))

    async def grep(
        self,
        pattern: str,
        path: str = ".",
        *,
        literal: bool = False,
        ignore_case: bool = False,
        glob: str | None = None,
        hidden: bool = False,
        limit: int = 10_000,
    ) -> m.Matches:
        """The lines of text files below `path` that match; the rules are those of `search`."""
        await trio.lowlevel.checkpoint()
        base.require_counts("grep", path, self.root, limit)
        with search.patterns("grep", pattern, self.root):
            search.require_grep_pattern(pattern)
        with search.patterns("grep", glob or "", self.root):
            sieve = search.compile_sieve(glob, hidden=hidden)
        with (
            self._root.answers("grep", path),
            search.patterns("grep", pattern, self.root),
            ripgrep.failures(path, self.root),
        ):
            route = self._root.route("grep", path)
            beneath = self._root.open(make=False)
            prefix, only = route.prefix, None
            try:
                top = Beneath(beneath.open(route, DIRECTORY), opener=self._root.forced)
            except NotADirectoryError:
                if route.directory:
                    raise
                directory, only = beneath.target(route.names)
                top = Beneath(directory, opener=self._root.forced)
                files.require_regular(os.stat(only, dir_fd=directory, follow_symlinks=False))
                prefix, sieve = prefix.removesuffix("/"), sieve.named()
            return await ripgrep.grep(
                self._programs(),
                top,
                ripgrep.arguments(
                    pattern, literal=literal, ignore_case=ignore_case, hidden=hidden, glob=glob
                ),
                sieve,
                only=only,
                prefix=prefix,
                limit=limit,
            )

    # ------------------------------------------------------------ programs

    def _programs(self) -> ProcessHost:
        if self._host is not None:
            return self._host
        if self._own_host is None:
            self._own_host = ProcessHost()
        return self._own_host

    async def exec(
        self,
        command: str | tuple[str, ...],
        *,
        cwd: str = ".",
        env: Mapping[str, str] | None = None,
        input: bytes | None = None,  # noqa: A002 - the word of subprocess.run
        timeout: float | None = None,
        silence: float | None = None,
        max_output: int = 1 << 20,
    ) -> m.Completed:
        """Run a program in the scope and wait for its end; `ProcessHost.run` says how it ends."""
        await trio.lowlevel.checkpoint()
        argv = ("sh", "-c", command) if isinstance(command, str) else tuple(command)
        with self._root.answers("exec", cwd):
            directory = self._root.open(make=True).open(self._root.route("exec", cwd), DIRECTORY)
            try:
                return await self._programs().run(
                    argv,
                    cwd=directory,
                    env=base_environment(os.environ, extra={**self._env, **(env or {})}),
                    input=input,
                    timeout=timeout,
                    silence=silence,
                    max_output=max_output,
                )
            finally:
                os.close(directory)


def _window(fd: int, offset: int, limit: int | None) -> int:
    """How many bytes of a regular file are asked for."""
    status = os.fstat(fd)
    files.require_regular(status)
    count = max(status.st_size - offset, 0)
    return count if limit is None else min(count, limit)
