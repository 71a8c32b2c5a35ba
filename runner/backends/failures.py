"""The border where errno ends: an OSError becomes the answer of an operation."""

from __future__ import annotations

import errno
import os
from types import TracebackType

from runner.errors import (
    AlreadyExists,
    InvalidArgument,
    InvalidPath,
    NoSpace,
    NotEmpty,
    NotFound,
    OperationError,
    PathEscapes,
    PermissionDenied,
    WrongType,
)
from runner.messages import Failure

_THERE = "ls() and glob() say what is there"
_FILES = "only regular files are read and written here: exec() can use others"
_RIGHTS = "its mode or its owner forbids it: chmod(), or work on a copy"
_ROOM = "remove something or write less: what was there is unchanged"

# For each errno: the error, its reason if that is not the error's own, and what would work.
_KINDS: dict[int, tuple[type[OperationError], str, str]] = {
    errno.ENOENT: (NotFound, "", _THERE),
    errno.ESTALE: (NotFound, "", _THERE),
    errno.EEXIST: (AlreadyExists, "", "pass overwrite=True, or remove it first"),
    errno.ENOTEMPTY: (NotEmpty, "", "pass recursive=True to remove a tree"),
    errno.EISDIR: (WrongType, "a directory, where a file is needed", "name a file in it"),
    errno.ENOTDIR: (WrongType, "a part of the path is not a directory", _THERE),
    errno.ENXIO: (WrongType, "neither a regular file nor a directory", _FILES),
    errno.ENODEV: (WrongType, "neither a regular file nor a directory", _FILES),
    errno.EXDEV: (PathEscapes, "", "links that are absolute are refused wherever they point"),
    errno.EACCES: (PermissionDenied, "", _RIGHTS),
    errno.EPERM: (PermissionDenied, "", _RIGHTS),
    errno.EROFS: (PermissionDenied, "the file system is read-only", "write elsewhere"),
    errno.EBUSY: (
        PermissionDenied,
        "the scope's own directory stays, or something is mounted",
        "name something in it",
    ),
    errno.ETXTBSY: (
        PermissionDenied,
        "a program that runs now",
        "wait for its end, or put another file in its place",
    ),
    errno.ELOOP: (InvalidPath, "too many links, or links in a circle", "remove the link"),
    errno.ENAMETOOLONG: (
        InvalidPath,
        "the path or a name in it is too long",
        "a name has 255 bytes at most",
    ),
    errno.EINVAL: (
        InvalidPath,
        "it names no entry of a directory, or lies in itself",
        "end the path in a name, and put nothing into itself",
    ),
    errno.EILSEQ: (InvalidPath, "the file system does not take such a name", "name it in ASCII"),
    errno.EOVERFLOW: (  # of an overlay in a user namespace (overlayfs.rst): it keeps the owner
        PermissionDenied,
        "its owner or group has no name where it is to be changed",
        "chown it in the base, or make the workspace with way='copy'",
    ),
    errno.ENOSPC: (NoSpace, "", _ROOM),
    errno.EDQUOT: (NoSpace, "the disk quota is used up", _ROOM),
    errno.EFBIG: (NoSpace, "larger than a file may be here", _ROOM),
}
_OTHER = (OperationError, "", "the operating system said so; its log may say more")


def translate(error: OSError, op: str, path: str, scope: str | None) -> OperationError:
    """An OSError as the error of an operation: the border where errno ends."""
    code = error.errno or 0
    kind, reason, hint = _KINDS.get(code, _OTHER)
    if kind is OperationError:
        reason = os.strerror(code) if code else str(error)
    return kind(op, path, reason, scope=scope, hint=hint)


class Answers:
    """Makes an OSError inside it the answer of an operation, and tells errors where they are."""

    __slots__ = ("op", "path", "scope")

    def __init__(self, op: str, path: str, scope: str) -> None:
        self.op = op
        self.path = path
        self.scope = scope

    def __enter__(self) -> None:
        return None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if isinstance(error, OperationError) and error.scope is None:
            error.scope = self.scope
        if isinstance(error, OSError):
            raise translate(error, self.op, self.path, self.scope) from error


def unknown(message: object, scope: str) -> InvalidArgument:
    """For a message that stands in no table."""
    reason = "there is no such operation here"
    hint = "those that there are stand in runner.messages"
    return InvalidArgument(type(message).__name__, None, reason, scope=scope, hint=hint)


def failure(error: OperationError) -> Failure:
    """An error as a value, for an operation that answers for many."""
    return Failure.of(error)
