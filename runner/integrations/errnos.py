"""The errors of operations as the builtin file errors that other frameworks expect."""

from __future__ import annotations

import errno

from runner import errors as e
from runner.messages import FileType

_KINDS: tuple[tuple[type[e.OperationError], type[OSError], int], ...] = (
    (e.NotFound, FileNotFoundError, errno.ENOENT),
    (e.AlreadyExists, FileExistsError, errno.EEXIST),
    (e.PermissionDenied, PermissionError, errno.EACCES),
    (e.PathEscapes, PermissionError, errno.EACCES),
    (e.NotEmpty, OSError, errno.ENOTEMPTY),
    (e.NoSpace, OSError, errno.ENOSPC),
    (e.InvalidPath, OSError, errno.EINVAL),
    (e.InvalidArgument, OSError, errno.EINVAL),
)


def as_os_error(error: e.OperationError, path: str, there: FileType | None) -> OSError:
    """An error of an operation as the operating system would have said it.

    Args:
        error: of an operation on one path.
        path: as the caller of the adapter wrote it.
        there: what stands at that path; None = nothing, or nothing that can be reached.
    """
    if isinstance(error, e.WrongType):
        return _wrong_type(error, path, there)
    for kind, builtin, number in _KINDS:
        if isinstance(error, kind):
            return builtin(number, error.reason, path)
    return OSError(errno.EIO, error.reason, path)


def _wrong_type(error: e.WrongType, path: str, there: FileType | None) -> OSError:
    if there is None or (there == "file" and error.op == "ls"):
        return NotADirectoryError(errno.ENOTDIR, error.reason, path)
    if error.op == "mkdir":
        return FileExistsError(errno.EEXIST, "a file stands there", path)
    if there == "directory":
        return IsADirectoryError(errno.EISDIR, error.reason, path)
    return OSError(errno.EINVAL, error.reason, path)  # a FIFO, a socket, a device
