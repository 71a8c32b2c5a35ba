"""Searches as deepagents means them: literal texts, and its rules for patterns."""

from __future__ import annotations

from deepagents.backends.protocol import FileInfo, GlobResult, GrepMatch, GrepResult
from wcmatch import glob as wcglob

from runner import errors as e
from runner.integrations.sandbox.files import info
from runner.integrations.sandbox.paths import Paths
from runner.messages import Match

MAX_FILES = 10_000  # as deepagents' sandboxes
MAX_LINES = 200_000


async def glob(paths: Paths, pattern: str, path: str | None) -> GlobResult:
    """The files below a directory that match a pattern.

    Without `/` it is matched against names at any depth, also in hidden directories; with one,
    against the path from the directory on. Names with a dot in front need one in the pattern.
    """
    if ".." in pattern.replace("\\", "/").split("/"):
        return GlobResult(error=f"Path traversal not allowed in glob pattern {pattern!r}")
    by_name = "/" not in pattern
    search = f"**/{pattern}" if by_name else pattern.lstrip("/")
    try:
        found = await paths.scope.glob(search, paths.inner(path), hidden=by_name, limit=MAX_FILES)
    except e.InvalidPattern as error:
        return GlobResult(error=f"Invalid glob pattern {pattern!r}: {error.reason}")
    except (e.NotFound, e.WrongType):
        return GlobResult(matches=[])
    except e.OperationError as error:
        return GlobResult(error=f"Error globbing path '{path}': {error.reason}")
    kept = [each for each in found.paths if not by_name or _matches_name(each, pattern)]
    infos = [await _file(paths, each) for each in kept]
    return GlobResult(
        matches=[each for each in infos if each is not None],
        truncated=found.omitted > 0,
        truncation_reason="budget" if found.omitted else None,
    )


def _matches_name(path: str, pattern: str) -> bool:
    name = path.rpartition("/")[2]
    if not name.startswith("."):
        return True
    return wcglob.globmatch(name, pattern, flags=wcglob.BRACE | wcglob.GLOBSTAR)


async def _file(paths: Paths, path: str) -> FileInfo | None:
    try:
        status = await paths.scope.stat(path)
    except e.OperationError:  # a link that leads nowhere or out, or it has gone
        return None
    return info(paths.outer(path), status) if status.type == "file" else None


async def grep(
    paths: Paths, pattern: str, path: str | None, glob: str | None, max_count: int | None
) -> GrepResult:
    """The lines that contain a text, hidden files included; not what lies in `.git`."""
    wanted = MAX_LINES if max_count is None else max(max_count, 0)
    limit, top = wanted, paths.inner(path)
    try:
        while True:
            found = await paths.scope.grep(
                pattern, top, literal=True, glob=glob, hidden=True, limit=limit
            )
            kept = [each for each in found.matches if ".git" not in each.path.split("/")]
            if len(kept) >= wanted or not found.omitted or len(kept) == len(found.matches):
                break
            limit = limit * 4 + 1000  # what lies in .git took the room of others
    except e.InvalidPattern as error:
        return GrepResult(error=f"Invalid pattern: {error.reason}", matches=[])
    except e.NotFound:
        return GrepResult(matches=[])
    except e.OperationError as error:
        return GrepResult(error=f"Error searching path '{path or '.'}': {error.reason}", matches=[])
    return GrepResult(
        matches=[_match(paths, each) for each in kept[:wanted]],
        truncated=found.omitted > 0 or len(kept) > wanted,
    )


def _match(paths: Paths, match: Match) -> GrepMatch:
    text = match.text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return GrepMatch(path=paths.outer(match.path), line=match.line, text=text)
