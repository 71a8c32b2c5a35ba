"""The tree of a memory backend: nodes, and what stands at a path. Failures are errno's.

Model. Directories are explicit nodes; a path is parsed by the same rules as on disk (`beneath`),
`..` goes up and not above the root, absolute paths count from "/" and lie outside (the tree has no
place in any file system). There are no links, since no operation makes one.
"""

from __future__ import annotations

import errno
from datetime import UTC, datetime

import attrs

from runner.backends.beneath import USABLE, Names, Route, UnusablePath, fail, parse
from runner.backends.failures import Answers
from runner.errors import ConfigError, InvalidPath, PathEscapes
from runner.messages import Entry

NAME = "memory:"  # what errors call the tree


def now() -> datetime:
    """When something changes: aware, UTC."""
    return datetime.now(UTC)


@attrs.define(eq=False)
class File:
    """A file."""

    content: bytes
    mode: int = 0o644
    modified: datetime = attrs.field(factory=now)


@attrs.define(eq=False)
class Directory:
    """A directory."""

    entries: dict[str, File | Directory] = attrs.field(factory=dict)
    mode: int = 0o755
    modified: datetime = attrs.field(factory=now)


@attrs.frozen(kw_only=True)
class MemoryLimits:
    """How much a memory backend takes; None = any amount.

    Attributes:
        total: bytes of all files together.
        file: bytes of one file.
    """

    total: int | None = attrs.field(default=None)
    file: int | None = attrs.field(default=None)

    @total.validator
    @file.validator
    def _check(self, attribute: attrs.Attribute[int | None], value: int | None) -> None:
        if value is not None and value < 0:
            raise ConfigError(f"MemoryLimits({attribute.name}={value}): it is negative")


NO_LIMITS = MemoryLimits()


class Tree:
    """All that a memory backend holds.

    Everything that changes how much that is (`used`, kept only under a limit) lives here.
    """

    def __init__(self, limits: MemoryLimits = NO_LIMITS) -> None:
        """An empty tree."""
        self.top = Directory()
        self.limits = limits
        self.streams: dict[str, object] = {}
        self.used = 0

    def room(self, old: File | Directory | None, new: File | Directory | int | None) -> int:
        """What is used when something takes another's place; ENOSPC or EFBIG if it is too much.

        An integer is the size of a file that is not made yet.
        """
        limits = self.limits
        if isinstance(new, int) and limits.file is not None and new > limits.file:
            raise fail(errno.EFBIG)
        if limits.total is None:
            return 0
        used = self.used + (new if isinstance(new, int) else size_of(new)) - size_of(old)
        if used > limits.total:
            raise fail(errno.ENOSPC)
        return used

    def answers(self, op: str, path: str) -> Answers:
        """Makes an OSError the answer of an operation."""
        return Answers(op, path, NAME)

    def route(self, op: str, path: str) -> Route:
        """A caller's path as names from the top."""
        try:
            route = parse(path)
        except UnusablePath as error:
            raise InvalidPath(op, path, str(error), scope=NAME, hint=USABLE) from None
        if route.absolute:
            raise PathEscapes(op, path, scope=NAME, hint="give a path without the first '/'")
        return route

    def way(self, names: Names) -> tuple[list[Directory], File | Directory]:
        """The directories from the root to what stands at names, and that; errors are errno's."""
        stack: list[Directory] = [self.top]
        found: File | Directory = self.top
        for name in names:
            if not isinstance(found, Directory):
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
            if isinstance(found, Directory):
                stack.append(found)
        return stack, found

    def find(self, names: Names) -> File | Directory:
        """What stands at names."""
        return self.way(names)[1]

    def at(self, route: Route) -> File | Directory:
        """What stands at a path; ENOTDIR if its last `/` asks for a directory and it is none."""
        found = self.find(route.names)
        if route.directory and not isinstance(found, Directory):
            raise fail(errno.ENOTDIR)
        return found

    def real(self, route: Route) -> str:
        """A path without detours; what is missing at its end may be missing."""
        real: list[str] = []
        for depth, name in enumerate(route.names):
            if name == "..":
                self.find(route.names[: depth + 1])  # EXDEV if it leads out
                real.pop()
                continue
            real.append(name)
            try:
                self.find(tuple(real))
            except FileNotFoundError:
                missing = route.names[depth + 1 :]
                if ".." in missing:  # nothing can be above what is not there
                    raise
                return "/".join((*real, *missing))
        self.at(route)  # ENOTDIR if its last `/` asks for a directory and it is none
        return "/".join(real) or "."

    def file(self, route: Route) -> File:
        """The file at a path."""
        found = self.at(route)
        if isinstance(found, Directory):
            raise fail(errno.EISDIR)
        return found

    def directory(self, names: Names) -> Directory:
        """The directory at names."""
        found = self.find(names)
        if not isinstance(found, Directory):
            raise fail(errno.ENOTDIR)
        return found

    def make(self, names: Names) -> Directory:
        """A directory, made with its parents if it is missing."""
        try:
            return self.directory(names)
        except FileNotFoundError:
            if names[-1] == "..":
                raise
        parent = self.make(names[:-1])
        made = parent.entries[names[-1]] = Directory()
        parent.modified = now()
        return made

    def above(self, names: Names) -> Names:
        """The names of the directory that holds the last name; see `Beneath.entry`."""
        if not names:
            raise fail(errno.EBUSY)
        if names[-1] == "..":
            self.find(names)
            raise fail(errno.EINVAL)
        return names[:-1]

    def parent(self, names: Names) -> tuple[Directory, str]:
        """The directory that holds the last name, and that name."""
        return self.directory(self.above(names)), names[-1]

    def place(self, route: Route) -> tuple[Directory, str, File | None]:
        """Where a file is to be written, and the file that is there now."""
        if route.directory or not route.names or route.names[-1] == "..":
            self.find(route.names if route.names[-1:] == ("..",) else ())
            raise fail(errno.EISDIR)
        parent = self.make(route.names[:-1])
        name = route.names[-1]
        old = parent.entries.get(name)
        if isinstance(old, Directory):
            raise fail(errno.EISDIR)
        return parent, name, old

    def put(self, route: Route, content: bytes) -> None:
        """Replace a file's content, or make the file and its parents."""
        used = self.room(self._file_at(route), len(content))  # before a parent is made
        parent, name, old = self.place(route)
        self.used = used
        if old is None:
            parent.entries[name] = File(bytes(content))
            parent.modified = now()
        else:
            old.content, old.modified = bytes(content), now()

    def _file_at(self, route: Route) -> File | None:
        """The file at a path, for its size; what is wrong with the path is not said here."""
        try:
            found = self.find(route.names)
        except OSError:
            return None
        return found if isinstance(found, File) else None

    def refill(self, file: File, content: bytes) -> None:
        """Give a file another content."""
        self.used = self.room(file, len(content))
        file.content, file.modified = content, now()

    def nearest(self, names: Names) -> list[Directory]:
        """The directories from the root to the deepest that is there on the way to names."""
        for depth in range(len(names), 0, -1):
            try:
                self.directory(names[:depth])
            except FileNotFoundError:
                continue
            return self.way(names[:depth])[0]
        return [self.top]


def entry_of(name: str, found: File | Directory) -> Entry:
    """The entry of a listing."""
    return Entry(
        name=name,
        type="file" if isinstance(found, File) else "directory",
        size=len(found.content) if isinstance(found, File) else 0,
        mode=found.mode,
        modified=found.modified,
    )


def size_of(found: File | Directory | None) -> int:
    """Bytes in files."""
    if isinstance(found, Directory):
        return sum(map(size_of, found.entries.values()))
    return 0 if found is None else len(found.content)


def copied(found: File | Directory) -> File | Directory:
    """A copy of a file or of a whole directory."""
    if isinstance(found, File):
        return File(found.content, found.mode)
    return Directory({name: copied(each) for name, each in found.entries.items()}, found.mode)


def require_replaceable(
    old: File | Directory | None, new: File | Directory, *, overwrite: bool
) -> None:
    """What rename(2) lets replace what: a file a file, a directory an empty directory."""
    if old is None:
        return
    if not overwrite:
        raise fail(errno.EEXIST)
    if isinstance(old, Directory) and isinstance(new, File):
        raise fail(errno.EISDIR)
    if isinstance(new, Directory) and isinstance(old, File):
        raise fail(errno.ENOTDIR)
    if isinstance(old, Directory) and old.entries and old is not new:
        raise fail(errno.ENOTEMPTY)
