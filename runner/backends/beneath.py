"""Path containment by descriptor: the one owner of path rules.

Model. A scope is an open directory descriptor, not a path prefix. A path as the caller wrote it is
parsed into a `Route` (pure text: names from the scope's root); a `Beneath` opens routes from its
descriptor, and nothing that it opens lies outside:

    openat2   RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS; the kernel resolves (Linux >= 5.6)
    walk      component by component with O_NOFOLLOW, link texts resolved by us with a stack of
              descriptors, as Go's os.Root; where openat2 is missing or refused

Both answer the same: links that stay inside are followed, `..` goes up physically and never above
the root, absolute links are refused even if they point inside, 40 links at most. Leading out is
OSError(EXDEV) here; `translate` (failures.py) makes it PathEscapes.

Effects open a *parent* (O_PATH) and then use single names with `dir_fd`: a name is never resolved
twice. What this does not do: it does not stop mounts inside the scope, nor hard links to outside
files, nor a process that runs in the scope (isolation does).
"""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import stat
from typing import Literal, TypeAlias

import attrs

from runner.backends.syscalls import (
    RESOLVE_BENEATH,
    RESOLVE_NO_MAGICLINKS,
    RESOLVE_NO_SYMLINKS,
    openat2,
)
from runner.errors import ConfigError

Opener: TypeAlias = Literal["auto", "openat2", "walk"]
Names: TypeAlias = tuple[str, ...]

MAX_NAME = 255  # bytes; NAME_MAX of every file system that we know
USABLE = f"names of 1 to {MAX_NAME} bytes with `/` between them"  # what would be a usable path
MAX_LINKS = 40  # the kernel's MAXSYMLINKS
MAX_AGAIN = 64  # openat2 says EAGAIN when a rename raced a `..`; then the walk, which cannot

DIRECTORY = os.O_PATH | os.O_DIRECTORY
_BENEATH = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS
# O_NONBLOCK: a FIFO would block; O_NOCTTY: a terminal would become ours.
READING = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY


class UnusablePath(ValueError):
    """No file system could have such a path; the text says why."""


@attrs.frozen
class Route:
    """A path, parsed: names from the scope's root, `..` kept (it goes up physically).

    Attributes:
        names: without `.` and empty ones; () is the root itself.
        directory: it ended in `/` or `/.`: only a directory may stand there.
        absolute: the names count from `/` instead.
        raw: the names joined, for the kernel.
    """

    names: Names
    directory: bool
    absolute: bool
    raw: bytes

    @property
    def prefix(self) -> str:
        """What goes before a path that counts from here, to count from the root."""
        return "/".join(self.names) + "/" if self.names else ""


@functools.lru_cache(maxsize=4096)
def parse(path: str) -> Route:
    """Parse a path as a caller wrote it; raise UnusablePath if nothing could be there."""
    if not path:
        raise UnusablePath("it is empty")
    if "\0" in path:
        raise UnusablePath("it contains a NUL character")
    parts = path.split("/")
    names = tuple([each for each in parts if each not in {"", "."}])
    try:
        raws = [os.fsencode(each) for each in names]
    except UnicodeEncodeError as error:
        raise UnusablePath(f"character {error.start} cannot stand in a name") from None
    if any(len(each) > MAX_NAME for each in raws):
        raise UnusablePath(f"a name in it is longer than {MAX_NAME} bytes")
    return Route(names, parts[-1] in {"", "."}, path[0] == "/", b"/".join(raws) or b".")


def directory_named(path: str | bytes | os.PathLike[str]) -> str:
    """The path of a directory that a user names for a scope; ConfigError if there can be none."""
    try:
        text = os.fsdecode(path)
    except TypeError:
        raise ConfigError(f"{path!r} names no directory: it is no path") from None
    if not text:
        raise ConfigError('a scope needs a path; "." is the current directory')
    try:
        parse(text)
    except UnusablePath as error:
        raise ConfigError(f"{path!r} names no directory: {error}") from None
    return text


def relative(route: Route, *roots: str) -> Route | None:
    """The route counted from a root; None if it is absolute and lies under none of them."""
    if not route.absolute:
        return route
    for root in roots:
        above = parse(root).names
        if route.names[: len(above)] == above:
            inner = route.names[len(above) :]
            return Route(inner, route.directory or not inner, absolute=False, raw=_join(inner))
    return None


def _join(names: Names) -> bytes:
    return b"/".join(map(os.fsencode, names)) or b"."


def split_link(text: str) -> tuple[Names, bool]:
    """A link's text as names, and whether it demands a directory."""
    parts = text.split("/")
    return tuple(each for each in parts if each not in {"", "."}), parts[-1] in {"", "."}


def fail(code: int) -> OSError:
    """An OSError as the kernel would give it."""
    return OSError(code, os.strerror(code))


class Beneath:
    """An open directory, and a way to open what lies beneath it.

    The descriptor belongs to this object and is closed when the last user lets go of it, so a
    thread that still works beneath it can never meet a descriptor number that was given away.
    """

    __slots__ = ("_kernel", "fd", "links")

    def __init__(self, fd: int, *, opener: Opener = "auto", links: bool = True) -> None:
        """Take over `fd` (O_PATH is enough).

        Args:
            fd: the directory.
            opener: forces one of the two ways.
            links: False: no link is followed, wherever it stands; meeting one is ELOOP.
        """
        self.fd = fd
        self.links = links
        self._kernel = opener == "openat2" or (opener == "auto" and _kernel_resolves(fd))

    def __del__(self) -> None:
        os.close(self.fd)

    @property
    def opener(self) -> Literal["openat2", "walk"]:
        """Which way is in force."""
        return "openat2" if self._kernel else "walk"

    def open(self, route: Route, flags: int) -> int:
        """Open what stands at a route, links followed; never creates."""
        if route.directory:
            flags |= os.O_DIRECTORY
        if self._kernel and self.links:  # as `_open` begins, at once
            try:
                return openat2(self.fd, route.raw, flags, _BENEATH)
            except OSError as error:
                if error.errno not in {errno.EAGAIN, errno.ENAMETOOLONG}:
                    raise
        return self._open(route.names, route.raw, flags)

    def open_names(self, names: Names, flags: int, *, follow: bool = True) -> int:
        """Open what stands at names; with `follow=False` a link anywhere is ELOOP or ENOTDIR."""
        return self._open(names, _join(names), flags, follow=follow)

    def _open(self, names: Names, raw: bytes, flags: int, *, follow: bool = True) -> int:
        follow = follow and self.links
        if self._kernel:
            resolve = _BENEATH if follow else _BENEATH | RESOLVE_NO_SYMLINKS
            for _ in range(MAX_AGAIN):
                try:
                    return openat2(self.fd, raw, flags, resolve)
                except OSError as error:
                    if error.errno == errno.EAGAIN:
                        continue
                    # Longer than PATH_MAX in all, though every name is short: the walk can.
                    if error.errno != errno.ENAMETOOLONG:
                        raise
                break
        return _walk(self.fd, names, flags, follow=follow)

    def entry(self, names: Names) -> Names:
        """The names of the directory that holds the last name.

        The root has no name, and a path that ends in `..` names no entry: EBUSY and EINVAL, as
        rmdir(2) says for `/` and for `.`.
        """
        if not names:
            raise fail(errno.EBUSY)
        if names[-1] == "..":
            os.close(self.open_names(names, DIRECTORY))  # EXDEV if it leads out
            raise fail(errno.EINVAL)
        return names[:-1]

    def parent(self, names: Names) -> tuple[int, str]:
        """The directory that holds the last name (O_PATH, yours to close), and that name."""
        return self.open_names(self.entry(names), DIRECTORY), names[-1]

    def target(self, names: Names, *, make: bool = False) -> tuple[int, str]:
        """As `parent`, but of what a link at the end points to; `make` makes missing parents.

        The entry that is answered was no link a moment ago, and is used by its single name: if it
        became one meanwhile, the link itself is what is opened with O_NOFOLLOW, or replaced.
        """
        return self.final(names, make=make)[:2]

    def final(self, names: Names, *, make: bool = False) -> tuple[int, str, os.stat_result | None]:
        """As `target`, with the status of what stands there; None if nothing does."""
        for _ in range(MAX_LINKS + 1):
            if not names or names[-1] == "..":
                os.close(self.open_names(names, DIRECTORY))
                raise fail(errno.EISDIR)
            try:
                directory = self.open_names(names[:-1], DIRECTORY)
            except FileNotFoundError:
                if not make:
                    raise
                directory = self.make(names[:-1])
            try:
                found = _met(names[-1], directory)
            except OSError:
                os.close(directory)
                raise
            if not isinstance(found, str):
                return directory, names[-1], found
            os.close(directory)
            if not self.links:
                raise fail(errno.ELOOP)
            if found.startswith("/"):
                raise fail(errno.EXDEV)
            inner, directory_wanted = split_link(found)
            names = names[:-1] + inner
            if directory_wanted:
                os.close(self.open_names(names, DIRECTORY))
                raise fail(errno.EISDIR)
        raise fail(errno.ELOOP)

    def nearest(self, names: Names) -> tuple[int, int]:
        """The deepest directory on the way that is there (O_PATH, yours), and its depth."""
        there = len(names)
        while True:
            try:
                return self.open_names(names[:there], DIRECTORY), there
            except FileNotFoundError:
                if there == 0:  # the root itself was removed
                    raise
                there -= 1

    def make(self, names: Names) -> int:
        """Make a directory and its parents if they are missing; open it (O_PATH, yours)."""
        directory, there = self.nearest(names)
        if ".." in names[there:]:  # nothing can be above what is not there
            os.close(directory)
            raise fail(errno.ENOENT)
        for depth in range(there, len(names)):
            above, name = directory, names[depth]
            try:
                os.mkdir(name, dir_fd=above)
                directory = os.open(name, DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=above)
            except FileExistsError:
                # Somebody else made it; or it is a link that dangles, as we are told here.
                directory = self.open_names(names[: depth + 1], DIRECTORY)
            finally:
                os.close(above)
        return directory


def _kernel_resolves(fd: int) -> bool:
    """Whether openat2 works here: ENOSYS on old kernels and gVisor, EPERM under seccomp."""
    try:
        os.close(openat2(fd, b".", DIRECTORY, _BENEATH))
    except OSError:
        return False
    return True


def _walk(  # noqa: C901, PLR0912 - one loop, so that it can be read as one
    root: int, names: Names, flags: int, *, follow: bool
) -> int:
    """Open names from `root` one by one. Security-critical: one loop, commented line by line."""
    # The directories from the root to where we are: `..` goes back to the one before, so a
    # directory that is moved while we are in it cannot lead us above the root.
    stack: list[int] = []
    pending = list(reversed(names))
    links = again = 0
    try:
        while pending:
            name = pending.pop()
            here = stack[-1] if stack else root
            if name == "..":
                if not stack:  # above the root
                    raise fail(errno.EXDEV)
                os.close(stack.pop())
                continue
            wanted = flags if not pending else DIRECTORY
            try:
                # O_NOFOLLOW: the kernel never follows a link for us, whatever races us.
                opened = os.open(name, wanted | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=here)
            except OSError as error:
                if error.errno not in {errno.ELOOP, errno.ENOTDIR}:
                    raise
                text = _link_text(name, here)
                if text is None:
                    # No link: a file in the middle, or not a directory at the end; unless it was
                    # a link a moment ago, swapped between the two calls: look again.
                    again += 1
                    if again > MAX_AGAIN or not _is_directory(name, here):
                        raise fail(errno.ENOTDIR) from None
                    pending.append(name)
                    continue
            else:
                if not wanted & os.O_PATH or not stat.S_ISLNK(os.fstat(opened).st_mode):
                    if not pending:
                        return opened
                    stack.append(opened)
                    continue
                # O_PATH | O_NOFOLLOW opens a link itself; this very link is what we read.
                try:
                    text = os.readlink("", dir_fd=opened)
                finally:
                    os.close(opened)
            links += 1
            if not follow or links > MAX_LINKS:
                raise fail(errno.ELOOP)
            if text.startswith("/"):  # refused even if it points inside, as openat2 does
                raise fail(errno.EXDEV)
            inner, directory_wanted = split_link(text)
            if directory_wanted and not pending:
                flags |= os.O_DIRECTORY
            pending.extend(reversed(inner))
        # `.`, `a/..`, or a link to such: the directory where we are, opened as was asked.
        return os.open(".", flags | os.O_CLOEXEC, dir_fd=stack[-1] if stack else root)
    finally:
        for each in stack:
            os.close(each)


def _met(name: str, directory: int) -> os.stat_result | str | None:
    """The status of an entry, or the text of the link that it is; None if there is none."""
    for _ in range(MAX_AGAIN):
        try:
            status = os.stat(name, dir_fd=directory, follow_symlinks=False)
        except FileNotFoundError:
            return None
        if not stat.S_ISLNK(status.st_mode):
            return status
        with contextlib.suppress(FileNotFoundError):
            text = _link_text(name, directory)
            if text is not None:  # else it was swapped between the two calls: look again
                return text
    raise fail(errno.ELOOP)


def _link_text(name: str, directory: int) -> str | None:
    try:
        return os.readlink(name, dir_fd=directory)
    except OSError as error:
        if error.errno == errno.EINVAL:
            return None
        raise


def _is_directory(name: str, directory: int) -> bool:
    return stat.S_ISDIR(os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode)
