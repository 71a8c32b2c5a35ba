"""HTTP/1.1 for a test server: requests out of bytes, answers into a stream.

`Requests` is sans-IO: bytes go in by `feed`, whole requests come out of `next`. `Connection` joins
it to a trio stream and writes answers: whole ones with a Content-Length, streamed ones in chunks.
Keep-alive, pipelining, chunked request bodies, HEAD and `Expect: 100-continue` work; everything
that RFC 9112 calls an error is an `HttpError`, after which the connection is closed.

It does not do: TLS, HTTP/2, compression, trailers (they are dropped), WebSockets.
"""

from __future__ import annotations

import http
import math
import re
import socket
import struct
from collections.abc import Mapping

import attrs
import trio

MAX_HEAD = 64 << 10
MAX_BODY = 64 << 20  # a long conversation with images; Anthropic itself refuses more than 32 MB

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_REQUEST_LINE = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+) (\S+) HTTP/1\.([01])")


class HttpError(Exception):
    """A request that cannot be served; the connection is of no use afterwards."""

    def __init__(self, status: int, reason: str) -> None:
        """Keep what the client is told."""
        super().__init__(reason)
        self.status = status
        self.reason = reason


@attrs.frozen(kw_only=True)
class Request:
    """A whole request; header names are in lower case."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes = b""
    keep_alive: bool = True
    chunks: bool = True

    @property
    def path(self) -> str:
        """The target without its query."""
        return self.target.partition("?")[0]


class Requests:
    """Requests out of bytes, however these are split."""

    def __init__(self, *, max_head: int = MAX_HEAD, max_body: int = MAX_BODY) -> None:
        self._max_head = max_head
        self._max_body = max_body
        self._buffer = bytearray()
        self._head: Request | None = None
        self._body = bytearray()
        self._left: int | None = None  # bytes to come; None = the size of the next chunk is to come
        self._last_chunk = False

    @property
    def in_request(self) -> bool:
        """Whether a part of a request has been taken."""
        return self._head is not None or bool(self._buffer)

    @property
    def wants_continue(self) -> bool:
        """Whether the client waits for `100 Continue` before it sends the body."""
        head = self._head
        return (
            head is not None
            and not self._body
            and not self._buffer
            and head.headers.get("expect", "").lower() == "100-continue"
        )

    def feed(self, data: bytes) -> None:
        """Take what was read from the client."""
        self._buffer += data

    def next(self) -> Request | None:
        """Give the next whole request; None = more bytes are needed.

        Raises:
            HttpError: what came is no request, or a too large one.
        """
        if self._head is None:
            block = self._take_head()
            if block is None:
                return None
            self._head = _parse_head(block)
            self._left = self._length(self._head)
        if not self._take_body():
            return None
        request = attrs.evolve(self._head, body=bytes(self._body))
        self._head = None
        self._body.clear()
        self._last_chunk = False
        return request

    def _take_head(self) -> str | None:
        while self._buffer.startswith(b"\r\n"):  # RFC 9112 2.2: skip empty lines before a request
            del self._buffer[:2]
        end = self._buffer.find(b"\r\n\r\n")
        if max(end, len(self._buffer) if end < 0 else 0) > self._max_head:
            raise HttpError(431, f"the head is longer than {self._max_head} bytes")
        if end < 0:
            return None
        block = self._buffer[:end].decode("latin-1")
        del self._buffer[: end + 4]
        return block

    def _length(self, head: Request) -> int | None:
        coding = head.headers.get("transfer-encoding")
        length = head.headers.get("content-length")
        if coding is not None:
            if length is not None:
                raise HttpError(400, "both Content-Length and Transfer-Encoding")
            if coding.lower() != "chunked":
                raise HttpError(501, f"unknown transfer coding {coding!r}")
            return None
        if length is None:
            return 0
        if not re.fullmatch(r"[0-9]{1,18}", length):
            raise HttpError(400, f"not a Content-Length: {length!r}")
        if int(length) > self._max_body:
            raise HttpError(413, f"the body is longer than {self._max_body} bytes")
        return int(length)

    def _take_body(self) -> bool:
        assert self._head is not None
        if "transfer-encoding" in self._head.headers:
            return self._take_chunks()
        assert self._left is not None
        piece = self._buffer[: self._left]
        del self._buffer[: len(piece)]
        self._body += piece
        self._left -= len(piece)
        return self._left == 0

    def _take_chunks(self) -> bool:
        while True:
            if self._last_chunk:
                line = self._take_line()
                if line is None:
                    return False
                if not line:  # the end of the trailers
                    return True
            elif self._left is None:
                line = self._take_line()
                if line is None:
                    return False
                self._begin_chunk(line)
            else:
                if len(self._buffer) < self._left + 2:
                    return False
                if self._buffer[self._left : self._left + 2] != b"\r\n":
                    raise HttpError(400, "a chunk does not end where it should")
                self._body += self._buffer[: self._left]
                del self._buffer[: self._left + 2]
                self._left = None

    def _begin_chunk(self, line: str) -> None:
        size = line.partition(";")[0].strip()
        if not re.fullmatch(r"[0-9A-Fa-f]{1,16}", size):
            raise HttpError(400, f"not the size of a chunk: {size!r}")
        self._left = int(size, 16)
        if len(self._body) + self._left > self._max_body:
            raise HttpError(413, f"the body is longer than {self._max_body} bytes")
        if self._left == 0:
            self._left = None
            self._last_chunk = True

    def _take_line(self) -> str | None:
        end = self._buffer.find(b"\r\n")
        if end < 0:
            if len(self._buffer) > self._max_head:
                raise HttpError(400, "a line between chunks does not end")
            return None
        line = self._buffer[:end].decode("latin-1")
        del self._buffer[: end + 2]
        return line


def _parse_head(block: str) -> Request:
    request_line, *lines = block.split("\r\n")
    matched = _REQUEST_LINE.fullmatch(request_line)
    if matched is None:
        raise HttpError(400, "not a request line of HTTP/1.0 or 1.1")
    method, target, minor = matched.groups()
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not _TOKEN.fullmatch(name):
            raise HttpError(400, "not a header line")
        name, value = name.lower(), value.strip(" \t")
        if "\0" in value or "\n" in value or "\r" in value:
            raise HttpError(400, f"a control character in header {name!r}")
        if name in {"host", "content-length"} and headers.get(name, value) != value:
            raise HttpError(400, f"two different headers {name!r}")
        joined = name in headers and name not in {"host", "content-length"}
        headers[name] = f"{headers[name]}, {value}" if joined else value
    if minor == "1" and "host" not in headers:
        raise HttpError(400, "no Host header")
    options = {word.strip().lower() for word in headers.get("connection", "").split(",")}
    keep_alive = "close" not in options if minor == "1" else "keep-alive" in options
    return Request(
        method=method, target=target, headers=headers, keep_alive=keep_alive, chunks=minor == "1"
    )


class Connection:
    """One client: takes its requests one after the other, and writes the answers."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream
        self._requests = Requests()
        self._request: Request | None = None
        self._chunks = False

    async def receive(self) -> Request | None:
        """Wait for the next request; None = the client has gone.

        Raises:
            HttpError: what came is no request.
        """
        continued = False
        while (request := self._requests.next()) is None:
            if self._requests.wants_continue and not continued:
                continued = True
                await self._stream.send_all(b"HTTP/1.1 100 Continue\r\n\r\n")
            data = await self._stream.receive_some()
            if not data:
                if self._requests.in_request:
                    raise HttpError(400, "the request ends in the middle")
                return None
            self._requests.feed(data)
        self._request = request
        return request

    async def respond(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        """Send a whole answer."""
        head = _head(status, {**headers, "content-length": str(len(body))})
        without_body = self._request is not None and self._request.method == "HEAD"
        await self._stream.send_all(head if without_body else head + body)

    async def begin(self, status: int, headers: Mapping[str, str]) -> None:
        """Begin a streamed answer; a client of HTTP/1.0 sees its end by the close."""
        self._chunks = self._request is not None and self._request.chunks
        coding = {"transfer-encoding": "chunked"} if self._chunks else {"connection": "close"}
        await self._stream.send_all(_head(status, {**headers, **coding}))

    async def begin_sized(self, status: int, size: int, headers: Mapping[str, str]) -> None:
        """Begin a whole answer of that size; its bytes are for `send_raw`."""
        await self._stream.send_all(_head(status, {**headers, "content-length": str(size)}))

    async def send(self, data: bytes) -> None:
        """Send a piece of a streamed answer."""
        assert data  # an empty chunk would be the end
        piece = b"%x\r\n%b\r\n" % (len(data), data) if self._chunks else data
        await self._stream.send_all(piece)

    async def end(self) -> None:
        """End a streamed answer as it should end."""
        if self._chunks:
            await self._stream.send_all(b"0\r\n\r\n")

    async def send_raw(self, data: bytes) -> None:
        """Send bytes as they are: for answers that are cut on purpose."""
        await self._stream.send_all(data)

    def reset(self) -> None:
        """Let the close be an RST, as from a machine that has crashed."""
        self._stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    async def wait_gone(self, seconds: float = math.inf) -> bool:
        """Wait until the client has closed its side, at most so long; whether it has."""
        with trio.move_on_after(seconds):
            while data := await self._stream.receive_some():
                self._requests.feed(data)
            return True
        return False


def _head(status: int, headers: Mapping[str, str]) -> bytes:
    try:
        phrase = http.HTTPStatus(status).phrase
    except ValueError:  # 529 is Anthropic's own
        phrase = "Overloaded" if status == 529 else "Unknown"
    lines = [
        f"HTTP/1.1 {status} {phrase}",
        *(f"{name}: {value}" for name, value in headers.items()),
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
