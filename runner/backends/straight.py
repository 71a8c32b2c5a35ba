"""Straight paths: where a path really leads, for who decides by names before anything is done.

Model. Whoever grants by names (scopes/permitted.py) first has a path *resolved*: links followed,
`..` gone. That is a statement about a moment ago. So the operation is then carried out on the
resolved path by a *straight* view of the same files (`Backend.straight`), which follows no link at
all: if a link was put in its way meanwhile, it fails, and is resolved and decided anew. What was
carried out was carried out at the very names that were decided on.

Names say nothing of contents: a hard link is another name of the same file.
"""

from __future__ import annotations

import errno
import os
from typing import Protocol, Self, cast, runtime_checkable

import attrs

from runner.backends.beneath import DIRECTORY, MAX_LINKS, Beneath, Names, Route, fail, split_link
from runner.errors import ConfigError
from runner.operations import Asking

MOST_NAMES = 4096  # in a path that has links or `..` in it; PATH_MAX allows half as many

# Missing, behind a file, not for us, or changed since a moment ago.
_NOT_THERE = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EACCES}


@attrs.frozen(kw_only=True)
class Mount:
    """A part of a tree that is kept elsewhere: what stands at a route of a composite.

    Attributes:
        names: where it stands, from the root of the tree.
        root: the absolute path of that place where it is kept, as it was given.
        real_root: the same with links followed.
    """

    names: Names
    root: str
    real_root: str


@attrs.frozen(kw_only=True)
class Resolved:
    """Where a caller's path leads.

    Attributes:
        given: the names as they were written, from the backend's root.
        names: the same with links followed. `..` and links stay where nothing can be opened.
        directory: only a directory may stand there.
        root: the absolute path of the backend's root, as it was given.
        real_root: the same with links followed.
        mounts: what of all at, above and beneath the path is kept elsewhere, the deepest first.
    """

    given: Names
    names: Names
    directory: bool
    root: str
    real_root: str
    mounts: tuple[Mount, ...] = ()

    @property
    def path(self) -> str:
        """For an operation of the straight view."""
        return "/".join(self.names or (".",)) + ("/" if self.directory else "")


@runtime_checkable
class Straightening(Protocol):
    """Files of which there is a straight view: most backends, and scopes."""

    def straight(self) -> Self:
        """The same files, in which no link is followed."""

    def resolve(self, op: str, path: str, *, entry: bool = False) -> Resolved:
        """Where a path leads, links followed; short work, without a checkpoint."""


def straightening(member: Asking) -> Straightening:
    """What can tell where its paths lead; ConfigError if it cannot."""
    if isinstance(member, Straightening):
        return member
    raise ConfigError(f"{member.name} cannot be used with permissions: give them to what it uses")


def straight_view(member: Asking) -> Asking:
    """The same files, in which no link is followed; ConfigError if there is no such view."""
    return cast("Asking", straightening(member).straight())


def resolved(
    beneath: Beneath | None, route: Route, *, entry: bool, root: str, real_root: str
) -> Resolved:
    """Resolve a route; OSError(EXDEV) if it leads out.

    Args:
        beneath: the open root, which follows no links; None: it is not there, so nothing is.
        route: the path.
        entry: the last name is that of the entry itself, also if it is a link.
        root: its absolute path.
        real_root: the same with links followed.
    """
    names, directory = route.names, route.directory
    if beneath is not None and names:
        last = names[-1:] if entry else ()
        names, demands = _resolve(beneath, names[: len(names) - len(last)])
        names, directory = names + last, directory or (demands and not last)
    return Resolved(
        given=route.names, names=names, directory=directory, root=root, real_root=real_root
    )


def _resolve(  # noqa: C901, PLR0912 - one loop, so that it can be read as one
    beneath: Beneath, names: Names
) -> tuple[Names, bool]:
    """Names without links; whether the last link demands a directory.

    One name after the other, each opened from the directory before it, so that a path costs one
    look for each name in it. What cannot be opened ends the search: the rest stays as written, and
    the operation itself is to say what is wrong with it.
    """
    if ".." not in names and _stands(beneath, names):
        return names, False
    if len(names) > MOST_NAMES:
        raise fail(errno.ENAMETOOLONG)
    done: list[str] = []
    pending = list(reversed(names))
    name, links, demands = "", 0, False
    here = os.dup(beneath.fd)
    try:
        while pending:
            name = pending.pop()
            if name == "..":
                if not done:
                    raise fail(errno.EXDEV)
                # ENOTDIR if we are at what is no directory: nothing is above that.
                os.close(os.open(".", DIRECTORY | os.O_CLOEXEC, dir_fd=here))
                opened = beneath.open_names(tuple(done[:-1]), DIRECTORY, follow=False)
                done.pop()
            else:
                opened = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=here)
                try:
                    text = os.readlink("", dir_fd=opened)
                except OSError:  # no link: ENOENT, as readlinkat(2) says of an empty name
                    done.append(name)
                else:
                    os.close(opened)
                    links += 1
                    if text.startswith("/"):
                        raise fail(errno.EXDEV)
                    if links > MAX_LINKS:
                        pending.append(name)
                        break
                    inner, wanted = split_link(text)
                    demands = demands or (wanted and not pending)
                    pending.extend(reversed(inner))
                    continue
            os.close(here)
            here = opened
    except OSError as error:
        if error.errno not in _NOT_THERE:
            raise
        pending.append(name)
    finally:
        os.close(here)
    return (*done, *reversed(pending)), demands


def _stands(beneath: Beneath, names: Names) -> bool:
    """Whether something stands at names, with no link on the way or at the end."""
    try:
        os.close(beneath.open_names(names, os.O_PATH, follow=False))
    except OSError:
        return False
    return True
