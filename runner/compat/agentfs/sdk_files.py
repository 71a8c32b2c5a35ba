"""agentfs-sdk's `afs.fs`, on the files of a workspace: its errors, and what is refused, as there.

What differs: links are followed inside of the workspace (there they are not supported), `..` leads
up as everywhere and never out (there it is a name), a file is overwritten whole or not at all, and
is the one that other programs see.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

from runner.compat.agentfs.houses import House, Place
from runner.compat.agentfs.sdk import ErrnoException, FsErrorCode, FsSyscall, Stats
from runner.errors import AlreadyExists, NotEmpty, NotFound, OperationError, WrongType
from runner.messages import FileStat
from runner.workspaces.workspace import Workspace

P = ParamSpec("P")
T = TypeVar("T")
MANY = 1 << 30
_SAID: dict[str, str] = {
    "ENOENT": "no such file or directory",
    "EEXIST": "file already exists",
    "EISDIR": "illegal operation on a directory",
    "ENOTDIR": "not a directory",
    "ENOTEMPTY": "directory not empty",
    "EINVAL": "invalid argument",
}
_CODES: dict[type[OperationError], FsErrorCode] = {
    NotFound: "ENOENT",
    AlreadyExists: "EEXIST",
    NotEmpty: "ENOTEMPTY",
    WrongType: "ENOTDIR",
}
_TYPES = {"file": stat.S_IFREG, "directory": stat.S_IFDIR, "link": stat.S_IFLNK}


def _in_asyncio(
    work: Callable[Concatenate[Filesystem, P], Awaitable[T]],
) -> Callable[Concatenate[Filesystem, P], Awaitable[T]]:
    @wraps(work)
    async def method(self: Filesystem, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await self._place.wait_in_asyncio(lambda: work(self, *args, **kwargs))

    return method


class Filesystem:
    """The files of a workspace; every method is awaited under asyncio."""

    def __init__(self, place: Place, workspace: Callable[[], Awaitable[Workspace]]) -> None:
        """Nothing happens yet."""
        self._place, self._get = place, workspace
        self._found: tuple[House, Workspace] | None = None

    def get_chunk_size(self) -> int:
        """What agentfs-sdk's is; files have no chunks here."""
        return 4096

    @_in_asyncio
    async def write_file(self, path: str, content: str | bytes, encoding: str = "utf-8") -> None:
        """Replace a file's content, or make it, with its parents."""
        here, found = await self._see(path)
        if found is not None and found.type == "directory":
            raise _error("EISDIR", "open", here)
        data = content.encode(encoding) if isinstance(content, str) else content
        await self._do("open", here, lambda ws: ws.write(_inside(here), data))

    @_in_asyncio
    async def read_file(self, path: str, encoding: str | None = "utf-8") -> Any:
        """A file's content; as bytes without an encoding."""
        here, found = await self._need("open", path)
        if found.type == "directory":
            raise _error("EISDIR", "open", here)
        data = await self._do("open", here, lambda ws: ws.read(_inside(here), encoding=None))
        return data.decode(encoding) if encoding else data

    @_in_asyncio
    async def readdir(self, path: str) -> list[str]:
        """The names in a directory, sorted."""
        here, _ = await self._directory("scandir", path)
        found = await self._do("scandir", here, lambda ws: ws.ls(_inside(here), limit=MANY))
        return [each.name for each in found.entries]

    @_in_asyncio
    async def unlink(self, path: str) -> None:
        """Remove a file."""
        await self._unlink(path)

    @_in_asyncio
    async def delete_file(self, path: str) -> None:
        """The same, by its old name."""
        await self._unlink(path)

    async def _unlink(self, path: str) -> None:
        here, found = await self._need("unlink", path, is_root_refused=True)
        if found.type == "directory":
            raise _error("EISDIR", "unlink", here)
        await self._do("unlink", here, lambda ws: ws.remove(_inside(here)))

    @_in_asyncio
    async def stat(self, path: str) -> Stats:
        """What stands at a path."""
        here, found = await self._need("stat", path)
        workspace = await self._files()
        real = await self._do("stat", here, lambda ws: ws.realpath(_inside(here)))
        kind, time = _TYPES.get(found.type, 0), int(found.modified.timestamp())
        try:
            more = os.lstat(os.path.join(workspace.path, real))
        except OSError:  # to be seen only from the inside of an overlay
            return Stats(0, kind | found.mode, 1, 0, 0, found.size, time, time, time)
        numbers = more.st_ino, kind | found.mode, more.st_nlink, more.st_uid, more.st_gid
        return Stats(*numbers, found.size, int(more.st_atime), time, int(more.st_ctime))

    @_in_asyncio
    async def mkdir(self, path: str) -> None:
        """Make a directory, whose parent is there."""
        here, found = await self._see(path)
        if found is not None:
            raise _error("EEXIST", "mkdir", here)
        await self._need_parent("mkdir", here)
        await self._do("mkdir", here, lambda ws: ws.mkdir(_inside(here), exist_ok=False))

    @_in_asyncio
    async def rmdir(self, path: str) -> None:
        """Remove an empty directory."""
        here, _ = await self._directory("rmdir", path, is_root_refused=True)
        await self._do("rmdir", here, lambda ws: ws.remove(_inside(here)))

    @_in_asyncio
    async def rm(self, path: str, force: bool = False, recursive: bool = False) -> None:
        """Remove a file, or a tree; with `force` one that need not be there."""
        here = _root_refused("rm", path)
        _, found = await self._see(path)
        if found is None and force:
            return
        if found is None:
            raise _error("ENOENT", "rm", here)
        if found.type == "directory" and not recursive:
            raise _error("EISDIR", "rm", here)
        await self._do("rm", here, lambda ws: ws.remove(_inside(here), recursive=recursive))

    @_in_asyncio
    async def rename(self, old_path: str, new_path: str) -> None:
        """Rename a file or a directory; a file, or an empty directory, is replaced."""
        old, new = _normal(old_path), _normal(new_path)
        if old == new:
            return
        for each in (old, new):
            _root_refused("rename", each)
        await self._need_parent("rename", new)
        _, source = await self._need("rename", old)
        is_directory = source.type == "directory"
        if is_directory and new.startswith(old + "/"):
            raise _error("EINVAL", "rename", new)
        _, target = await self._see(new)
        if target is not None and is_directory != (target.type == "directory"):
            raise _error("ENOTDIR" if is_directory else "EISDIR", "rename", new)
        await self._do(
            "rename", new, lambda ws: ws.move(_inside(old), _inside(new), overwrite=True)
        )

    @_in_asyncio
    async def copy_file(self, src: str, dest: str) -> None:
        """Copy a file; one that is there is replaced."""
        source, target = _normal(src), _normal(dest)
        if source == target:
            raise _error("EINVAL", "copyfile", target)
        _, found = await self._need("copyfile", source)
        if found.type == "directory":
            raise _error("EISDIR", "copyfile", source)
        if target != "/":
            await self._need_parent("copyfile", target)
        _, there = await self._see(target)
        if target == "/":
            raise _error("ENOENT", "copyfile", target)
        if there is not None and there.type == "directory":
            raise _error("EISDIR", "copyfile", target)
        await self._do(
            "copyfile", target, lambda ws: ws.copy(_inside(source), _inside(target), overwrite=True)
        )

    @_in_asyncio
    async def access(self, path: str) -> None:
        """Whether something is there."""
        await self._need("access", path)

    # ------------------------------------------------------------ what there is

    async def _files(self) -> Workspace:
        house = self._place.house  # another one after it was closed
        if self._found is None or self._found[0] is not house:
            self._found = house, await self._get()
        return self._found[1]

    async def _see(self, path: str) -> tuple[str, FileStat | None]:
        here = _normal(path)
        try:
            return here, await (await self._files()).stat(_inside(here))
        except (NotFound, WrongType):
            return here, None
        except OperationError as exc:
            raise _error("EPERM", "stat", here, exc.reason) from exc

    async def _need(
        self, call: FsSyscall, path: str, *, is_root_refused: bool = False
    ) -> tuple[str, FileStat]:
        if is_root_refused:
            _root_refused(call, path)
        here, found = await self._see(path)
        if found is None:
            raise _error("ENOENT", call, here)
        return here, found

    async def _directory(
        self, call: FsSyscall, path: str, *, is_root_refused: bool = False
    ) -> tuple[str, FileStat]:
        here, found = await self._need(call, path, is_root_refused=is_root_refused)
        if found.type != "directory":
            raise _error("ENOTDIR", call, here)
        return here, found

    async def _need_parent(self, call: FsSyscall, path: str) -> None:
        _, found = await self._see(path.rpartition("/")[0])
        if found is None:
            raise _error("ENOENT", call, path)
        if found.type != "directory":
            raise _error("ENOTDIR", call, path)

    async def _do(self, call: FsSyscall, path: str, work: Callable[[Workspace], Awaitable[T]]) -> T:
        try:
            return await work(await self._files())
        except OperationError as exc:
            code = _CODES.get(type(exc), "EPERM")
            raise _error(code, call, path, "" if code != "EPERM" else exc.reason) from exc


def _normal(path: str) -> str:
    return "/" + path.strip("/")


def _inside(path: str) -> str:
    return path.lstrip("/") or "."


def _root_refused(call: FsSyscall, path: str) -> str:
    here = _normal(path)
    if here == "/":
        raise _error("EPERM", call, here, "operation not permitted on root directory")
    return here


def _error(code: FsErrorCode, call: FsSyscall, path: str, message: str = "") -> ErrnoException:
    return ErrnoException(code, call, path, message or _SAID.get(code))
