"""Methods that change files: each turns its call into one message."""

from __future__ import annotations

from runner.messages import Append, Copy, Edit, Mkdir, Move, Remove, Write
from runner.operations.asking import Asking


class Changing(Asking):
    """The effects on files."""

    __slots__ = ()

    async def write(
        self, path: str, content: str | bytes, *, encoding: str = "utf-8", durable: bool = False
    ) -> None:
        """Replace a file's content whole, or make the file; parents are made.

        A reader sees the old content or the new, never half; mode and owner stay.

        Args:
            path: relative to the scope, or absolute and inside it.
            content: text, or bytes.
            encoding: of text.
            durable: whether it is on the disk (fsync) when this returns.
        """
        data = self._encode("write", path, content, encoding)
        await self.ask(Write(path=path, content=data, durable=durable))

    async def append(self, path: str, content: str | bytes, *, encoding: str = "utf-8") -> None:
        """Add to a file's end, or make the file; parents are made."""
        data = self._encode("append", path, content, encoding)
        await self.ask(Append(path=path, content=data))

    async def edit(
        self, path: str, old: str | bytes, new: str | bytes, *, replace_all: bool = False
    ) -> int:
        """Replace an exact piece of a file, and say how many times.

        Raises:
            EditFailed: it does not stand there, or more than once without `replace_all`.
        """
        before = self._encode("edit", path, old, "utf-8")
        after = self._encode("edit", path, new, "utf-8")
        return await self.ask(Edit(path=path, old=before, new=after, replace_all=replace_all))

    async def mkdir(self, path: str, *, exist_ok: bool = True) -> None:
        """Make a directory and its parents."""
        await self.ask(Mkdir(path=path, exist_ok=exist_ok))

    async def copy(self, source: str, target: str, *, overwrite: bool = False) -> None:
        """Copy a file or a tree to a new path; links are copied as links."""
        await self.ask(Copy(source=source, target=target, overwrite=overwrite))

    async def move(self, source: str, target: str, *, overwrite: bool = False) -> None:
        """Rename a file or a tree."""
        await self.ask(Move(source=source, target=target, overwrite=overwrite))

    async def remove(self, path: str, *, recursive: bool = False, missing_ok: bool = False) -> None:
        """Remove a file or an empty directory, or a tree; never the scope itself."""
        await self.ask(Remove(path=path, recursive=recursive, missing_ok=missing_ok))
