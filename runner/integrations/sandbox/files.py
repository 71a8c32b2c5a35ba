"""Listing, writing, editing, deleting and moving many files, as deepagents asks for it."""

from __future__ import annotations

from collections.abc import Sequence

import attrs
from deepagents.backends.protocol import (
    INVALID_PATH,
    DeleteResult,
    EditResult,
    FileDownloadResponse,
    FileInfo,
    FileUploadResponse,
    LsResult,
    WriteResult,
)

from runner import errors as e
from runner.integrations.sandbox.paths import Paths, explained, is_absolute
from runner.messages import Entry, FileStat

EMPTY_OLD = "Error: old_string cannot be empty. Provide the exact text to replace."
TOO_MUCH = (
    "Error: old_string ends with a newline, but the file does not end with a newline. "
    "Retry with the trailing newline removed from old_string (and from new_string if it also "
    "ends with a newline)."
)


@attrs.frozen
class Files:
    """Operations on the files of a scope, their answers and errors in deepagents' words."""

    paths: Paths

    async def ls(self, path: str) -> LsResult:
        """The entries of a directory; links as what they lead to."""
        top = self.paths.inner(path)
        try:
            listing = await self.paths.scope.ls(top, limit=1 << 62)
        except e.OperationError as error:
            return LsResult(error=f"Path '{path}': {_why_not_listed(error)}")
        above = self.paths.outer(top.rstrip("/"))
        entries = [await self._info(above, each) for each in listing.entries]
        return LsResult(entries=[each for each in entries if each is not None])

    async def _info(self, above: str, entry: Entry) -> FileInfo | None:
        path = f"{above}/{entry.name}"
        if entry.type != "link":
            return info(path, entry)
        try:
            return info(path, await self.paths.scope.stat(self.paths.inner(path)))
        except e.OperationError:  # it leads nowhere, or out of the scope
            return None

    async def write(self, file_path: str, content: str) -> WriteResult:
        """Make a file or replace its content whole."""
        try:
            await self.paths.scope.write(self.paths.inner(file_path), content)
        except e.OperationError as error:
            return WriteResult(error=f"Error writing file '{file_path}': {error.reason}")
        return WriteResult(path=file_path)

    async def delete(self, file_path: str) -> DeleteResult:
        """Remove what stands at a path, with everything in it."""
        try:
            await self.paths.scope.remove(self.paths.inner(file_path), recursive=True)
        except e.NotFound:
            return DeleteResult(error=f"Error: '{file_path}' not found")
        except e.OperationError as error:
            return DeleteResult(error=f"Error deleting '{file_path}': {error.reason}")
        return DeleteResult(path=file_path)

    # ------------------------------------------------------------ editing

    async def edit(self, file_path: str, old: str, new: str, *, replace_all: bool) -> EditResult:
        """Replace an exact text; a second try is made with the file's own line ends."""
        if not old:
            return EditResult(error=EMPTY_OLD)
        path, tries = self.paths.inner(file_path), [(old, new), (_crlf(old), _crlf(new))]
        tries.append((_lf(old), _lf(new)))
        for old_as, new_as in dict(tries).items():
            try:
                count = await self.paths.scope.edit(path, old_as, new_as, replace_all=replace_all)
            except e.EditFailed:
                found = await self._count(path, old_as)
                if found > 1 and not replace_all:
                    return EditResult(
                        error=f"Error: String '{old}' appears multiple times ({found}) in file. "
                        "Use replace_all=True to replace all occurrences, or provide a more "
                        "specific string with surrounding context."
                    )
            except e.NotFound:
                return EditResult(error=f"Error: File '{file_path}' not found")
            except e.OperationError as error:
                return EditResult(error=f"Error editing file '{file_path}': {error.reason}")
            else:
                return EditResult(path=file_path, occurrences=count)
        return EditResult(error=await self._why_not_found(path, old))

    async def _count(self, path: str, old: str) -> int:
        content = await self._content(path)
        return content.count(old.encode("utf-8", "surrogateescape"))

    async def _why_not_found(self, path: str, old: str) -> str:
        stripped = old.removesuffix("\n")
        if old != stripped and stripped:
            content = await self._content(path)
            if content.endswith(stripped.encode("utf-8", "surrogateescape")):
                return TOO_MUCH
        return f"Error: String not found in file: '{old}'"

    async def _content(self, path: str) -> bytes:
        try:
            return await self.paths.scope.read(path, encoding=None)
        except e.OperationError:  # it has gone meanwhile
            return b""

    # ------------------------------------------------------------ many files

    async def upload(self, files: Sequence[tuple[str, bytes]]) -> list[FileUploadResponse]:
        """Write many files; relative paths are refused."""
        scope, answers = self.paths.scope, [FileUploadResponse(path=path) for path, _ in files]
        sent = [number for number, (path, _) in enumerate(files) if is_absolute(path)]
        for number in set(range(len(files))).difference(sent):
            answers[number].error = INVALID_PATH
        stored = await scope.upload((self.paths.inner(files[n][0]), files[n][1]) for n in sent)
        for number, each in zip(sent, stored, strict=True):
            if each.error is not None:
                why = await explained(scope, each.error.kind, each.path, each.error.reason)
                answers[number].error = why
        return answers

    async def download(self, paths: Sequence[str]) -> list[FileDownloadResponse]:
        """Read many files; relative paths are refused."""
        scope, answers = self.paths.scope, [FileDownloadResponse(path=path) for path in paths]
        asked = [number for number, path in enumerate(paths) if is_absolute(path)]
        for number in set(range(len(paths))).difference(asked):
            answers[number].error = INVALID_PATH
        found = await scope.download(self.paths.inner(paths[n]) for n in asked)
        for number, each in zip(asked, found, strict=True):
            answers[number].content = each.content
            if each.error is not None:
                why = await explained(scope, each.error.kind, each.path, each.error.reason)
                answers[number].error = why
        return answers


def info(path: str, status: FileStat | Entry) -> FileInfo:
    """What deepagents is told about something."""
    return FileInfo(
        path=path,
        is_dir=status.type == "directory",
        size=status.size,
        modified_at=status.modified.isoformat(),
    )


def _why_not_listed(error: e.OperationError) -> str:
    if isinstance(error, e.NotFound):
        return "path_not_found"
    if isinstance(error, e.WrongType):
        return "not_a_directory"
    if isinstance(error, e.PermissionDenied | e.PathEscapes):
        return "permission_denied"
    return error.reason


def _lf(text: str) -> str:
    return text.replace("\r\n", "\n")


def _crlf(text: str) -> str:
    return _lf(text).replace("\n", "\r\n")
