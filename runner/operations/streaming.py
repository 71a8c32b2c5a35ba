"""Files as streams: read or written piece by piece, in the memory of a piece.

    async with scope.open_stream("big.csv", "wb") as stream:
        await stream.send(b"...")          # not to be seen before the block is left, then whole

    async with scope.open_stream("big.csv", encoding="utf-8") as stream:
        async for text in stream: ...      # as it was when it was opened

Text is decoded and encoded here, piece by piece, so that no character is torn.
"""

from __future__ import annotations

import codecs
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Any, Generic, Literal, Self, TypeVar, cast, overload

import trio

from runner.errors import ConfigError, DecodeFailed, RunnerError
from runner.messages import (
    Append,
    CloseStream,
    CommitStream,
    OpenReader,
    OpenWriter,
    ReadStream,
    WriteStream,
)
from runner.operations.asking import Asking

TextT = TypeVar("TextT", str, bytes)
PIECE = 1 << 16
LARGE = 1 << 20  # bytes of one message
LEAVING = 10.0  # seconds to close what is left by an error; it takes microseconds


def codec_of(op: str, path: str, encoding: str, scope: str) -> codecs.CodecInfo:
    """The codec of a name.

    Raises:
        DecodeFailed: there is none that makes text.
    """
    with suppress(LookupError, ValueError):
        found = codecs.lookup(encoding)
        if getattr(found, "_is_text_encoding", True) and found.incrementaldecoder is not None:
            return found
    raise DecodeFailed(op, path, f"there is no encoding {encoding!r}", scope=scope)


class Decoding:
    """Text from bytes that are cut anywhere; an error says where in the whole it is."""

    def __init__(self, path: str, encoding: str, scope: str) -> None:
        """Begin at the first byte."""
        self._path, self._encoding, self._scope = path, encoding, scope
        maker = codec_of("receive", path, encoding, scope).incrementaldecoder
        assert maker is not None, "codec_of says so"
        self._decoder = maker()
        self._seen = 0

    def decode(self, data: bytes) -> str:
        """The text of the next bytes; none = these were all."""
        try:
            text = self._decoder.decode(data, final=not data)
        except UnicodeDecodeError as error:
            # The decoder had kept the beginning of a character: it counts from there.
            at = self._seen - (len(error.object) - len(data)) + error.start
            reason = f"not {self._encoding}: byte 0x{error.object[error.start]:02x} at {at}"
            raise DecodeFailed(
                "receive",
                self._path,
                reason,
                scope=self._scope,
                hint="without an encoding the stream gives bytes",
            ) from None
        self._seen += len(data)
        return text


class Encoding:
    """Bytes from text; an error says which character of the whole it is."""

    def __init__(self, path: str, encoding: str, scope: str) -> None:
        """Begin at the first character."""
        self._path, self._encoding, self._scope = path, encoding, scope
        maker = codec_of("send", path, encoding, scope).incrementalencoder
        assert maker is not None, "what has a decoder has an encoder"
        self._encoder = maker()
        self._seen = 0

    def encode(self, text: str, *, final: bool = False) -> bytes:
        """The bytes of the next characters."""
        try:
            data = self._encoder.encode(text, final=final)
        except UnicodeEncodeError as error:
            at = self._seen + error.start
            reason = f"not text for {self._encoding}: character {at}: {error.reason}"
            raise DecodeFailed("send", self._path, reason, scope=self._scope) from None
        self._seen += len(text)
        return data


class ReadingStream(Generic[TextT]):
    """A file that is being read; an async iterator of its pieces.

    Attributes:
        size: bytes of the whole.
    """

    def __init__(self, where: Asking, id: str, size: int, decoding: Decoding | None) -> None:  # noqa: A002
        """Begin at its first byte."""
        self.size = size
        self._where, self._id, self._decoding = where, id, decoding
        self._is_over = False

    async def receive(self, limit: int = PIECE) -> TextT:
        """The next piece, of at most so many bytes of the file; an empty one at its end.

        Raises:
            DecodeFailed: it is not text in this encoding.
        """
        while not self._is_over:
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
        if isinstance(data, str):
            assert self._encoding is not None, "bytes are sent to a stream without an encoding"
            await self._send(self._encoding.encode(data))
        else:
            await self._send(bytes(data))

    async def _send(self, data: bytes) -> None:
        for at in range(0, len(data), LARGE):
            piece = data[at : at + LARGE]
            if self._id is None:
                await self._where.ask(Append(path=self._path, content=piece))
            else:
                await self._where.ask(WriteStream(id=self._id, data=piece))

    async def finish(self, *, durable: bool) -> None:
        """Put all of it in place."""
        if self._encoding is not None:
            await self._send(self._encoding.encode("", final=True))
        if self._id is not None:
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
            ConfigError: there is no such mode.
        """
        if mode == "rb":
            return _reading(self, path, encoding)
        if mode == "wb":
            return _writing(self, path, encoding, durable=durable)
        if mode == "ab":
            return _appending(self, path, encoding)
        raise ConfigError(f'open_stream: the mode is "rb", "wb" or "ab", not {mode!r}')


@asynccontextmanager
async def _reading(
    where: Asking, path: str, encoding: str | None
) -> AsyncIterator[ReadingStream[Any]]:
    decoding = None if encoding is None else Decoding(path, encoding, where.name)
    opened = await where.ask(OpenReader(path=path))
    try:
        yield ReadingStream(where, opened.id, opened.size, decoding)
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
