"""The only way out of a program that may reach some hosts: our own small HTTP proxy.

    program ──127.0.0.1:3128──► listener ──► list of hosts ──► resolved once ──► that address

The listening socket was made inside, in the program's network namespace, and handed out; the
proxy accepts on it and dials outside. So nothing of ours runs inside, and no socket has a name that
another program could use. Inside, everything else has no route, and there is no DNS.

CONNECT and plain HTTP in absolute form. What a program says inside an encrypted connection is its
own: a host on the list can be anything that answers at that address. Every decision is told.
"""

from __future__ import annotations

import contextlib
import logging
import socket
from typing import Literal
from urllib.parse import urlsplit

import attrs
import trio

from runner.messages.isolation import Decided, Network, NetworkDecision
from runner.processes.isolation.hosts import List
from runner.processes.isolation.plan import PROXY_PORT

log = logging.getLogger(__name__)
HEAD = 1 << 16
PATIENCE = 30.0  # seconds for a request's head, and for a connection to be made
PIECE = 1 << 16
MOST_CONNECTIONS = 256
HOP_BY_HOP = frozenset({b"connection", b"proxy-connection", b"proxy-authorization", b"keep-alive"})


class Refused(Exception):
    """What the program is told: a status line's number and text."""

    def __init__(self, status: str, text: str) -> None:
        """Keep both."""
        super().__init__(text)
        self.status, self.text = status, text


@attrs.frozen
class Request:
    """The head of a request, and what came behind it."""

    host: str
    port: int
    is_tunnel: bool
    head: bytes = b""
    body: int = 0
    rest: bytes = b""


def parse_head(head: bytes, rest: bytes = b"") -> Request:
    """Read the head of a request.

    Raises:
        Refused: it is none that this proxy serves.
    """
    first, *lines = head.split(b"\r\n")
    words = first.split(b" ")
    if len(words) != 3 or not words[2].startswith(b"HTTP/1."):
        raise Refused("400 Bad Request", "this is an HTTP proxy")
    method, target, version = words
    try:
        text = target.decode("ascii")
        url = urlsplit(f"//{text}" if method == b"CONNECT" else text)
        host, port = url.hostname, url.port
    except ValueError:
        text, host, port, url = "", None, None, urlsplit("")
    if not host or "@" in url.netloc:
        raise Refused("400 Bad Request", "a target is host:port or http://host/path")
    if method == b"CONNECT" and port is not None and url.netloc == text:
        return Request(host, port, is_tunnel=True, rest=rest)
    if url.scheme != "http":
        raise Refused("400 Bad Request", "a target is host:port or http://host/path")
    path = (url.path or "/") + (f"?{url.query}" if url.query else "")
    begin = [b" ".join((method, path.encode(), version)), b"Host: " + url.netloc.encode()]
    fields, body = _fields(lines)
    head = b"\r\n".join((*begin, *fields, b"Connection: close", b"", b""))
    return Request(host, port or 80, is_tunnel=False, head=head, body=body, rest=rest)


def _fields(lines: list[bytes]) -> tuple[list[bytes], int]:
    """The fields of a head that go on to the server, and how long the body is."""
    kept, length = [], None
    for line in lines:
        name, colon, value = line.partition(b":")
        field = name.lower()
        if not colon or not name or name != name.strip() or field == b"transfer-encoding":
            raise Refused("411 Length Required", "give the length of what is sent")
        if field == b"content-length":
            if length is not None or not value.strip().isdigit():
                raise Refused("400 Bad Request", "the length is no number")
            length = int(value)
        if field != b"host" and field not in HOP_BY_HOP:
            kept.append(line)
    return kept, length or 0


class Proxy:
    """Serves one program."""

    def __init__(self, network: Network, decided: Decided | None = None) -> None:
        """Begin with the list; `decided` is told of every decision, and is to be quick."""
        self._list = List(network if isinstance(network, tuple) else ())
        self._decided = decided
        self._limiter = trio.CapacityLimiter(MOST_CONNECTIONS)

    @staticmethod
    def variables() -> dict[str, str]:
        """What programs look at to find the proxy."""
        url = f"http://127.0.0.1:{PROXY_PORT}"
        names = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
        found = {each: url for name in names for each in (name, name.lower())}
        local = "localhost,127.0.0.1,::1"
        return found | {"NO_PROXY": local, "no_proxy": local, "NODE_USE_ENV_PROXY": "1"}

    async def serve(self, listener: socket.socket) -> None:
        """Serve until it is cancelled."""
        listener.setblocking(False)
        accepting = trio.SocketListener(trio.socket.from_stdlib_socket(listener))
        await trio.serve_listeners(self._answer, [accepting])

    async def _answer(self, stream: trio.SocketStream) -> None:
        async with stream, self._limiter:
            try:
                await self._carry_out(stream)
            except Refused as refusal:
                await _say(stream, refusal)
            except (OSError, trio.BrokenResourceError, trio.ClosedResourceError):
                pass
            except Exception:  # one connection must not end the others
                log.exception("the proxy has failed at a connection")

    async def _carry_out(self, stream: trio.SocketStream) -> None:
        with trio.move_on_after(PATIENCE) as limit:
            request = await _read_head(stream)
        if limit.cancelled_caught:
            raise Refused("408 Request Timeout", "no request came")
        far = await self._dial(request.host, request.port)
        async with far:
            if request.is_tunnel:
                await stream.send_all(b"HTTP/1.1 200 Connection established\r\n\r\n")
                await _relay(stream, far, request.rest, None)
            else:
                await far.send_all(request.head)
                await _relay(stream, far, request.rest[: request.body], request.body)

    async def _dial(self, host: str, port: int) -> trio.SocketStream:
        """Decide, and make the connection to the very address that was decided on."""
        if not self._list.has(host, port):
            self._tell(
                NetworkDecision(host=host, port=port, allowed=False, reason="not on the list")
            )
            raise Refused("403 Forbidden", f"{host}:{port} is not on the list of this sandbox")
        try:
            found = await trio.socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            self._tell(NetworkDecision(host=host, port=port, allowed=False, reason="no such host"))
            raise Refused("502 Bad Gateway", f"{host} is not known") from None
        good = [each for each in found if self._list.takes(host, str(each[4][0]), port)]
        if not good:
            reason: Literal["not a public address"] = "not a public address"
            self._tell(NetworkDecision(host=host, port=port, allowed=False, reason=reason))
            raise Refused("403 Forbidden", f"{host} is {reason}: list that address as well")
        for family, kind, protocol, _, address in good:
            sock = trio.socket.socket(family, kind, protocol)
            with trio.move_on_after(PATIENCE), contextlib.suppress(OSError):
                await sock.connect(address)
                where = str(address[0])
                self._tell(NetworkDecision(host=host, port=port, allowed=True, address=where))
                return trio.SocketStream(sock)
            sock.close()
        self._tell(NetworkDecision(host=host, port=port, allowed=False, reason="no answer"))
        raise Refused("504 Gateway Timeout", f"{host}:{port} does not answer")

    def _tell(self, decision: NetworkDecision) -> None:
        log.info("proxy: %s", decision)
        if self._decided is not None:
            try:
                self._decided(decision)
            except Exception:  # the callback is the caller's
                log.exception("a callback for the proxy's decisions has failed")


async def _read_head(stream: trio.SocketStream) -> Request:
    data = b""
    while b"\r\n\r\n" not in data:
        more = await stream.receive_some(PIECE)
        data += more
        if not more or len(data) > HEAD:
            raise Refused("400 Bad Request", "no whole head of a request came")
    head, _, rest = data.partition(b"\r\n\r\n")
    return parse_head(head, rest)


async def _relay(
    near: trio.SocketStream, far: trio.SocketStream, first: bytes, length: int | None
) -> None:
    """Carry bytes both ways, until the far end has no more; `length` bytes at most go there."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_pour, near, far, first, length)
        await _pour(far, near, b"", None)
        if length is not None:
            nursery.cancel_scope.cancel()


async def _pour(
    source: trio.SocketStream, target: trio.SocketStream, first: bytes, length: int | None
) -> None:
    with contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError):
        left = None if length is None else length - len(first)
        if first:
            await target.send_all(first)
        while left is None or left > 0:
            data = await source.receive_some(PIECE if left is None else min(PIECE, left))
            if not data:
                break
            left = None if left is None else left - len(data)
            await target.send_all(data)
        if left is None:
            await target.send_eof()


async def _say(stream: trio.SocketStream, refusal: Refused) -> None:
    body = f"runner: {refusal.text}\n".encode()
    head = f"HTTP/1.1 {refusal.status}\r\nContent-Type: text/plain\r\nConnection: close\r\n"
    with contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError, OSError):
        await stream.send_all(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
