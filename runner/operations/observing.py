"""Methods that look at files: each turns its call into one message and its answer into text."""

from __future__ import annotations

from collections.abc import Iterable
from typing import overload

from runner.errors import DecodeFailed
from runner.messages import (
    Digest,
    Download,
    Downloaded,
    Drawing,
    Exists,
    FileStat,
    Found,
    Glob,
    Grep,
    GrepOutput,
    Lines,
    Listing,
    ListKeys,
    Ls,
    Matches,
    Read,
    ReadLines,
    Realpath,
    Stat,
    Tree,
)
from runner.operations.asking import Asking
from runner.operations.texts import codec_of


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
        if encoding is not None and encoding != "utf-8":
            codec_of("read", path, encoding, self.name)
        content = await self.ask(Read(path=path, offset=offset, limit=limit))
        if encoding is None:
            return content
        try:
            return content.decode(encoding)
        except UnicodeError as exc:  # of "punycode" and the like it is no UnicodeDecodeError
            why = str(exc)
            if isinstance(exc, UnicodeDecodeError):
                why = f"byte 0x{content[exc.start]:02x} at {offset + exc.start}"
            reason, hint = f"not {encoding}: {why}", "encoding=None gives the bytes"
            raise DecodeFailed("read", path, reason, scope=self.name, hint=hint) from None

    async def read_lines(
        self,
        path: str,
        *,
        offset: int = 0,
        limit: int = 2000,
        longest: int = 8192,
        total: bool = True,
    ) -> Lines:
        """Lines of a text file, with their numbers and what was left out.

        From the middle of a large file, it takes the memory of the window; the second time (while
        the file is unchanged) no more is read than the window.

        Args:
            path: relative to the scope, or absolute and inside it.
            offset: lines to skip; negative = begin so many lines before the end.
            limit: lines to give at most.
            longest: bytes of a line to give at most; what is longer is cut, and named.
            total: whether to count all lines; without, no more is read than is needed for them,
                and `Lines.total` is None unless it is known anyway.
        """
        return await self.ask(
            ReadLines(path=path, offset=offset, limit=limit, longest=longest, total=total)
        )

    async def head(self, path: str, lines: int = 10) -> Lines:
        """The first lines of a text file; the rest is not read, so `total` may be None."""
        return await self.ask(ReadLines(path=path, limit=lines, total=False))

    async def tail(self, path: str, lines: int = 10, *, total: bool = False) -> Lines:
        """The last lines of a text file, read from its end.

        Unless `total` is asked for (then the whole file is read), how many lines stand before them
        is not known: `total` is None, and their numbers count from the end, -1 being the last.
        """
        skip = -lines if isinstance(lines, int) else 0  # what it is instead, `limit` says
        return await self.ask(ReadLines(path=path, offset=skip, limit=lines, total=total))

    async def digest(self, path: str) -> str:
        """The SHA-256 of a file's content, in hexadecimal digits."""
        return await self.ask(Digest(path=path))

    async def realpath(self, path: str) -> str:
        """Where a path leads when all links are followed: absolute (in memory: from the top).

        What is missing at its end may be missing; it never leads outside.
        """
        return await self.ask(Realpath(path=path))

    async def download(self, paths: Iterable[str]) -> tuple[Downloaded, ...]:
        """The contents of many files: one answer each, in order; a failure is that item's only."""
        return await self.ask(Download(paths=self._all_of("download", "paths", paths)))

    async def list_keys(self, prefix: str = "", *, limit: int = 10_000) -> Found:
        """The paths of all files that begin with a text (hidden ones, too), sorted as texts."""
        return await self.ask(ListKeys(prefix=prefix, limit=limit))

    async def tree(
        self,
        path: str = ".",
        *,
        depth: int | None = 3,
        hidden: bool = False,
        gitignore: bool = False,
        limit: int = 1000,
    ) -> Drawing:
        """What stands below a directory, to a depth (None = any); `Drawing.text` is drawn."""
        return await self.ask(
            Tree(path=path, depth=depth, hidden=hidden, gitignore=gitignore, limit=limit)
        )

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
        self,
        pattern: str,
        path: str = ".",
        *,
        hidden: bool = False,
        gitignore: bool = False,
        limit: int = 10_000,
    ) -> Found:
        """The paths below `path` that match a pattern (`**`, braces, classes), sorted.

        With `gitignore`, what the scope's `.gitignore` files ignore is left out, and `.git`.
        """
        return await self.ask(
            Glob(pattern=pattern, path=path, hidden=hidden, gitignore=gitignore, limit=limit)
        )

    async def grep(
        self,
        pattern: str,
        path: str = ".",
        *,
        literal: bool = False,
        ignore_case: bool = False,
        glob: str | None = None,
        types: Iterable[str] = (),
        hidden: bool = False,
        gitignore: bool = False,
        multiline: bool = False,
        context: int = 0,
        before: int | None = None,
        after: int | None = None,
        output: GrepOutput = "lines",
        per_file: int | None = None,
        limit: int = 10_000,
    ) -> Matches:
        """The lines of text files below `path` that match a regular expression or a literal.

        Args:
            pattern: in the dialect that Rust's regex crate and Python's `re` have in common.
            path: a directory or a file.
            literal: the pattern is a text.
            ignore_case: upper and lower case are alike.
            glob: only files whose name (with a `/` in it: whose path below `path`) matches.
            types: only files of one of these types: `py`, `rust`, … as ripgrep calls them.
            hidden: also what has a dot in front.
            gitignore: leave out what the scope's `.gitignore` files ignore, and `.git`.
            multiline: a match may reach over lines; each line that it touches is found.
            context: lines before and after each match that are given, too.
            before: the same before only.
            after: the same after only.
            output: "lines", or "files" or "counts" of matching lines in them.
            per_file: lines of one file to give at most.
            limit: lines (or files) to give at most; how many more there are is counted.
        """
        return await self.ask(
            Grep(
                pattern=pattern,
                path=path,
                literal=literal,
                ignore_case=ignore_case,
                glob=glob,
                types=self._all_of("grep", "types", types),
                hidden=hidden,
                gitignore=gitignore,
                multiline=multiline,
                before=context if before is None else before,
                after=context if after is None else after,
                output=output,
                per_file=per_file,
                limit=limit,
            )
        )
