"""What pydantic-ai-backend's `LocalBackend` does with files, as coroutines on a backend of ours."""

from __future__ import annotations

import errno
import os
import posixpath
import re
from collections.abc import Callable

from runner.backends.base import Backend
from runner.compat.pydantic_ai_backends.words import (
    FileInfo,
    GrepMatch,
    replaced,
    window,
)
from runner.errors import InvalidPattern, NoSpace, OperationError, PathEscapes, WrongType
from runner.messages import FileStat

MAX_CHARS = 200_000  # of one read
DEFAULT_LIMIT = 2000  # lines
ALL = 1 << 30
LONGEST_NAME = 255  # bytes, on Linux
SKIPPED = frozenset(
    [
        ".eggs",
        ".git",
        ".mypy_cache",
        ".pytest_cache",
        ".ruff_cache",
        ".tox",
        ".venv",
        "__pycache__",
        "build",
        "dist",
        "node_modules",
        "venv",
    ]
)
Shows = Callable[[str], bool]  # whether an absolute path is shown


def why(error: OperationError, real: str) -> str:
    """What the peer passes on: what the operating system says, where there is such a word."""
    if isinstance(error, NoSpace):
        return str(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
    if max(len(os.fsencode(name)) for name in real.split("/")) > LONGEST_NAME:
        return str(OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG), real))
    if not isinstance(error, WrongType):
        return error.reason
    if os.path.isdir(real):
        return str(OSError(errno.EISDIR, os.strerror(errno.EISDIR), real))
    if os.path.exists(real):
        return error.reason  # a FIFO, a socket, a device
    while not os.path.exists(real):
        real = posixpath.dirname(real)
    return str(OSError(errno.EEXIST, os.strerror(errno.EEXIST), real))


def invalid(pattern: str, error: InvalidPattern) -> str:
    """What is wrong with a pattern, in the words of `re` if it finds the same; or with a glob."""
    if error.path != pattern:
        return f"Invalid glob pattern: {error.reason}"
    try:
        re.compile(pattern)
    except re.error as said:
        return f"Invalid regex pattern: {said}"
    return f"Invalid regex pattern: {error.reason}"


def info(path: str, stat: FileStat) -> FileInfo:
    """An entry of a listing, by its absolute path."""
    is_file = stat.type == "file"
    return FileInfo(
        name=posixpath.basename(path),
        path=path,
        is_dir=stat.type == "directory",
        size=stat.size if is_file else None,
        modified_at=stat.modified.isoformat() if is_file else None,
    )


async def read(backend: Backend, inner: str, offset: int, limit: int) -> str:
    """Numbered lines; an error as a text."""
    data = await backend.read(inner, encoding=None)
    lines = data.decode("utf-8", "replace").replace("\r\n", "\n").replace("\r", "\n").split("\n")
    if lines[-1] == "":
        lines.pop()
    shown = window(lines, offset, limit)
    if len(shown) <= MAX_CHARS:
        return shown
    if offset or limit != DEFAULT_LIMIT:
        return (
            f"Error: The requested range is too large to return ({len(shown):,} chars, limit"
            f" {MAX_CHARS:,}). Read a smaller slice with a lower `limit`, or use `grep` to locate"
            " the part you need."
        )
    return (
        f"{shown[:MAX_CHARS]}\n\n... (truncated at {MAX_CHARS:,} chars — pass a smaller"
        " `limit`/`offset` or use `grep` to read the rest)"
    )


async def _stat(backend: Backend, path: str, top: str) -> FileStat:
    """What stands at an absolute path; absolute links are followed, too, if they lead to `top`."""
    try:
        return await backend.stat(posixpath.relpath(path, top))
    except PathEscapes:
        return await backend.stat(_leads(path, top))


def _leads(path: str, top: str) -> str:
    return os.path.relpath(os.path.realpath(path), top)


async def edit(
    backend: Backend, inner: str, path: str, old: str, new: str, *, replace_all: bool
) -> int | str:
    """How often a piece was replaced, or the error."""
    data = await backend.read(inner, encoding=None)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        return f"'{path}' is not valid UTF-8 text and cannot be edited"
    shown = old
    if "\r\n" in text and old not in text:  # lines are shown without their CR
        old, new = old.replace("\n", "\r\n"), new.replace("\n", "\r\n")
    outcome = replaced(text, old, new, replace_all=replace_all, shown=shown)
    if isinstance(outcome, str):
        return outcome
    return await backend.edit(inner, old, new, replace_all=replace_all)


async def ls(backend: Backend, inner: str, real: str, top: str, shows: Shows) -> list[FileInfo]:
    """One level, directories first; a file is itself."""
    stat = await backend.stat(inner)
    if stat.type == "file":
        return [info(real, stat)]
    found: list[FileInfo] = []
    for entry in (await backend.ls(inner, limit=ALL)).entries:
        path = posixpath.join(real, entry.name)
        if not shows(path):
            continue
        try:
            found.append(info(path, await _stat(backend, path, top)))
        except OperationError:
            continue  # a link that leads out or nowhere, or what has just vanished
    return sorted(found, key=lambda each: (not each["is_dir"], each["name"]))


async def glob(
    backend: Backend, inner: str, top: str, pattern: str, shows: Shows
) -> list[FileInfo]:
    """Files that match, the latest modified first."""
    dated: list[tuple[float, str, FileInfo]] = []
    for each in (await backend.glob(pattern, inner, hidden=True, limit=ALL)).paths:
        path = posixpath.normpath(posixpath.join(top, each))
        if not shows(path):
            continue
        try:
            stat = await _stat(backend, path, top)
        except OperationError:
            continue  # as above
        if stat.type == "file":
            dated.append((-stat.modified.timestamp(), path, info(path, stat)))
    return [each for _, _, each in sorted(dated, key=lambda item: item[:2])]


async def grep(
    backend: Backend,
    inner: str,
    top: str,
    pattern: str,
    *,
    glob: str | None,
    shows: Shows,
    ignore_hidden: bool,
) -> list[GrepMatch]:
    """Lines that match; not in what is hidden, built or fetched, unless that is asked for."""
    is_file = (await backend.stat(inner)).type == "file"
    found = await backend.grep(
        pattern, inner, glob=glob or None, hidden=not ignore_hidden or is_file, limit=ALL
    )
    matches: list[GrepMatch] = []
    for each in found.matches:
        path = posixpath.normpath(posixpath.join(top, each.path))
        below = posixpath.relpath(each.path, inner).split("/")
        if shows(path) and (is_file or not ignore_hidden or SKIPPED.isdisjoint(below)):
            text = each.text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
            line = text.rstrip("\r\n")
            matches.append(GrepMatch(path=path, line_number=each.line, line=line))
    return matches
