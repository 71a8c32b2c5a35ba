"""Files as streams: read or written piece by piece, in the memory of a piece.

    async with scope.open_stream("big.csv", "wb") as stream:
        await stream.send(b"...")          # not to be seen before the block is left, then whole

    async with scope.open_stream("big.csv", encoding="utf-8") as stream:
        async for text in stream: ...      # as it was when it was opened

Text is decoded and encoded here, piece by piece, so that no character is torn.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, suppress
from typing import Any, Generic, Literal, Self, TypeVar, cast, overload

import trio

from runner.errors import InvalidArgument, OperationError, RunnerError
from runner.messages import (
    Append,
    CloseStream,
    CommitStream,
    Opened,
    OpenReader,
    OpenWriter,
    ReadStream,
    WriteStream,
)
from runner.operations.asking import Asking
from runner.operations.soundness import shown
from runner.operations.texts import Decoding, Encoding

TextT = TypeVar("TextT", str, bytes)
PIECE = 1 << 16
LARGE = 1 << 20  # bytes of one message
LEAVING = 10.0  # seconds to close what is left by an error; it takes microseconds


@contextmanager
def _said_of(op: str, path: str) -> Iterator[None]:
    """Errors name what the caller called, and on which file; not the stream's id."""
    try:
        yield
    except OperationError as error:
        error.op, error.path = op, path
        raise


class ReadingStream(Generic[TextT]):
    """A file that is being read; an async iterator of its pieces.

    Attributes:
        size: bytes of the whole.
    """

    def __init__(self, where: Asking, path: str, opened: Opened, decoding: Decoding | None) -> None:
        """Begin at its first byte."""
        self.size = opened.size
        self._where, self._path, self._id, self._decoding = where, path, opened.id, decoding
        self._is_over = False

    async def receive(self, limit: int = PIECE) -> TextT:
        """The next piece, of at most so many bytes of the file; an empty one at its end.

        Raises:
            DecodeFailed: it is not text in this encoding.
        """
        while not self._is_over:
            with _said_of("receive", self._path):
                data = await self._where.ask(ReadStream(id=self._id, limit=limit))
            self._is_over = not data
            piece = data if self._decoding is None else self._decoding.decode(data)
            if piece:
                return cast("TextT", piece)
        return cast("TextT", b"" if self._decoding is None else "")

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> TextT:
        """The next piece."""
        piece = await self.receive()
        if not piece:
            raise StopAsyncIteration
        return piece


class WritingStream(Generic[TextT]):
    """A file that is being written."""

    def __init__(
        self,
        where: Asking,
        path: str,
        id: str | None,  # noqa: A002 - the messages' own word
        encoding: Encoding | None,
    ) -> None:
        """Begin; without an id it is appended to."""
        self._where, self._path, self._id, self._encoding = where, path, id, encoding

    async def send(self, data: TextT) -> None:
        """Write more. To be appended, it is appended at once: up to 1 MiB as one effect.

        Raises:
            DecodeFailed: the text cannot be had in this encoding.
            NoSpace: the disk is full.
        """
        if self._encoding is not None and isinstance(data, str):
            await self._send(self._encoding.encode(data))
        elif self._encoding is None and isinstance(data, bytes | bytearray | memoryview):
            await self._send(bytes(data))
        else:
            wanted = "bytes" if self._encoding is None else "text"
            raise InvalidArgument(
                "send",
                self._path,
                f"{shown(data)}: this stream takes {wanted}",
                scope=self._where.name,
                hint="it takes text if it is opened with an encoding, else bytes",
            )

    async def _send(self, data: bytes) -> None:
        for at in range(0, len(data), LARGE):
            piece = data[at : at + LARGE]
            if self._id is None:
                await self._where.ask(Append(path=self._path, content=piece))
            else:
                with _said_of("send", self._path):
                    await self._where.ask(WriteStream(id=self._id, data=piece))

    async def finish(self, *, durable: bool) -> None:
        """Put all of it in place."""
        if self._encoding is not None:
            await self._send(self._encoding.encode("", final=True))
        if self._id is not None:
            with _said_of("open_stream", self._path):
                await self._where.ask(CommitStream(id=self._id, durable=durable))


class Streaming(Asking):
    """The operations that read or write piece by piece."""

    __slots__ = ()

    @overload
    def open_stream(
        self, path: str, mode: Literal["rb"] = "rb", *, encoding: None = None
    ) -> AbstractAsyncContextManager[ReadingStream[bytes]]: ...
    @overload
    def open_stream(
        self, path: str, mode: Literal["rb"] = "rb", *, encoding: str
    ) -> AbstractAsyncContextManager[ReadingStream[str]]: ...
    @overload
    def open_stream(
        self,
        path: str,
        mode: Literal["wb", "ab"],
        *,
        encoding: None = None,
        durable: bool = False,
    ) -> AbstractAsyncContextManager[WritingStream[bytes]]: ...
    @overload
    def open_stream(
        self, path: str, mode: Literal["wb", "ab"], *, encoding: str, durable: bool = False
    ) -> AbstractAsyncContextManager[WritingStream[str]]: ...
    def open_stream(
        self,
        path: str,
        mode: Literal["rb", "wb", "ab"] = "rb",
        *,
        encoding: str | None = None,
        durable: bool = False,
    ) -> AbstractAsyncContextManager[Any]:
        """A file to be read or written piece by piece; with `async with`.

        Args:
            path: relative to the scope, or absolute and inside it.
            mode: "rb" reads it as it was when it was opened. "wb" replaces it as a whole when the
                block is left well; left by an error, a cancellation or a crash, it is as before.
                "ab" appends each piece at once.
            encoding: how it is text; None = the pieces are bytes.
            durable: whether what "wb" wrote is on the disk when the block is left.

        Raises:
            NotFound, WrongType: there is no file to read.
            DecodeFailed: there is no such encoding.
            InvalidArgument: there is no such mode.
        """
        if mode == "rb":
            return _reading(self, path, encoding)
        if mode == "wb":
            return _writing(self, path, encoding, durable=durable)
        if mode == "ab":
            return _appending(self, path, encoding)
        raise InvalidArgument(
            "open_stream",
            path,
            f"there is no mode {shown(mode)}",
            scope=self.name,
            hint='it is "rb", "wb" or "ab"',
        )


@asynccontextmanager
async def _reading(
    where: Asking, path: str, encoding: str | None
) -> AsyncIterator[ReadingStream[Any]]:
    decoding = None if encoding is None else Decoding(path, encoding, where.name)
    opened = await where.ask(OpenReader(path=path))
    try:
        yield ReadingStream(where, path, opened, decoding)
    finally:
        # Said also if we are cancelled; where it was may have gone before.
        with trio.move_on_after(LEAVING, shield=True), suppress(RunnerError):
            await where.ask(CloseStream(id=opened.id))


@asynccontextmanager
async def _writing(
    where: Asking, path: str, encoding: str | None, *, durable: bool
) -> AsyncIterator[WritingStream[Any]]:
    coding = None if encoding is None else Encoding(path, encoding, where.name)
    opened = await where.ask(OpenWriter(path=path))
    stream: WritingStream[Any] = WritingStream(where, path, opened.id, coding)
    try:
        yield stream
        await stream.finish(durable=durable)
    except BaseException:
        with trio.move_on_after(LEAVING, shield=True), suppress(RunnerError):
            await where.ask(CloseStream(id=opened.id))
        raise


@asynccontextmanager
async def _appending(
    where: Asking, path: str, encoding: str | None
) -> AsyncIterator[WritingStream[Any]]:
    coding = None if encoding is None else Encoding(path, encoding, where.name)
    await where.ask(Append(path=path, content=b""))  # what is wrong with it shows now
    stream: WritingStream[Any] = WritingStream(where, path, None, coding)
    yield stream
    await stream.finish(durable=False)
