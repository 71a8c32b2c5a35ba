"""pydantic-ai-backend's `CompositeBackend`: several backends by prefix, paths as they are."""

from __future__ import annotations

from runner.compat.pydantic_ai_backends.protocols import BackendProtocol
from runner.compat.pydantic_ai_backends.state import normalize_path
from runner.compat.pydantic_ai_backends.words import (
    EditResult,
    FileInfo,
    GrepMatch,
    WriteResult,
)


class CompositeBackend:
    """A default backend, and others for what is at or below their prefixes; the longest counts."""

    def __init__(
        self, default: BackendProtocol, routes: dict[str, BackendProtocol] | None = None
    ) -> None:
        self.default = default
        self.routes = routes or {}
        self._longest_first = sorted(self.routes, key=len, reverse=True)

    def _of(self, path: str) -> BackendProtocol:
        normal = normalize_path(path)
        for prefix in self._longest_first:
            top = normalize_path(prefix)
            if normal == top or normal.startswith(f"{top.rstrip('/')}/"):
                return self.routes[prefix]
        return self.default

    def exists(self, path: str) -> bool:
        """Whether it is a file."""
        return self._of(path).exists(path)

    def ls_info(self, path: str) -> list[FileInfo]:
        """One level; at the top with a directory for each prefix."""
        normal = normalize_path(path)
        if normal != "/":
            return self._of(normal).ls_info(normal)
        found = {each["path"]: each for each in self.default.ls_info("/")}
        for prefix in self.routes:
            name = normalize_path(prefix).split("/")[1]
            route = FileInfo(name=name, path=f"/{name}", is_dir=True, size=None)
            if name:
                found.setdefault(f"/{name}", route)
        return sorted(found.values(), key=lambda each: (not each["is_dir"], each["name"]))

    def read_bytes(self, path: str) -> bytes:
        """A file's content, or nothing."""
        return self._of(path).read_bytes(path)

    def read(self, path: str, offset: int = 0, limit: int = 2000) -> str:
        """Lines with their numbers."""
        return self._of(path).read(path, offset, limit)

    def write(self, path: str, content: str | bytes) -> WriteResult:
        """Replace a file's content."""
        return self._of(path).write(path, content)

    def edit(
        self, path: str, old_string: str, new_string: str, replace_all: bool = False
    ) -> EditResult:
        """Replace a piece of a file."""
        return self._of(path).edit(path, old_string, new_string, replace_all)

    def glob_info(self, pattern: str, path: str = "/") -> list[FileInfo]:
        """Files that match; from the top in all backends, sorted by path."""
        if normalize_path(path) != "/":
            return self._of(path).glob_info(pattern, path)
        found = self.default.glob_info(pattern, "/")
        found = [*found, *(e for p, b in self.routes.items() for e in b.glob_info(pattern, p))]
        return sorted(found, key=lambda each: each["path"])

    def grep_raw(
        self,
        pattern: str,
        path: str | None = None,
        glob: str | None = None,
        ignore_hidden: bool = True,
    ) -> list[GrepMatch] | str:
        """Lines that match; from the top in all backends; the first error is the answer."""
        if path is not None and normalize_path(path) != "/":
            return self._of(path).grep_raw(pattern, path, glob, ignore_hidden)
        found: list[GrepMatch] = []
        for where, backend in [(path, self.default), *self.routes.items()]:
            matches = backend.grep_raw(pattern, where, glob, ignore_hidden)
            if isinstance(matches, str):
                return matches
            found += matches
        return found
