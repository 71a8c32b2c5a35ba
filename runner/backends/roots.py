"""The root of a local scope: opened at first use, and what a caller's path means in it.

Model. A root is a path until its first use, then a `Beneath`: an open directory. It is opened again
only when that directory has been removed. A root may have to lie beneath another directory (a scope
of a scope): then it is opened from there, so that no link leads it elsewhere.
"""

from __future__ import annotations

import contextlib
import copy
import errno
import os
import stat

from runner.backends.beneath import (
    DIRECTORY,
    USABLE,
    Beneath,
    Opener,
    Route,
    UnusablePath,
    directory_named,
    fail,
    parse,
    relative,
)
from runner.backends.failures import Answers
from runner.errors import InvalidPath, PathEscapes


class Root:
    """A directory that is opened at first use.

    Attributes:
        path: absolute, as it was given.
        forced: the way of containment that was asked for.
    """

    __slots__ = ("_create", "_links", "_open", "_paths", "_within", "forced", "path")

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        create: bool,
        beneath: str | os.PathLike[str] | None,
        opener: Opener,
    ) -> None:
        """Nothing is touched yet."""
        given = directory_named(path)
        absolute = os.path.abspath(given)
        self.path = given if given == absolute else absolute  # one string for all who have it
        self.forced: Opener = opener
        self._create = create
        self._within = None if beneath is None else os.path.abspath(directory_named(beneath))
        self._open: Beneath | None = None
        self._links = True
        self._paths: tuple[str, ...] = (self.path,)

    @property
    def real(self) -> str:
        """The directory's real path, as it was when it was opened; as given, if it never was."""
        return self._paths[-1]

    def straight(self) -> Root:
        """The same root, in which no link is followed; it is opened for itself."""
        other = copy.copy(self)
        other._links = False  # noqa: SLF001 - of the same class
        if self._open is not None:
            fd = os.dup(self._open.fd)
            other._open = Beneath(fd, opener=self.forced, links=False)  # noqa: SLF001
        return other

    @property
    def opener(self) -> str:
        """Which way of containment is in force."""
        return "not opened" if self._open is None else self._open.opener

    def close(self) -> None:
        """Let go of the directory; closed when the last operation has let go of it, too."""
        self._open = None

    def open(self, *, make: bool) -> Beneath:
        """The open root. An effect (`make`) creates a missing one, if that is allowed."""
        beneath = self._open
        if beneath is not None and os.fstat(beneath.fd).st_nlink:
            return beneath
        # The first operation, or the directory was removed: look at the path again.
        fd = self._opened(make=make and self._create)
        beneath = self._open = Beneath(fd, opener=self.forced, links=self._links)
        try:
            real = os.readlink(f"/proc/self/fd/{fd}")
        except OSError:  # no /proc
            real = os.path.realpath(self.path)
        self._paths = (self.path,) if real == self.path else (self.path, real)
        return beneath

    def look(self, route: Route, flags: int) -> int:
        """Open what stands at a route, for an observation."""
        beneath = self._open
        if beneath is not None and route.names:
            try:
                return beneath.open(route, flags)
            except FileNotFoundError:  # all that is ever found in a directory that was removed
                if os.fstat(beneath.fd).st_nlink:
                    raise
        return self.open(make=False).open(route, flags)

    def status(self, route: Route) -> os.stat_result:
        """The status of what stands at a route, links followed."""
        names, beneath = route.names, self._open
        if len(names) == 1 and beneath is not None and names[0] != ".." and not route.directory:
            # A single name that is no link leads nowhere else: one call instead of three.
            with contextlib.suppress(OSError):
                status = os.stat(names[0], dir_fd=beneath.fd, follow_symlinks=False)
                if not stat.S_ISLNK(status.st_mode):
                    return status
        fd = self.look(route, os.O_PATH)
        try:
            return os.fstat(fd)
        finally:
            os.close(fd)

    def _opened(self, *, make: bool) -> int:
        outer = self.path if self._within is None else self._within
        if make:
            os.makedirs(outer, exist_ok=True)
        fd = os.open(outer, DIRECTORY | os.O_CLOEXEC)
        if self._within is None:
            return fd
        within = Beneath(fd, opener=self.forced)
        route = relative(parse(self.path), self._within)
        if route is None:
            raise fail(errno.EXDEV)
        return within.make(route.names) if make else within.open(route, DIRECTORY)

    def route(self, op: str, path: str) -> Route:
        """A caller's path as names from the root; absolute ones that lie inside are accepted."""
        try:
            route = parse(path)
        except UnusablePath as error:
            raise InvalidPath(op, path, str(error), scope=self.path, hint=USABLE) from None
        if not route.absolute:
            return route
        if self._open is None:  # its real path is not known before
            with contextlib.suppress(OSError):
                self.open(make=False)
        inside = relative(route, *self._paths)
        if inside is None:
            hint = f"paths here begin at {self.path}"
            raise PathEscapes(op, path, scope=self.path, hint=hint)
        return inside

    def answers(self, op: str, path: str) -> Answers:
        """Makes an OSError the answer of an operation."""
        return Answers(op, path, self.path)
