"""Methods that look at files: each turns its call into one message and its answer into text."""

from __future__ import annotations

from typing import overload

from runner.errors import DecodeFailed
from runner.messages import Exists, FileStat, Found, Glob, Grep, Listing, Ls, Matches, Read, Stat
from runner.operations.asking import Asking


class Observing(Asking):
    """The observations."""

    __slots__ = ()

    @overload
    async def read(
        self, path: str, *, encoding: str = "utf-8", offset: int = 0, limit: int | None = None
    ) -> str: ...
    @overload
    async def read(
        self, path: str, *, encoding: None, offset: int = 0, limit: int | None = None
    ) -> bytes: ...
    async def read(
        self,
        path: str,
        *,
        encoding: str | None = "utf-8",
        offset: int = 0,
        limit: int | None = None,
    ) -> str | bytes:
        """The content of a file.

        Args:
            path: relative to the scope, or absolute and inside it.
            encoding: how it is text; None = give the bytes. Line ends are never changed.
            offset: bytes to skip.
            limit: bytes to read at most; None = to the end.

        Raises:
            NotFound, WrongType: it is no file.
            DecodeFailed: it is not text in this encoding.
        """
        content = await self.ask(Read(path=path, offset=offset, limit=limit))
        if encoding is None:
            return content
        try:
            return content.decode(encoding)
        except UnicodeDecodeError as exc:
            reason = f"not {encoding}: byte 0x{content[exc.start]:02x} at {offset + exc.start}"
            hint = "encoding=None gives the bytes"
            raise DecodeFailed("read", path, reason, scope=self.name, hint=hint) from None
        except LookupError:
            raise DecodeFailed(
                "read", path, f"there is no encoding {encoding!r}", scope=self.name
            ) from None

    async def stat(self, path: str) -> FileStat:
        """What stands at a path; a link is followed if it stays inside."""
        return await self.ask(Stat(path=path))

    async def exists(self, path: str) -> bool:
        """Whether something stands at a path."""
        return await self.ask(Exists(path=path))

    async def ls(self, path: str = ".", *, limit: int = 10_000) -> Listing:
        """The entries of a directory, sorted by name."""
        return await self.ask(Ls(path=path, limit=limit))

    async def glob(
        self, pattern: str, path: str = ".", *, hidden: bool = False, limit: int = 10_000
    ) -> Found:
        """The paths below `path` that match a pattern (`**`, braces, classes), sorted."""
        return await self.ask(Glob(pattern=pattern, path=path, hidden=hidden, limit=limit))

    async def grep(
        self,
        pattern: str,
        path: str = ".",
        *,
        literal: bool = False,
        ignore_case: bool = False,
        glob: str | None = None,
        hidden: bool = False,
        limit: int = 10_000,
    ) -> Matches:
        """The lines of text files below `path` that match a regular expression or a literal."""
        return await self.ask(
            Grep(
                pattern=pattern,
                path=path,
                literal=literal,
                ignore_case=ignore_case,
                glob=glob,
                hidden=hidden,
                limit=limit,
            )
        )
