"""What pydantic-ai-backend's `LocalBackend` does with files, as coroutines on a backend of ours."""

from __future__ import annotations

import posixpath
from collections.abc import Callable

from runner.backends.base import Backend
from runner.compat.pydantic_ai_backends.words import FileInfo, GrepMatch, replaced, window
from runner.errors import NotFound, OperationError, WrongType
from runner.messages import FileStat

MAX_CHARS = 200_000  # of one read
DEFAULT_LIMIT = 2000  # lines
ALL = 1 << 30
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


async def read(backend: Backend, inner: str, path: str, offset: int, limit: int) -> str:
    """Numbered lines; an error as a text."""
    try:
        data = await backend.read(inner, encoding=None)
    except NotFound:
        return f"Error: File '{path}' not found"
    except WrongType as error:
        is_dir = (await backend.stat(inner)).type == "directory"
        return f"Error: '{path}' is a directory" if is_dir else f"Error: {error.reason}"
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


async def edit(
    backend: Backend, inner: str, path: str, old: str, new: str, *, replace_all: bool
) -> int | str:
    """How often a piece was replaced, or the error."""
    data = await backend.read(inner, encoding=None)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        return f"'{path}' is not valid UTF-8 text and cannot be edited"
    outcome = replaced(text, old, new, replace_all=replace_all)
    if isinstance(outcome, str):
        return outcome
    return await backend.edit(inner, old, new, replace_all=replace_all)


async def ls(backend: Backend, inner: str, top: str, shows: Shows) -> list[FileInfo]:
    """One level, directories first; a file is itself."""
    stat = await backend.stat(inner)
    if stat.type != "directory":
        return [info(top, stat)]
    found: list[FileInfo] = []
    for entry in (await backend.ls(inner, limit=ALL)).entries:
        path = posixpath.join(top, entry.name)
        if not shows(path):
            continue
        try:
            found.append(info(path, await backend.stat(posixpath.join(inner, entry.name))))
        except OperationError:
            continue  # a link that leads out or nowhere, or what has just vanished
    return sorted(found, key=lambda each: (not each["is_dir"], each["name"]))


async def glob(
    backend: Backend, inner: str, root: str, pattern: str, shows: Shows
) -> list[FileInfo]:
    """Files that match, the latest modified first."""
    dated: list[tuple[float, str, FileInfo]] = []
    for each in (await backend.glob(pattern, inner, hidden=True, limit=ALL)).paths:
        path = posixpath.normpath(posixpath.join(root, each))
        if not shows(path):
            continue
        try:
            stat = await backend.stat(each)
        except OperationError:
            continue  # as above
        if stat.type == "file":
            dated.append((-stat.modified.timestamp(), path, info(path, stat)))
    return [each for _, _, each in sorted(dated, key=lambda item: item[:2])]


async def grep(
    backend: Backend,
    inner: str,
    root: str,
    pattern: str,
    *,
    glob: str | None,
    shows: Shows,
    ignore_hidden: bool,
) -> list[GrepMatch]:
    """Lines that match; not in what is hidden, built or fetched, unless that is asked for."""
    is_file = (await backend.stat(inner)).type == "file"
    found = await backend.grep(
        pattern, inner, glob=glob, hidden=not ignore_hidden or is_file, limit=ALL
    )
    matches: list[GrepMatch] = []
    for each in found.matches:
        path = posixpath.normpath(posixpath.join(root, each.path))
        below = posixpath.relpath(each.path, inner).split("/")
        if shows(path) and (is_file or not ignore_hidden or SKIPPED.isdisjoint(below)):
            line = each.text.rstrip("\r\n")
            matches.append(GrepMatch(path=path, line_number=each.line, line=line))
    return matches
