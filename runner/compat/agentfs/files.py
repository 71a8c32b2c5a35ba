"""The part of AgentFS's `Workspace` that reads and changes files. Paths begin at its root."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Generator, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import Any, TypeVar

from runner.compat.agentfs.processing import processed, processed_in_asyncio
from runner.compat.agentfs.streams import Batch, Stream, inside
from runner.compat.agentfs.twins import Block, Twinned, both
from runner.compat.agentfs.words import BatchResult, FileInfo
from runner.errors import InvalidArgument
from runner.workspaces.workspace import Workspace as OurWorkspace

ItemT = TypeVar("ItemT")
ValueT = TypeVar("ValueT")
MANY = 1 << 30  # entries of a directory: all there are
_MODES = {"r": "rb", "rb": "rb", "w": "wb", "wb": "wb", "a": "ab", "ab": "ab"}


class Files(Twinned):
    """The files of a workspace."""

    _workspace: OurWorkspace

    @both
    async def read_file(self, path: str, encoding: str | None = "utf-8") -> Any:
        """A file's content, as text; as bytes without an encoding."""
        if encoding is None:
            return await self._workspace.read(inside(path), encoding=None)
        return await self._workspace.read(inside(path), encoding=encoding)

    @both
    async def write_file(self, path: str, content: str | bytes, encoding: str = "utf-8") -> None:
        """Replace a file's content, or make it, with its parents."""
        await self._workspace.write(inside(path), content, encoding=encoding)

    @both
    async def append_file(self, path: str, content: str | bytes, encoding: str = "utf-8") -> None:
        """Add to a file's end, or make it."""
        await self._workspace.append(inside(path), content, encoding=encoding)

    @both
    async def exists(self, path: str | None = None) -> bool:
        """Whether something stands at a path; without one: whether the workspace is there."""
        return await self._workspace.exists(None if path is None else inside(path))

    @both
    async def list_dir(self, path: str = "/") -> list[FileInfo]:
        """What is in a directory, sorted by name; links are not followed."""
        found = await self._workspace.ls(inside(path), limit=MANY)
        above = "/" + path.strip("/")
        return [
            FileInfo(
                name=each.name,
                path=f"{above.rstrip('/')}/{each.name}",
                type=each.type,
                size=each.size,
                mode=each.mode,
                mtime=each.modified.timestamp(),
            )
            for each in found.entries
        ]

    @both
    async def stat(self, path: str) -> FileInfo:
        """What stands at a path."""
        return FileInfo.of(path, await self._workspace.stat(inside(path)))

    @both
    async def mkdir(self, path: str) -> None:
        """Make a directory, with its parents."""
        await self._workspace.mkdir(inside(path))

    @both
    async def copy(self, source: str, target: str, *, overwrite: bool = True) -> None:
        """Copy a file or a tree."""
        await self._workspace.copy(inside(source), inside(target), overwrite=overwrite)

    @both
    async def move(self, source: str, target: str, *, overwrite: bool = True) -> None:
        """Rename a file or a tree."""
        await self._workspace.move(inside(source), inside(target), overwrite=overwrite)

    @both
    async def delete(self, path: str, *, recursive: bool = False) -> None:
        """Remove a file or an empty directory, or a tree."""
        await self._workspace.remove(inside(path), recursive=recursive)

    @both
    async def chmod(self, path: str, mode: int) -> None:
        """Set the permission bits."""
        await self._workspace.chmod(inside(path), mode)

    def open_stream(self, path: str, mode: str = "rb", encoding: str = "utf-8") -> Block[Stream]:
        """A file, to be read or written piece by piece; with `with` or `async with`.

        Args:
            path: of the file.
            mode: "rb", "wb" or "ab"; without the "b", of text. What is written anew is to be seen
                when the block is left, whole; if that is by an error, it is as before.
            encoding: of text.
        """
        return Block(self._place, partial(self._opened, path, mode, encoding))

    @asynccontextmanager
    async def _opened(self, path: str, mode: str, encoding: str) -> AsyncGenerator[Stream, None]:
        if mode not in _MODES:
            raise InvalidArgument("open_stream", path, f"there is no mode {mode!r}")
        is_bytes = mode.endswith("b")
        opened: AbstractAsyncContextManager[Any] = self._workspace.open_stream(
            inside(path),
            _MODES[mode],  # type: ignore[call-overload]  # one of the three
            encoding=None if is_bytes else encoding,
        )
        async with opened as stream:
            yield Stream(self._place, path, stream, b"" if is_bytes else "")

    def batch(self) -> Block[Batch]:
        """Changes that are made together when the block is left, all or none.

        Raises:
            BatchError: one cannot be made; none was.
        """
        return Block(self._place, self._batch)

    @asynccontextmanager
    async def _batch(self) -> AsyncGenerator[Batch, None]:
        async with self._workspace.batch() as batch:
            yield Batch(self._place, batch)

    def batch_process(
        self, files: Iterable[ItemT], callback: Callable[[ItemT], ValueT], *, limit: int = 8
    ) -> Generator[BatchResult[ItemT, ValueT], None, None]:
        """Call a function with each item, some at a time, each in a thread; in the items' order.

        Args:
            files: such as paths.
            callback: gets one of them. What it raises is that result's `error`.
            limit: how many at a time.
        """
        return processed(files, callback, limit)

    def batch_process_async(
        self, files: Iterable[ItemT], callback: Callable[[ItemT], Any], *, limit: int = 8
    ) -> AsyncGenerator[BatchResult[ItemT, Any], None]:
        """The same, each in a task; the function may be a coroutine function."""
        return processed_in_asyncio(files, callback, limit)
