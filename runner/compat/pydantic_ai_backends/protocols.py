"""pydantic-ai-backend's protocols: what its backends have, as can be asked for by `isinstance`."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from runner.compat.pydantic_ai_backends.words import (
    BackgroundHandle,
    BackgroundOutput,
    BackgroundProcessInfo,
    EditResult,
    ExecuteResponse,
    FileInfo,
    GrepMatch,
    WriteResult,
)


@runtime_checkable
class BackendProtocol(Protocol):
    """What every backend has."""

    def exists(self, path: str) -> bool:
        """Whether it is a file."""
        ...

    def ls_info(self, path: str) -> list[FileInfo]:
        """One level of a directory."""
        ...

    def read_bytes(self, path: str) -> bytes:
        """A file's content, or nothing."""
        ...

    def read(self, path: str, offset: int = 0, limit: int = 2000) -> str:
        """Lines with their numbers."""
        ...

    def write(self, path: str, content: str | bytes) -> WriteResult:
        """Replace a file's content."""
        ...

    def edit(
        self, path: str, old_string: str, new_string: str, replace_all: bool = False
    ) -> EditResult:
        """Replace a piece of a file."""
        ...

    def glob_info(self, pattern: str, path: str = "/") -> list[FileInfo]:
        """Files that match."""
        ...

    def grep_raw(
        self,
        pattern: str,
        path: str | None = None,
        glob: str | None = None,
        ignore_hidden: bool = True,
    ) -> list[GrepMatch] | str:
        """Lines that match."""
        ...


@runtime_checkable
class SandboxProtocol(BackendProtocol, Protocol):
    """One that also runs commands."""

    @property
    def id(self) -> str:
        """Names it."""
        ...

    def execute(self, command: str, timeout: int | None = None) -> ExecuteResponse:
        """Run a command to its end."""
        ...


@runtime_checkable
class BackgroundSandboxProtocol(SandboxProtocol, Protocol):
    """One that also starts commands and goes on."""

    def execute_background(self, command: str) -> BackgroundHandle:
        """Start a command."""
        ...

    def read_background(self, shell_id: str) -> BackgroundOutput:
        """What is new of its output."""
        ...

    def kill_background(self, shell_id: str) -> bool:
        """End it; whether it still ran."""
        ...

    def list_background(self) -> list[BackgroundProcessInfo]:
        """All that were started."""
        ...

    def kill_all_background(self) -> None:
        """End all of them."""
        ...
