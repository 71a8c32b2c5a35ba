"""pydantic-ai-backend's `LocalBackend`, on ours: synchronous, and no method raises for what fails.

Compared with the peer call by call in the tests. What differs:

    paths          contained by descriptor; what the peer raises for (NUL, a name that is too long,
                   links in a circle, what is not UTF-8) is an error in the answer
    write, edit    atomic; `edit` keeps CRLF, and replaces no empty text
    read           a negative offset is 0
    glob_info      braces; a `**` at the end finds files; no link in a pattern is followed
    grep_raw       always ripgrep's expressions and no links, as the peer's where it finds `rg`;
                   but never in what is built or fetched (node_modules, …), with a text for what
                   is no pattern, and a pattern cannot become an option
    execute        an allow-list of variables, an empty standard input, nothing is left behind,
                   and output as it is (the peer makes CRLF to LF); `async_execute` under trio, too
    close()        is ours; what is forgotten is closed, too
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from runner.backends.local import LocalBackend as Ours
from runner.compat.lodging import Lodging
from runner.compat.pydantic_ai_backends import files
from runner.compat.pydantic_ai_backends.commands import Commands
from runner.compat.pydantic_ai_backends.guard import Guard
from runner.compat.pydantic_ai_backends.permissions import (
    AskCallback,
    AskFallback,
    PermissionChecker,
    PermissionRuleset,
)
from runner.compat.pydantic_ai_backends.shells import Shells
from runner.compat.pydantic_ai_backends.words import (
    EditResult,
    FileInfo,
    GrepMatch,
    WriteResult,
)
from runner.errors import (
    InvalidPattern,
    NotFound,
    OperationError,
    PathEscapes,
    PermissionDenied,
)

T = TypeVar("T")


class _Refused(Exception):
    """Access to a path is denied; what it says is for the caller."""


class LocalBackend(Commands):
    """Files in some directories of this machine, and commands in one of them."""

    def __init__(  # noqa: PLR0917 - as the peer has it
        self,
        root_dir: str | Path | None = None,
        allowed_directories: list[str] | None = None,
        enable_execute: bool = True,
        sandbox_id: str | None = None,
        permissions: PermissionRuleset | None = None,
        ask_callback: AskCallback | None = None,
        ask_fallback: AskFallback = "error",
    ) -> None:
        allowed = [Path(each).resolve() for each in allowed_directories or []]
        first = allowed[0] if allowed else Path.cwd()
        self._root = first if root_dir is None else Path(root_dir).resolve()
        for each in (*allowed, self._root):
            each.mkdir(parents=True, exist_ok=True)
        self._id = sandbox_id or str(uuid.uuid4())
        self._enable_execute = enable_execute
        self._permissions = permissions
        checker = None
        if permissions is not None:
            checker = PermissionChecker(permissions, ask_callback, ask_fallback)
        self._guard = Guard(checker, self._root, denies=ask_fallback == "deny")
        self._places = {str(each): Lodging(_make(str(each))) for each in allowed or [self._root]}
        self._commands = self._places.get(str(self._root)) or Lodging(_make(str(self._root)))
        self._shells = Shells(self._commands)

    @property
    def id(self) -> str:
        """Names this backend."""
        return self._id

    @property
    def root_dir(self) -> Path:
        """Where relative paths begin and commands run."""
        return self._root

    @property
    def execute_enabled(self) -> bool:
        """Whether commands may run at all."""
        return self._enable_execute

    @property
    def permissions(self) -> PermissionRuleset | None:
        """The rules, if there are any."""
        return self._permissions

    @property
    def permission_checker(self) -> PermissionChecker | None:
        """What judges by them."""
        return self._guard.checker

    def close(self) -> None:
        """End what runs, and free what is held; what is forgotten is closed as well."""
        for each in {*self._places.values(), self._commands}:
            each.close()

    # ------------------------------------------------------------ paths

    def _find(self, path: str) -> tuple[Lodging[Ours], str, str, str]:
        """Where a path really is: the backend, the path in it, the absolute path, the directory."""
        if "\0" not in path:
            real = os.path.realpath(os.path.join(self._root, path))
            for top, lodging in self._places.items():
                if real == top or real.startswith(f"{top.rstrip('/')}/"):
                    return lodging, os.path.relpath(real, top), real, top
        raise self._outside(path)

    def _outside(self, path: str) -> _Refused:
        allowed = ", ".join(self._places)
        return _Refused(f"Access denied: '{path}' is outside allowed directories ({allowed})")

    def _do(
        self, path: str, lodging: Lodging[Ours], real: str, work: Callable[[Ours], Awaitable[T]]
    ) -> T:
        """Have something carried out; what goes wrong with the path is a `_Refused`."""
        try:
            return lodging.carry_blocking(work)
        except PathEscapes:
            raise self._outside(path) from None
        except PermissionDenied:
            raise _Refused(f"Permission denied for '{path}'") from None
        except (NotFound, InvalidPattern):
            raise
        except OperationError as error:
            raise _Refused(files.why(error, real)) from None

    # ------------------------------------------------------------ files

    def exists(self, path: str) -> bool:
        """Whether it is a regular file."""
        try:
            lodging, inner, real, _ = self._find(path)
            return self._do(path, lodging, real, lambda b: b.stat(inner)).type == "file"
        except (_Refused, NotFound):
            return False

    def read_bytes(self, path: str) -> bytes:
        """A file's content, or nothing."""
        try:
            lodging, inner, real, _ = self._find(path)
            if self._guard.reason("read", real) is not None:
                return b""
            return self._do(path, lodging, real, lambda b: b.read(inner, encoding=None))
        except (_Refused, NotFound):
            return b""

    def read(self, path: str, offset: int = 0, limit: int = files.DEFAULT_LIMIT) -> str:
        """Lines with their numbers; an error begins with "Error: "."""
        try:
            lodging, inner, real, _ = self._find(path)
            denial = self._guard.reason("read", real)
            if denial is not None:
                return f"Error: {denial}"
            if os.path.isdir(real):
                return f"Error: '{path}' is a directory"
            if os.path.exists(real):
                return self._do(path, lodging, real, lambda b: files.read(b, inner, offset, limit))
        except _Refused as refused:
            return f"Error: {refused}"
        except NotFound:
            pass  # it has just vanished
        return f"Error: File '{path}' not found"

    def write(self, path: str, content: str | bytes) -> WriteResult:
        """Replace a file's content whole; parents are made, and CRs dropped from text."""
        data = content.replace("\r", "") if isinstance(content, str) else content
        try:
            lodging, inner, real, _ = self._find(path)
            denial = self._guard.reason("write", real)
            if denial is not None:
                return WriteResult(error=denial)
            self._do(path, lodging, real, lambda b: b.write(inner, data))
        except _Refused as refused:
            return WriteResult(error=str(refused))
        return WriteResult(path=real)

    def edit(
        self, path: str, old_string: str, new_string: str, replace_all: bool = False
    ) -> EditResult:
        """Replace an exact piece of a file."""
        new = new_string.replace("\r", "")
        try:
            lodging, inner, real, _ = self._find(path)
            denial = self._guard.reason("edit", real)
            if denial is not None:
                return EditResult(error=denial)
            if not os.path.exists(real):
                return EditResult(error=f"File '{path}' not found")

            def edit(backend: Ours) -> Awaitable[int | str]:
                return files.edit(backend, inner, path, old_string, new, replace_all=replace_all)

            done = self._do(path, lodging, real, edit)
        except _Refused as refused:
            return EditResult(error=str(refused))
        except NotFound:  # it has just vanished
            return EditResult(error=f"File '{path}' not found")
        return EditResult(error=done) if isinstance(done, str) else EditResult(real, None, done)

    # ------------------------------------------------------------ looking

    def ls_info(self, path: str) -> list[FileInfo]:
        """One level of a directory, directories first; a file is itself."""
        try:
            lodging, inner, real, top = self._find(path)
            if self._guard.hides("ls", real):
                return []
            shows = self._shows("ls")
            return self._do(path, lodging, real, lambda b: files.ls(b, inner, real, top, shows))
        except (_Refused, NotFound):
            return []

    def glob_info(self, pattern: str, path: str = ".") -> list[FileInfo]:
        """Files that match, the latest modified first."""
        try:
            lodging, inner, real, top = self._find(path)
            if self._guard.hides("glob", real):
                return []
            shows = self._shows("glob")
            return self._do(
                path, lodging, real, lambda b: files.glob(b, inner, top, pattern, shows)
            )
        except (_Refused, NotFound, InvalidPattern):
            return []

    def grep_raw(
        self,
        pattern: str,
        path: str | None = None,
        glob: str | None = None,
        ignore_hidden: bool = True,
    ) -> list[GrepMatch] | str:
        """Lines that match a regular expression, or the error."""
        where = path or str(self._root)
        try:
            lodging, inner, real, top = self._find(where)
        except _Refused as refused:
            return str(refused)
        if self._guard.checker is not None and self._guard.checker.is_denied("grep", real):
            return f"Error: Permission denied for grep on '{where}'"
        if not os.path.exists(real):
            return f"Error: Path '{real}' not found"

        def grep(backend: Ours) -> Awaitable[list[GrepMatch]]:
            shows, hidden = self._shows("grep"), ignore_hidden
            return files.grep(
                backend, inner, top, pattern, glob=glob, shows=shows, ignore_hidden=hidden
            )

        try:
            return self._do(where, lodging, real, grep)
        except InvalidPattern as error:
            return f"Error: {files.invalid(pattern, error)}"
        except (_Refused, NotFound) as error:
            return f"Error: {error}"

    def _shows(self, operation: str) -> files.Shows:
        return lambda path: not self._guard.hides(operation, path)  # type: ignore[arg-type]  # one of


def _make(root: str) -> Callable[[], Ours]:
    return lambda: Ours(root)
