"""What a framework's paths mean in a scope, and its errors in deepagents' words."""

from __future__ import annotations

from typing import Literal

import attrs
from deepagents.backends.protocol import (
    FILE_NOT_FOUND,
    INVALID_PATH,
    IS_DIRECTORY,
    PERMISSION_DENIED,
)

from runner import errors as e
from runner.scopes.scope import Scope

Code = Literal["file_not_found", "permission_denied", "is_directory", "invalid_path"]


@attrs.frozen
class Paths:
    """Paths of a scope: its real absolute ones, or those in which "/" is the scope.

    Relative ones are relative to the scope.
    """

    scope: Scope
    virtual: bool = attrs.field(kw_only=True)

    def inner(self, path: str | None) -> str:
        """A path as the scope takes it."""
        if not path:
            return "."
        if self.virtual:
            return path.lstrip("/") or "."
        top = self.scope.directory.rstrip("/")
        if path.rstrip("/") == top:
            return "."
        return path[len(top) :].lstrip("/") if path.startswith(top + "/") else path

    def outer(self, path: str) -> str:
        """A path from the scope's directory, as the framework is shown it."""
        top = "" if self.virtual else self.scope.directory.rstrip("/")
        return top if path == "." else f"{top}/{path}"


def is_absolute(path: str) -> bool:
    """Whether files can be sent to, or got from, such a path: it is absolute and has no `..`."""
    return path.startswith("/") and ".." not in path.split("/") and "\0" not in path


def code_of(kind: str) -> Code | None:
    """The code of deepagents for the class of an error; None if it has none."""
    codes: dict[str, Code] = {
        e.NotFound.__name__: FILE_NOT_FOUND,
        e.PermissionDenied.__name__: PERMISSION_DENIED,
        e.PathEscapes.__name__: PERMISSION_DENIED,
        e.InvalidPath.__name__: INVALID_PATH,
    }
    return codes.get(kind)


async def explained(scope: Scope, kind: str, path: str, reason: str) -> Code | str:
    """The code of deepagents for what went wrong with a file, or the reason."""
    if kind != e.WrongType.__name__:
        return code_of(kind) or reason
    try:
        return IS_DIRECTORY if (await scope.stat(path)).type == "directory" else INVALID_PATH
    except e.OperationError:  # a part of the path is a file
        return INVALID_PATH
