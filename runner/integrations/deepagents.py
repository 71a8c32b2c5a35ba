"""A scope as a sandbox of deepagents 0.7. Needs the extra: `pip install 'trio-runner[deepagents]'`.

    with runner.blocking.open_runner() as r:
        agent = create_deep_agent(model, backend=ScopeSandbox(r.scope("project")))

`ScopeSandbox` is a `SandboxBackendProtocol`, synchronous and asynchronous. Nothing is raised for a
path, a pattern or a command: errors are texts in its results, in deepagents' own words. Paths are
real absolute ones, as its commands see them; or virtual ones, in which "/" is the scope.

What differs from deepagents' own local backends: no path reaches outside the scope, whatever links
there are; writes and edits replace a file whole; operations that overlap have an order; of a
command no process is left; many files are one message.

What it does not do: isolate commands (give the scope an `Isolation`), nor offload their output.
The pages of files are made in pages.py, searches in searches.py.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

from deepagents.backends.protocol import (
    DeleteResult,
    EditResult,
    ExecuteResponse,
    FileDownloadResponse,
    FileUploadResponse,
    GlobResult,
    GrepResult,
    LsResult,
    ReadResult,
    SandboxBackendProtocol,
    WriteResult,
)

from runner.integrations.carrier import Carrier
from runner.integrations.sandbox.files import Files
from runner.integrations.sandbox.pages import read
from runner.integrations.sandbox.paths import Paths
from runner.integrations.sandbox.programs import DEFAULT_TIMEOUT, MAX_OUTPUT, execute
from runner.integrations.sandbox.searches import glob, grep


class ScopeSandbox(SandboxBackendProtocol):
    """A scope as a sandbox of deepagents.

    Args:
        scope: of a runner of `runner.blocking` or `runner.asyncio`; or of a trio program, which
            then calls the asynchronous methods in trio, or the others in trio's threads.
        virtual: whether "/" is the scope, and paths are not those that commands see.
        timeout: seconds for a command that does not say otherwise.
        max_output: bytes of each stream of a command that are kept.

    Raises:
        ValueError: the timeout is not positive.
    """

    def __init__(
        self,
        scope: Any,
        *,
        virtual: bool = False,
        timeout: float = DEFAULT_TIMEOUT,
        max_output: int = MAX_OUTPUT,
    ) -> None:
        if timeout <= 0:
            raise ValueError(f"timeout must be positive, got {timeout}")
        self._carrier = Carrier(scope)
        self._paths = Paths(self._carrier.scope, virtual=virtual)
        self._files = Files(self._paths)
        self._timeout = timeout
        self._max_output = max_output

    @property
    def id(self) -> str:
        """The scope's directory, as a name."""
        return f"runner:{self._carrier.scope.directory}"

    # ------------------------------------------------------------ what each operation is

    def _execute(self, command: str, timeout: float | None) -> Awaitable[ExecuteResponse]:
        return execute(
            self._carrier.scope,
            command,
            timeout=timeout,
            default=self._timeout,
            max_output=self._max_output,
        )

    def ls(self, path: str) -> LsResult:
        """The entries of a directory, with paths; directories have no slash at their end."""
        return self._carrier.carry_blocking(lambda: self._files.ls(path))

    async def als(self, path: str) -> LsResult:
        """The entries of a directory, with paths; directories have no slash at their end."""
        return await self._carrier.carry(lambda: self._files.ls(path))

    def read(self, file_path: str, offset: int = 0, limit: int = 2000) -> ReadResult:
        """Lines of a text file, or the whole of a small binary one in base64."""
        return self._carrier.carry_blocking(lambda: read(self._paths, file_path, offset, limit))

    async def aread(self, file_path: str, offset: int = 0, limit: int = 2000) -> ReadResult:
        """Lines of a text file, or the whole of a small binary one in base64."""
        return await self._carrier.carry(lambda: read(self._paths, file_path, offset, limit))

    def grep(
        self,
        pattern: str,
        path: str | None = None,
        glob: str | None = None,
        *,
        max_count: int | None = None,
    ) -> GrepResult:
        """The lines that contain a text, in hidden files, too, but not in `.git`."""
        return self._carrier.carry_blocking(
            lambda: grep(self._paths, pattern, path, glob, max_count)
        )

    async def agrep(
        self,
        pattern: str,
        path: str | None = None,
        glob: str | None = None,
        *,
        max_count: int | None = None,
    ) -> GrepResult:
        """The lines that contain a text, in hidden files, too, but not in `.git`."""
        return await self._carrier.carry(lambda: grep(self._paths, pattern, path, glob, max_count))

    def glob(self, pattern: str, path: str | None = None) -> GlobResult:
        """The files that match a pattern, with absolute paths."""
        return self._carrier.carry_blocking(lambda: glob(self._paths, pattern, path))

    async def aglob(self, pattern: str, path: str | None = None) -> GlobResult:
        """The files that match a pattern, with absolute paths."""
        return await self._carrier.carry(lambda: glob(self._paths, pattern, path))

    def write(self, file_path: str, content: str) -> WriteResult:
        """Make a file or replace its content whole; parents are made."""
        return self._carrier.carry_blocking(lambda: self._files.write(file_path, content))

    async def awrite(self, file_path: str, content: str) -> WriteResult:
        """Make a file or replace its content whole; parents are made."""
        return await self._carrier.carry(lambda: self._files.write(file_path, content))

    def edit(
        self, file_path: str, old_string: str, new_string: str, replace_all: bool = False
    ) -> EditResult:
        """Replace an exact text; line ends may be LF or CRLF, as the file's are."""
        return self._carrier.carry_blocking(
            lambda: self._files.edit(file_path, old_string, new_string, replace_all=replace_all)
        )

    async def aedit(
        self, file_path: str, old_string: str, new_string: str, replace_all: bool = False
    ) -> EditResult:
        """Replace an exact text; line ends may be LF or CRLF, as the file's are."""
        return await self._carrier.carry(
            lambda: self._files.edit(file_path, old_string, new_string, replace_all=replace_all)
        )

    def delete(self, file_path: str) -> DeleteResult:
        """Remove a file, a link or a whole directory; never the scope itself."""
        return self._carrier.carry_blocking(lambda: self._files.delete(file_path))

    async def adelete(self, file_path: str) -> DeleteResult:
        """Remove a file, a link or a whole directory; never the scope itself."""
        return await self._carrier.carry(lambda: self._files.delete(file_path))

    def upload_files(self, files: list[tuple[str, bytes]]) -> list[FileUploadResponse]:
        """Write many files, in one message: one answer each, in their order."""
        return self._carrier.carry_blocking(lambda: self._files.upload(files))

    async def aupload_files(self, files: list[tuple[str, bytes]]) -> list[FileUploadResponse]:
        """Write many files, in one message: one answer each, in their order."""
        return await self._carrier.carry(lambda: self._files.upload(files))

    def download_files(self, paths: list[str]) -> list[FileDownloadResponse]:
        """Read many files, in one message: one answer each, in their order."""
        return self._carrier.carry_blocking(lambda: self._files.download(paths))

    async def adownload_files(self, paths: list[str]) -> list[FileDownloadResponse]:
        """Read many files, in one message: one answer each, in their order."""
        return await self._carrier.carry(lambda: self._files.download(paths))

    def execute(self, command: str, *, timeout: int | None = None) -> ExecuteResponse:
        """Run a line of shell in the scope's directory, and wait for its end."""
        return self._carrier.carry_blocking(lambda: self._execute(command, timeout))

    async def aexecute(self, command: str, *, timeout: int | None = None) -> ExecuteResponse:
        """Run a line of shell in the scope's directory, and wait for its end."""
        return await self._carrier.carry(lambda: self._execute(command, timeout))
