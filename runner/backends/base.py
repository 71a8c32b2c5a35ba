"""The protocol that every backend keeps, and what all of them share.

A backend has one method per operation of `runner.messages`, with the names of `Scope`; `carry_out`
is the one dispatch from a message to its method. Contract tests for all of it are shipped in
`runner.testing.backend_contract`.

Rules that every backend keeps: each method begins with a checkpoint; a good answer is the message's
answer type; a failure is an OperationError that carries the caller's path as it was written, and no
OSError, ValueError or UnicodeError of the standard library leaves; a cancelled effect has happened
or has not, and nothing goes on after the method was left.

Backends know nothing of actors or of order: whoever uses one from several tasks brings the order.
"""

from __future__ import annotations

import enum
import errno
import os
from collections.abc import Mapping
from types import TracebackType
from typing import Final, Protocol, TypeVar, assert_never, cast

from runner import messages as m
from runner.errors import (
    AlreadyExists,
    EditFailed,
    InvalidPath,
    NoSpace,
    NotEmpty,
    NotFound,
    OperationError,
    PathEscapes,
    PermissionDenied,
    WrongType,
)

AnswerT = TypeVar("AnswerT")


class Later(enum.Enum):
    """That an operation is none of those that can be answered at once."""

    LATER = "later"


LATER: Final = Later.LATER


class Backend(Protocol):
    """Where files and processes are. Paths, bytes and answers are those of `runner.messages`."""

    async def read(self, path: str, *, offset: int = 0, limit: int | None = None) -> bytes:
        """The content of a file, or `limit` bytes of it from `offset`."""
        ...

    async def write(self, path: str, content: bytes, *, durable: bool = False) -> None:
        """Replace a file's content whole, or make the file and its parents."""
        ...

    async def append(self, path: str, content: bytes) -> None:
        """Add to a file's end, or make the file and its parents."""
        ...

    async def edit(self, path: str, old: bytes, new: bytes, *, replace_all: bool = False) -> int:
        """Replace an exact piece of a file; how many times it was replaced."""
        ...

    async def stat(self, path: str) -> m.FileStat:
        """What stands at a path, links followed."""
        ...

    async def exists(self, path: str) -> bool:
        """Whether something stands at a path, links followed."""
        ...

    async def ls(self, path: str = ".", *, limit: int = 10_000) -> m.Listing:
        """The entries of a directory, sorted by name."""
        ...

    async def mkdir(self, path: str, *, exist_ok: bool = True) -> None:
        """Make a directory and its parents."""
        ...

    async def copy(self, source: str, target: str, *, overwrite: bool = False) -> None:
        """Copy a file or a tree to a new path; links are copied as links."""
        ...

    async def move(self, source: str, target: str, *, overwrite: bool = False) -> None:
        """Rename a file, a link or a tree."""
        ...

    async def remove(self, path: str, *, recursive: bool = False, missing_ok: bool = False) -> None:
        """Remove a file, a link, an empty directory, or a tree; never the root."""
        ...

    async def glob(
        self, pattern: str, path: str = ".", *, hidden: bool = False, limit: int = 10_000
    ) -> m.Found:
        """The paths below `path` that match a pattern."""
        ...

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
        """The lines of text files below `path` that match."""
        ...

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
        """Run a program in the scope and wait for its end."""
        ...

    async def carry_out(self, operation: m.Message[AnswerT]) -> AnswerT:
        """Carry out a message: the method of its name."""
        ...

    def answer_now(self, operation: m.Message[AnswerT]) -> AnswerT | Later:
        """Carry out a message whose work is short, without a checkpoint; LATER if it is not.

        For whoever makes the checkpoint itself, as an actor does; else it is `carry_out`.
        """
        ...

    async def aclose(self) -> None:
        """Let go of what the backend holds; it may be used again afterwards."""
        ...


async def carry_out(backend: Backend, operation: m.Message[AnswerT]) -> AnswerT:
    """The single dispatch from messages to methods; a new operation without a case is a type error.

    The one cast of the typed vocabulary: each method's answer is its message's `AnswerT`.
    """
    return cast("AnswerT", await _dispatch(backend, cast("m.Operation", operation)))


async def _dispatch(  # noqa: C901, PLR0911, PLR0912 - one case per operation
    backend: Backend, operation: m.Operation
) -> object:
    match operation:
        case m.Read(path=path):
            return await backend.read(path, offset=operation.offset, limit=operation.limit)
        case m.Write(path=path):
            await backend.write(path, operation.content, durable=operation.durable)
        case m.Stat(path=path):
            return await backend.stat(path)
        case m.Exists(path=path):
            return await backend.exists(path)
        case m.Ls(path=path):
            return await backend.ls(path, limit=operation.limit)
        case m.Edit(path=path, old=old, new=new):
            return await backend.edit(path, old, new, replace_all=operation.replace_all)
        case m.Append(path=path):
            await backend.append(path, operation.content)
        case m.Mkdir(path=path):
            await backend.mkdir(path, exist_ok=operation.exist_ok)
        case m.Copy(source=source, target=target):
            await backend.copy(source, target, overwrite=operation.overwrite)
        case m.Move(source=source, target=target):
            await backend.move(source, target, overwrite=operation.overwrite)
        case m.Remove(path=path):
            await backend.remove(
                path, recursive=operation.recursive, missing_ok=operation.missing_ok
            )
        case m.Glob(pattern=pattern, path=path):
            return await backend.glob(pattern, path, hidden=operation.hidden, limit=operation.limit)
        case m.Grep(pattern=pattern, path=path):
            return await backend.grep(
                pattern,
                path,
                literal=operation.literal,
                ignore_case=operation.ignore_case,
                glob=operation.glob,
                hidden=operation.hidden,
                limit=operation.limit,
            )
        case m.Exec(command=command):
            return await backend.exec(
                command,
                cwd=operation.cwd,
                env=dict(operation.env),
                input=operation.input,
                timeout=operation.timeout,
                silence=operation.silence,
                max_output=operation.max_output,
            )
        case _:
            assert_never(operation)
    return None


_KINDS: dict[int, tuple[type[OperationError], str, str]] = {
    errno.ENOENT: (NotFound, "", ""),
    errno.ESTALE: (NotFound, "", ""),
    errno.EEXIST: (AlreadyExists, "", "pass overwrite=True, or remove it first"),
    errno.ENOTEMPTY: (NotEmpty, "", "pass recursive=True to remove a tree"),
    errno.EISDIR: (WrongType, "a directory, where a file is needed", ""),
    errno.ENOTDIR: (WrongType, "a part of the path is not a directory", ""),
    errno.ENXIO: (WrongType, "neither a regular file nor a directory", ""),
    errno.ENODEV: (WrongType, "neither a regular file nor a directory", ""),
    errno.EXDEV: (PathEscapes, "", "links that are absolute are refused wherever they point"),
    errno.EACCES: (PermissionDenied, "", ""),
    errno.EPERM: (PermissionDenied, "", ""),
    errno.EROFS: (PermissionDenied, "the file system is read-only", ""),
    errno.EBUSY: (PermissionDenied, "the scope's own directory stays, or something is mounted", ""),
    errno.ETXTBSY: (PermissionDenied, "a program that runs now", ""),
    errno.ELOOP: (InvalidPath, "too many links, or links in a circle", ""),
    errno.ENAMETOOLONG: (InvalidPath, "the path or a name in it is too long", ""),
    errno.EINVAL: (InvalidPath, "it names no entry of a directory, or lies in itself", ""),
    errno.EILSEQ: (InvalidPath, "the file system does not take such a name", ""),
    errno.ENOSPC: (NoSpace, "", ""),
    errno.EDQUOT: (NoSpace, "the disk quota is used up", ""),
    errno.EFBIG: (NoSpace, "larger than a file may be here", ""),
}


def translate(error: OSError, op: str, path: str, scope: str | None) -> OperationError:
    """An OSError as the error of an operation: the border where errno ends."""
    code = error.errno or 0
    kind, reason, hint = _KINDS.get(code, (OperationError, "", ""))
    if kind is OperationError:
        reason = os.strerror(code) if code else str(error)
    return kind(op, path, reason, scope=scope, hint=hint)


class Answers:
    """Makes an OSError inside it the answer of an operation: the border where errno ends."""

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
        if isinstance(error, OSError):
            raise translate(error, self.op, self.path, self.scope) from error


def require_counts(op: str, path: str, scope: str, *counts: int | None) -> None:
    """Raise OperationError if an offset or a limit is negative."""
    for each in counts:
        if each is not None and each < 0:
            raise OperationError(op, path, f"{each} is negative", scope=scope)


def edited(
    content: bytes, old: bytes, new: bytes, *, replace_all: bool, path: str, scope: str
) -> tuple[bytes, int]:
    """The content with `old` replaced, and how many times; EditFailed with what would help."""

    def failed(reason: str, hint: str = "") -> EditFailed:
        return EditFailed("edit", path, reason, scope=scope, hint=hint)

    if not old:
        raise failed("the text to replace is empty", "write() replaces a whole file")
    count = content.count(old)
    if count == 0:
        raise failed("the text to replace was not found", _why_not_found(content, old))
    if count > 1 and not replace_all:
        raise failed(
            f"the text to replace stands there {count} times, in lines {_lines(content, old)}",
            "give more of the text around it, or pass replace_all=True",
        )
    return content.replace(old, new), count


def _why_not_found(content: bytes, old: bytes) -> str:
    if b"\r\n" in content and old.replace(b"\r\n", b"\n") in content.replace(b"\r\n", b"\n"):
        return "it differs only in line endings: the file has CRLF"
    if b"".join(old.split()) in b"".join(content.split()):
        return "it differs only in white space"
    if old.lower() in content.lower():
        return "it differs only in upper and lower case"
    return "read the file again: it must stand there byte for byte"


def _lines(content: bytes, old: bytes, most: int = 5) -> str:
    found: list[str] = []
    start = content.find(old)
    while start >= 0 and len(found) <= most:
        found.append(str(content.count(b"\n", 0, start) + 1))
        start = content.find(old, start + len(old))
    return ", ".join(found[:most]) + (", …" if len(found) > most else "")
