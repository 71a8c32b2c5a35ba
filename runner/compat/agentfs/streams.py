"""AgentFS's streams and batches: what the blocks of a workspace give."""

from __future__ import annotations

from typing import Any

from runner.compat.agentfs.houses import Place
from runner.compat.agentfs.twins import Twinned, both
from runner.errors import InvalidArgument
from runner.operations import Batch as OurBatch
from runner.operations import ReadingStream, WritingStream


class Stream(Twinned):
    """A file that is read or written piece by piece."""

    def __init__(self, place: Place, path: str, inner: Any, empty: str | bytes) -> None:
        """Use `Workspace.open_stream`."""
        self._place, self._path, self._inner = place, path, inner
        self._empty: Any = empty
        self._rest: Any = empty

    @both
    async def read(self, size: int = -1) -> Any:
        """The next piece, of as many bytes or characters; less at the end, then nothing."""
        if not isinstance(self._inner, ReadingStream):
            raise InvalidArgument("read", self._path, "it was opened to be written")
        while size < 0 or len(self._rest) < size:
            piece = await self._inner.receive()
            if not piece:
                break
            self._rest += piece
        cut = len(self._rest) if size < 0 else size
        piece, self._rest = self._rest[:cut], self._rest[cut:]
        return piece

    @both
    async def write(self, data: Any) -> int:
        """Write more; how much."""
        if not isinstance(self._inner, WritingStream):
            raise InvalidArgument("write", self._path, "it was opened to be read")
        await self._inner.send(data)
        return len(data)


class Batch(Twinned):
    """Changes that are made together when the block is left, all or none."""

    def __init__(self, place: Place, inner: OurBatch) -> None:
        """Use `Workspace.batch`."""
        self._place, self._inner = place, inner

    @both
    async def write_file(self, path: str, content: str | bytes, encoding: str = "utf-8") -> None:
        """Replace a file's content, or make it."""
        await self._inner.write(inside(path), content, encoding=encoding)

    @both
    async def append_file(self, path: str, content: str | bytes, encoding: str = "utf-8") -> None:
        """Add to a file's end, or make it."""
        await self._inner.append(inside(path), content, encoding=encoding)

    @both
    async def delete(self, path: str, *, recursive: bool = False) -> None:
        """Remove a file or an empty directory, or a tree."""
        await self._inner.remove(inside(path), recursive=recursive)

    @both
    async def copy(self, source: str, target: str, *, overwrite: bool = True) -> None:
        """Copy a file or a tree."""
        await self._inner.copy(inside(source), inside(target), overwrite=overwrite)

    @both
    async def move(self, source: str, target: str, *, overwrite: bool = True) -> None:
        """Rename a file or a tree."""
        await self._inner.move(inside(source), inside(target), overwrite=overwrite)

    @both
    async def mkdir(self, path: str) -> None:
        """Make a directory and its parents."""
        await self._inner.mkdir(inside(path))

    @both
    async def chmod(self, path: str, mode: int) -> None:
        """Set the permission bits."""
        await self._inner.chmod(inside(path), mode)


def inside(path: Any) -> Any:
    """A path that begins in the workspace's root, in our terms: what is no text ours refuses."""
    return path.lstrip("/") or "." if isinstance(path, str) else path
