"""The memory backend: the same contract on a tree of dictionaries. For tests, plans and drafts.

Model. Directories are explicit nodes; a path is parsed by the same rules as on disk (`beneath`),
`..` goes up and not above the root, absolute paths count from "/" and lie outside (the scope has no
place in any file system). There are no links, since no operation makes one. Every operation is one
synchronous block after its checkpoint, so it is atomic and cannot be torn by a cancellation.

What this does not do: run programs; keep anything when the process ends.
"""

from __future__ import annotations

import errno
import itertools
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import TypeVar

import attrs
import trio

from runner import messages as m
from runner.backends import base, search
from runner.backends.beneath import Names, Route, UnusablePath, fail, parse
from runner.backends.listing import smallest
from runner.errors import ExecFailed, InvalidPath, PathEscapes

AnswerT = TypeVar("AnswerT")


def _now() -> datetime:
    return datetime.now(UTC)


@attrs.define(eq=False)
class _File:
    content: bytes
    mode: int = 0o644
    modified: datetime = attrs.field(factory=_now)


@attrs.define(eq=False)
class _Directory:
    entries: dict[str, _File | _Directory] = attrs.field(factory=dict)
    mode: int = 0o755
    modified: datetime = attrs.field(factory=_now)


class MemoryBackend:
    """Files in memory. Programs cannot run here.

    Args:
        files: what is there at the beginning, by path; text is kept as UTF-8.
    """

    root = "memory:"

    def __init__(self, files: Mapping[str, bytes | str] | None = None) -> None:
        self._root = _Directory()
        for path, content in (files or {}).items():
            data = (
                content.encode("utf-8", "surrogateescape") if isinstance(content, str) else content
            )
            with self._answers("write", path):
                self._put(self._route("write", path), data)

    def __repr__(self) -> str:
        return f"<MemoryBackend {len(self._root.entries)} entries>"

    async def carry_out(self, operation: m.Message[AnswerT]) -> AnswerT:
        """Carry out a message: the method of its name."""
        return await base.carry_out(self, operation)

    def answer_now(self, operation: m.Message[AnswerT]) -> AnswerT | base.Later:
        """Nothing is answered at once, so that fakes wait where the real ones may."""
        return base.LATER

    async def aclose(self) -> None:
        """Nothing is held; the files stay as long as the object."""
        await trio.lowlevel.checkpoint()

    # ------------------------------------------------------------ the tree

    def _answers(self, op: str, path: str) -> base.Answers:
        return base.Answers(op, path, self.root)

    def _route(self, op: str, path: str) -> Route:
        try:
            route = parse(path)
        except UnusablePath as error:
            raise InvalidPath(op, path, str(error), scope=self.root) from None
        if route.absolute:
            raise PathEscapes(op, path, scope=self.root, hint="give a path without the first '/'")
        return route

    def _way(self, names: Names) -> tuple[list[_Directory], _File | _Directory]:
        """The directories from the root to what stands at names, and that; errors are errno's."""
        stack: list[_Directory] = [self._root]
        found: _File | _Directory = self._root
        for name in names:
            if not isinstance(found, _Directory):
                raise fail(errno.ENOTDIR)
            if name == "..":
                if len(stack) == 1:
                    raise fail(errno.EXDEV)
                stack.pop()
                found = stack[-1]
                continue
            if name not in found.entries:
                raise fail(errno.ENOENT)
            found = found.entries[name]
            if isinstance(found, _Directory):
                stack.append(found)
        return stack, found

    def _find(self, names: Names) -> _File | _Directory:
        return self._way(names)[1]

    def _at(self, route: Route) -> _File | _Directory:
        found = self._find(route.names)
        if route.directory and not isinstance(found, _Directory):
            raise fail(errno.ENOTDIR)
        return found

    def _file(self, route: Route) -> _File:
        found = self._at(route)
        if isinstance(found, _Directory):
            raise fail(errno.EISDIR)
        return found

    def _directory(self, names: Names) -> _Directory:
        found = self._find(names)
        if not isinstance(found, _Directory):
            raise fail(errno.ENOTDIR)
        return found

    def _make(self, names: Names) -> _Directory:
        """A directory, made with its parents if it is missing."""
        try:
            return self._directory(names)
        except FileNotFoundError:
            if names[-1] == "..":
                raise
        parent = self._make(names[:-1])
        made = parent.entries[names[-1]] = _Directory()
        parent.modified = _now()
        return made

    def _above(self, names: Names) -> Names:
        """The names of the directory that holds the last name; see `Beneath.entry`."""
        if not names:
            raise fail(errno.EBUSY)
        if names[-1] == "..":
            self._find(names)
            raise fail(errno.EINVAL)
        return names[:-1]

    def _parent(self, names: Names) -> tuple[_Directory, str]:
        return self._directory(self._above(names)), names[-1]

    def _place(self, route: Route) -> tuple[_Directory, str, _File | None]:
        """Where a file is to be written, and the file that is there now."""
        if route.directory or not route.names or route.names[-1] == "..":
            self._find(route.names if route.names[-1:] == ("..",) else ())
            raise fail(errno.EISDIR)
        parent = self._make(route.names[:-1])
        name = route.names[-1]
        old = parent.entries.get(name)
        if isinstance(old, _Directory):
            raise fail(errno.EISDIR)
        return parent, name, old

    def _put(self, route: Route, content: bytes) -> None:
        parent, name, old = self._place(route)
        if old is None:
            parent.entries[name] = _File(bytes(content))
            parent.modified = _now()
        else:
            old.content, old.modified = bytes(content), _now()

    # ------------------------------------------------------------ observations

    async def read(self, path: str, *, offset: int = 0, limit: int | None = None) -> bytes:
        """The content of a file, or `limit` bytes of it from `offset`."""
        await trio.lowlevel.checkpoint()
        base.require_counts("read", path, self.root, offset, limit)
        with self._answers("read", path):
            content = self._file(self._route("read", path)).content
            return content[offset:] if limit is None else content[offset : offset + limit]

    async def stat(self, path: str) -> m.FileStat:
        """What stands at a path."""
        await trio.lowlevel.checkpoint()
        with self._answers("stat", path):
            found = self._at(self._route("stat", path))
            return m.FileStat(
                type="file" if isinstance(found, _File) else "directory",
                size=len(found.content) if isinstance(found, _File) else 0,
                mode=found.mode,
                modified=found.modified,
            )

    async def exists(self, path: str) -> bool:
        """Whether something stands at a path; a path that leads out is an error."""
        await trio.lowlevel.checkpoint()
        with self._answers("exists", path):
            try:
                self._at(self._route("exists", path))
            except (FileNotFoundError, NotADirectoryError):
                return False
            return True

    async def ls(self, path: str = ".", *, limit: int = 10_000) -> m.Listing:
        """The entries of a directory, sorted by name."""
        await trio.lowlevel.checkpoint()
        base.require_counts("ls", path, self.root, limit)
        with self._answers("ls", path):
            entries = self._directory(self._route("ls", path).names).entries
            names, omitted = smallest(entries, limit)
            return m.Listing(
                entries=tuple(_entry(name, entries[name]) for name in names), omitted=omitted
            )

    # ------------------------------------------------------------ effects

    async def write(self, path: str, content: bytes, *, durable: bool = False) -> None:
        """Replace a file's content whole, or make the file and its parents."""
        await trio.lowlevel.checkpoint()
        with self._answers("write", path):
            self._put(self._route("write", path), content)

    async def append(self, path: str, content: bytes) -> None:
        """Add to a file's end, or make the file and its parents."""
        await trio.lowlevel.checkpoint()
        with self._answers("append", path):
            route = self._route("append", path)
            old = self._place(route)[2]
            self._put(route, content if old is None else old.content + content)

    async def edit(self, path: str, old: bytes, new: bytes, *, replace_all: bool = False) -> int:
        """Replace an exact piece of a file; how many times it was replaced."""
        await trio.lowlevel.checkpoint()
        with self._answers("edit", path):
            file = self._file(self._route("edit", path))
            content, count = base.edited(
                file.content, old, new, replace_all=replace_all, path=path, scope=self.root
            )
            file.content, file.modified = content, _now()
            return count

    async def mkdir(self, path: str, *, exist_ok: bool = True) -> None:
        """Make a directory and its parents."""
        await trio.lowlevel.checkpoint()
        with self._answers("mkdir", path):
            names = self._route("mkdir", path).names
            try:
                self._directory(names)
            except FileNotFoundError:
                self._make(names)
            else:
                if not exist_ok:
                    raise fail(errno.EEXIST)

    async def copy(self, source: str, target: str, *, overwrite: bool = False) -> None:
        """Copy a file or a tree to a new path; parents are made."""
        await trio.lowlevel.checkpoint()
        self._transfer("copy", source, target, overwrite=overwrite)

    async def move(self, source: str, target: str, *, overwrite: bool = False) -> None:
        """Rename a file or a tree; parents are made."""
        await trio.lowlevel.checkpoint()
        self._transfer("move", source, target, overwrite=overwrite)

    def _transfer(self, op: str, source: str, target: str, *, overwrite: bool) -> None:
        with self._answers(op, source):
            route = self._route(op, source)
            found = self._at(route)
            old_parent, old_name = self._parent(route.names)
        with self._answers(op, target):
            place = self._route(op, target)
            above = self._above(place.names)
            if place.directory and isinstance(found, _File):
                raise fail(errno.ENOTDIR)
            if any(each is found for each in self._nearest(above)):
                raise fail(errno.EINVAL)
            parent = self._make(above)
            _require_replaceable(parent.entries.get(place.names[-1]), found, overwrite=overwrite)
            if op == "move":
                del old_parent.entries[old_name]
                old_parent.modified = _now()
            parent.entries[place.names[-1]] = found if op == "move" else _copied(found)
            parent.modified = _now()

    def _nearest(self, names: Names) -> list[_Directory]:
        """The directories from the root to the deepest that is there on the way to names."""
        for depth in range(len(names), 0, -1):
            try:
                self._directory(names[:depth])
            except FileNotFoundError:
                continue
            return self._way(names[:depth])[0]
        return [self._root]

    async def remove(self, path: str, *, recursive: bool = False, missing_ok: bool = False) -> None:
        """Remove a file, an empty directory, or a tree; never the root."""
        await trio.lowlevel.checkpoint()
        with self._answers("remove", path):
            route = self._route("remove", path)
            try:
                parent, name = self._parent(route.names)
                found = self._at(route)
            except FileNotFoundError:
                if missing_ok:
                    return
                raise
            if isinstance(found, _Directory) and found.entries and not recursive:
                raise fail(errno.ENOTEMPTY)
            del parent.entries[name]
            parent.modified = _now()

    # ------------------------------------------------------------ search

    async def glob(
        self, pattern: str, path: str = ".", *, hidden: bool = False, limit: int = 10_000
    ) -> m.Found:
        """The paths below `path` that match a pattern; the rules are those of `search`."""
        await trio.lowlevel.checkpoint()
        base.require_counts("glob", path, self.root, limit)
        with search.patterns("glob", pattern, self.root):
            compiled = search.compile_glob(pattern, hidden=hidden)
        with self._answers("glob", path):
            route = self._route("glob", path)
            tree = _walk(self._directory(route.names))
            every = ((each, isinstance(node, _Directory)) for each, node in tree)
            return search.matched(every, compiled, route.prefix, limit=limit)

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
            accepts = search.compile_grep(pattern, literal=literal, ignore_case=ignore_case)
        with search.patterns("grep", glob or "", self.root):
            sieve = search.compile_sieve(glob, hidden=hidden)
        with self._answers("grep", path):
            route = self._route("grep", path)
            top = self._at(route)
            if isinstance(top, _File):  # named by the caller
                name = route.names[-1]
                taken = [(route.prefix[:-1], top)] if sieve.named().takes(name) else []
            else:
                taken = [
                    (route.prefix + each, node)
                    for each, node in _walk(top)
                    if isinstance(node, _File) and sieve.takes(each)
                ]
            every = (
                m.Match(path=each, line=number, text=text)
                for each, file in taken
                for number, text in search.lines_of(file.content)
                if accepts(text)
            )
            matches = tuple(itertools.islice(every, limit))
            return m.Matches(matches=matches, omitted=sum(1 for _ in every))

    # ------------------------------------------------------------ programs

    async def exec(
        self,
        command: str | tuple[str, ...],
        *,
        cwd: str = ".",
        env: Mapping[str, str] | None = None,
        input: bytes | None = None,  # noqa: A002
        timeout: float | None = None,
        silence: float | None = None,
        max_output: int = 1 << 20,
    ) -> m.Completed:
        """Always ExecFailed: no program could see these files."""
        await trio.lowlevel.checkpoint()
        raise ExecFailed(
            "exec",
            command if isinstance(command, str) else " ".join(command),
            "the files are in memory, where no program can see them",
            scope=self.root,
            hint="use a scope with a LocalBackend",
        )


def _entry(name: str, found: _File | _Directory) -> m.Entry:
    return m.Entry(
        name=name,
        type="file" if isinstance(found, _File) else "directory",
        size=len(found.content) if isinstance(found, _File) else 0,
        mode=found.mode,
        modified=found.modified,
    )


def _copied(found: _File | _Directory) -> _File | _Directory:
    if isinstance(found, _File):
        return _File(found.content, found.mode)
    return _Directory({name: _copied(each) for name, each in found.entries.items()}, found.mode)


def _require_replaceable(
    old: _File | _Directory | None, new: _File | _Directory, *, overwrite: bool
) -> None:
    """What rename(2) lets replace what: a file a file, a directory an empty directory."""
    if old is None:
        return
    if not overwrite:
        raise fail(errno.EEXIST)
    if isinstance(old, _Directory) and isinstance(new, _File):
        raise fail(errno.EISDIR)
    if isinstance(new, _Directory) and isinstance(old, _File):
        raise fail(errno.ENOTDIR)
    if isinstance(old, _Directory) and old.entries and old is not new:
        raise fail(errno.ENOTEMPTY)


def _walk(directory: _Directory, prefix: str = "") -> Iterator[tuple[str, _File | _Directory]]:
    """All below a directory, in the order of a walk."""
    for name, node in sorted(directory.entries.items(), key=lambda each: each[0]):
        yield prefix + name, node
        if isinstance(node, _Directory):
            yield from _walk(node, f"{prefix}{name}/")
