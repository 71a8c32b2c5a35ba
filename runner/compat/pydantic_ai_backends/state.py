"""pydantic-ai-backend's `StateBackend`: files as one JSON document, with its texts."""

from __future__ import annotations

import base64
import binascii
import re
from datetime import UTC, datetime

from wcmatch import glob as wcglob

from runner.compat.pydantic_ai_backends.words import (
    EditResult,
    FileData,
    FileInfo,
    GrepMatch,
    WriteResult,
    replaced,
    window,
)


def normalize_path(path: str) -> str:
    """A path from "/", without empty and "." parts."""
    return "/" + "/".join(each for each in path.split("/") if each not in {"", "."})


def unsafe_path_reason(path: str) -> str | None:
    """Why a path is refused; None if it is not."""
    if ".." in path:
        return "Path cannot contain '..'"
    if path.startswith("~"):
        return "Path cannot start with '~'"
    if path[1:2] == ":":
        return "Windows absolute paths are not allowed"
    return None


class StateBackend:
    """Files in a dictionary that is always JSON; a document of before may be handed in."""

    def __init__(self, files: dict[str, FileData] | None = None) -> None:
        self._files = {} if files is None else files

    @property
    def files(self) -> dict[str, FileData]:
        """The document."""
        return self._files

    def exists(self, path: str) -> bool:
        """Whether there is a file."""
        return unsafe_path_reason(path) is None and normalize_path(path) in self._files

    def ls_info(self, path: str) -> list[FileInfo]:
        """One level, directories first; a file is itself."""
        if unsafe_path_reason(path) is not None:
            return []
        top = normalize_path(path)
        if top in self._files:
            return [self._info(top)]
        below = top.rstrip("/") + "/"
        found: dict[str, FileInfo] = {}
        for each in self._files:
            name, more, _ = each.removeprefix(below).partition("/")
            if not each.startswith(below):
                continue
            if more:
                found[name] = FileInfo(name=name, path=below + name, is_dir=True, size=None)
            else:
                found.setdefault(name, self._info(each))
        return sorted(found.values(), key=lambda each: (not each["is_dir"], each["name"]))

    def read_bytes(self, path: str) -> bytes:
        """A file's content, or nothing."""
        return _content(self._files[normalize_path(path)]) if self.exists(path) else b""

    def read(self, path: str, offset: int = 0, limit: int = 2000) -> str:
        """Lines with their numbers; an error begins with "Error: "."""
        reason = unsafe_path_reason(path)
        if reason is not None:
            return f"Error: {reason}"
        key = normalize_path(path)
        if key not in self._files:
            return f"Error: File '{key}' not found"
        if _is_binary(self._files[key]):
            return f"Error: File '{key}' is binary; read it as bytes instead"
        return window(self._files[key]["content"], offset, limit)

    def write(self, path: str, content: str | bytes) -> WriteResult:
        """Replace a file's content."""
        reason = unsafe_path_reason(path)
        if reason is not None:
            return WriteResult(error=reason)
        key = normalize_path(path)
        now = _now()
        before = self._files.get(key)
        created = now if before is None else before["created_at"]
        data = content.encode("utf-8", "surrogateescape") if isinstance(content, str) else content
        try:
            lines = data.decode("utf-8").split("\n")
            self._files[key] = FileData(content=lines, created_at=created, modified_at=now)
        except UnicodeDecodeError:
            lines = [base64.b64encode(data).decode("ascii")]
            self._files[key] = FileData(
                content=lines, created_at=created, modified_at=now, encoding="base64"
            )
        return WriteResult(path=key)

    def edit(
        self, path: str, old_string: str, new_string: str, replace_all: bool = False
    ) -> EditResult:
        """Replace an exact piece of a file."""
        reason = unsafe_path_reason(path)
        if reason is not None:
            return EditResult(error=reason)
        key = normalize_path(path)
        stored = self._files.get(key)
        if stored is None:
            return EditResult(error=f"File '{key}' not found")
        if _is_binary(stored):
            return EditResult(error=f"File '{key}' is binary and cannot be edited as text")
        text = "\n".join(stored["content"])
        outcome = replaced(text, old_string, new_string, replace_all=replace_all)
        if isinstance(outcome, str):
            return EditResult(error=outcome)
        self.write(key, outcome[0])
        return EditResult(path=key, occurrences=outcome[1])

    def glob_info(self, pattern: str, path: str = "/") -> list[FileInfo]:
        """Files that match, sorted by path."""
        if unsafe_path_reason(path) is not None:
            return []
        full = f"{normalize_path(path).rstrip('/')}/{pattern.lstrip('/')}"
        return [self._info(each) for each in sorted(self._files) if _matches(each, full)]

    def grep_raw(
        self,
        pattern: str,
        path: str | None = None,
        glob: str | None = None,
        ignore_hidden: bool = True,
    ) -> list[GrepMatch] | str:
        """Lines of text that match a regular expression, or the error."""
        try:
            regex = re.compile(pattern)
        except re.error as error:
            return f"Error: Invalid regex pattern: {error}"
        reason = None if path is None else unsafe_path_reason(path)
        if reason is not None:
            return f"Error: {reason}"
        return [
            GrepMatch(path=each, line_number=number, line=line)
            for each in self._searched(path, glob, ignore_hidden=ignore_hidden)
            for number, line in enumerate(self._files[each]["content"], 1)
            if regex.search(line)
        ]

    def _searched(self, path: str | None, glob: str | None, *, ignore_hidden: bool) -> list[str]:
        top = normalize_path(path or "/")
        below = "" if top == "/" else top + "/"
        found = (
            [top]
            if top in self._files
            else [
                each
                for each in self._files
                if each.startswith(below) and not (ignore_hidden and "/." in each)
            ]
        )
        return [
            each
            for each in found
            if not _is_binary(self._files[each])
            and (not glob or _matches(each, "/" + glob.lstrip("/")))
        ]

    def _info(self, path: str) -> FileInfo:
        data = self._files[path]
        return FileInfo(
            name=path.rpartition("/")[2],
            path=path,
            is_dir=False,
            size=len(_content(data)),
            modified_at=data.get("modified_at"),
        )


def _matches(path: str, pattern: str) -> bool:
    return bool(wcglob.globmatch(path, pattern, flags=wcglob.GLOBSTAR))


def _is_binary(data: FileData) -> bool:
    return data.get("encoding") == "base64"


def _content(data: FileData) -> bytes:
    if not _is_binary(data):
        return "\n".join(data["content"]).encode("utf-8", "surrogateescape")
    try:
        return base64.b64decode("".join(data["content"]), validate=True)
    except binascii.Error:
        return b""  # a document that was cut


def _now() -> str:
    return datetime.now(UTC).isoformat()
