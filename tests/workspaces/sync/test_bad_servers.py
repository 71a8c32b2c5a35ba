"""Servers that refuse, are slow, lie, or cannot do what is needed: one clear error each."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import pytest
import trio

from runner.errors import RemoteDamaged, RemoteRefused, RemoteUnreachable, SyncError
from runner.workspaces.objects import content
from runner.workspaces.sync.hrana import HranaRemote
from runner.workspaces.sync.s3 import S3Remote
from runner.workspaces.sync.wire import pack

ONE = content(b"one")
TWO = content(b"two")
Asked = tuple[str, str, dict[str, str], bytes]  # method, path, headers, body
Answer = Callable[[Asked], "tuple[int, dict[str, str], bytes]"]


async def read_request(stream: trio.SocketStream, buffer: bytearray) -> Asked | None:
    async def more() -> bool:
        data = await stream.receive_some(1 << 16)
        buffer.extend(data)
        return bool(data)

    while b"\r\n\r\n" not in buffer:
        if not await more():
            return None
    head, _, _ = bytes(buffer).partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines)}
    size = len(head) + 4 + int(headers.get("content-length", 0))
    while len(buffer) < size:
        assert await more()
    body = bytes(buffer[len(head) + 4 : size])
    del buffer[:size]
    method, path, _ = first.split()
    return method, path, headers, body


@asynccontextmanager
async def serve(answer: Answer | None) -> AsyncIterator[str]:
    """A server that answers so; None = it takes requests and never says a word."""

    async def talk(stream: trio.SocketStream) -> None:
        buffer = bytearray()
        while (asked := await read_request(stream, buffer)) is not None:
            if answer is None:
                await trio.sleep_forever()
            status, headers, body = answer(asked)
            lines = [f"HTTP/1.1 {status} X", f"content-length: {len(body)}"]
            lines += [f"{name}: {value}" for name, value in headers.items()]
            sent = b"" if asked[0] == "HEAD" else body
            await stream.send_all("\r\n".join([*lines, "", ""]).encode() + sent)

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(trio.serve_tcp, talk, 0)
        port = listeners[0].socket.getsockname()[1]
        yield f"http://127.0.0.1:{port}"
        nursery.cancel_scope.cancel()


def says(status: int, body: object, **headers: str) -> Answer:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return lambda _asked: (status, headers, data)


def rows(*found: tuple[object, ...], baton: str | None = None) -> dict[str, object]:
    result = {"type": "ok", "response": {"type": "execute", "result": {"rows": found}}}
    return {"baton": baton, "results": [result]}


GET = lambda remote: remote.get([ONE.id])  # noqa: E731
REF = lambda remote: remote.get_ref("w")  # noqa: E731
BLOB = {"type": "blob", "base64": "AAAA"}


def blob(data: bytes) -> dict[str, str]:
    return {"type": "blob", "base64": base64.b64encode(data).decode()}


@pytest.mark.parametrize(
    ("answer", "act", "error", "said"),
    [
        (says(401, b"no"), REF, RemoteRefused, "it wants a token"),
        (says(403, b"no"), REF, RemoteRefused, "it wants a token"),
        (says(404, b"nothing\nhere"), REF, RemoteRefused, "HTTP 404: nothing here"),
        (says(429, b"later"), REF, RemoteUnreachable, "HTTP 429"),
        (says(503, b"later"), REF, RemoteUnreachable, "HTTP 503: later"),
        (says(200, b"<html>"), REF, RemoteDamaged, "Hrana"),
        (says(200, []), REF, RemoteDamaged, "Hrana"),
        (says(200, {"results": []}), REF, RemoteDamaged, "Hrana"),
        (says(200, {"results": [{"type": "ok"}]}), REF, RemoteDamaged, "Hrana"),
        (says(200, rows(({"type": "blob"},))), REF, RemoteDamaged, "Hrana"),
        (says(200, rows(({"type": "blob", "base64": "!"},))), REF, RemoteDamaged, "Hrana|none"),
        (says(200, rows(({"type": "text", "value": "x"},))), REF, RemoteDamaged, "none"),
        (says(200, rows((BLOB,))), REF, RemoteDamaged, "none"),
        (says(200, rows((BLOB, {"type": "null"}))), GET, RemoteDamaged, "no blob"),
        (says(200, rows((BLOB, BLOB))), GET, RemoteDamaged, "none"),
        (says(200, rows(())), REF, RemoteDamaged, "Hrana"),
        (says(200, rows((BLOB, BLOB, BLOB))), GET, RemoteDamaged, "Hrana"),
        (says(200, b"[" * 100_000 + b"]" * 100_000), REF, RemoteDamaged, "Hrana"),
        (says(200, rows((blob(TWO.id), blob(pack(TWO))))), GET, RemoteDamaged, "nobody asked"),
        (says(302, b"", location="http://127.0.0.1:9/"), REF, RemoteRefused, "HTTP 302"),
        (says(200, rows(), **{"content-encoding": "gzip"}), REF, RemoteDamaged, "Hrana"),
        (says(200, rows()), GET, RemoteDamaged, "lost 1 objects"),
        (
            says(200, {"results": [{"type": "error", "error": {"message": "read only"}}]}),
            REF,
            RemoteRefused,
            "read only",
        ),
    ],
)
async def test_a_database_that_does_not_answer_well_is_said_so(
    answer: Answer, act: Callable[[HranaRemote], Awaitable[object]], error: type, said: str
) -> None:
    async with serve(answer) as url:
        remote = HranaRemote(url)
        with pytest.raises(error, match=said):
            await act(remote)
        await remote.aclose()


async def test_a_token_is_sent_and_one_that_is_refused_is_said_so_but_never_shown() -> None:
    async with serve(says(401, b"")) as url:
        remote = HranaRemote(url, "t0k3n")
        with pytest.raises(RemoteRefused, match="refuses the token") as caught:
            await remote.open()
        assert "t0k3n" not in f"{caught.value!r} {remote!r}"
        await remote.aclose()

    def needs_it(asked: Asked) -> tuple[int, dict[str, str], bytes]:
        assert asked[2]["authorization"] == "Bearer t0k3n"
        return 200, {}, json.dumps(rows()).encode()

    async with serve(needs_it) as url:
        remote = HranaRemote(url, "t0k3n")
        assert await remote.get_ref("w") is None
        await remote.aclose()


async def test_a_database_that_is_slow_is_unreachable_after_a_while() -> None:
    async with serve(None) as url:
        remote = HranaRemote(url, patience=0.2)
        with pytest.raises(RemoteUnreachable, match="cannot be reached"):
            await remote.get_ref("w")
        await remote.aclose()
    for url in ("http://", "http://[::1"):
        with pytest.raises(SyncError):
            await HranaRemote(url).get_ref("w")


async def test_an_answer_may_not_go_on_for_ever(monkeypatch) -> None:
    async def drip(stream: trio.SocketStream) -> None:
        assert await read_request(stream, bytearray())
        with suppress(trio.BrokenResourceError):
            await stream.send_all(b"HTTP/1.1 200 X\r\ncontent-length: 1000000\r\n\r\n")
            while True:
                await stream.send_all(b" ")
                await trio.sleep(0.02)

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(trio.serve_tcp, drip, 0)
        url = f"http://127.0.0.1:{listeners[0].socket.getsockname()[1]}"
        remote = HranaRemote(url, patience=0.1)  # for each piece of it, which comes in time
        monkeypatch.setattr("runner.workspaces.sync.hrana._DEADLINE", 3)
        with pytest.raises(RemoteUnreachable, match="too slowly"):
            await remote.get_ref("w")
        await remote.aclose()
        nursery.cancel_scope.cancel()
    monkeypatch.setattr("runner.workspaces.sync.hrana._LONGEST", 1 << 20)
    async with serve(says(200, b" " * (2 << 20))) as url:
        remote = HranaRemote(url)
        with pytest.raises(RemoteDamaged, match="more than 1 MiB"):
            await remote.get_ref("w")
        await remote.aclose()


@pytest.mark.parametrize("status", [200, 400, 503])
async def test_a_token_that_a_server_repeats_is_not_told_to_others(status: int) -> None:
    def repeats(asked: Asked) -> tuple[int, dict[str, str], bytes]:
        said = f"bad {asked[2]['authorization']}"
        answer = {"results": [{"type": "error", "error": {"message": said}}]}
        return status, {}, json.dumps(answer).encode()

    async with serve(repeats) as url:
        remote = HranaRemote(url, "t0k3n")
        with pytest.raises(SyncError, match=r"bad Bearer \[redacted\]"):
            await remote.get_ref("w")
        await remote.aclose()


async def test_a_stream_that_a_server_opens_for_us_is_closed() -> None:
    bodies = []

    def answer(asked: Asked) -> tuple[int, dict[str, str], bytes]:
        bodies.append(json.loads(asked[3]))
        said = rows(baton="b1") if len(bodies) == 1 else {"baton": None, "results": []}
        return 200, {}, json.dumps(said).encode()

    async with serve(answer) as url:
        remote = HranaRemote(url)
        assert await remote.get_ref("w") is None
        await remote.aclose()
    assert {"baton": "b1", "requests": [{"type": "close"}]} == bodies[1]


async def test_what_is_put_goes_in_requests_that_servers_take() -> None:
    sizes = []

    def answer(asked: Asked) -> tuple[int, dict[str, str], bytes]:
        sizes.append(len(asked[3]))
        return 200, {}, json.dumps(rows()).encode()

    async with serve(answer) as url:
        remote = HranaRemote(url)
        await remote.put([content(bytes([n]) * 300 + b"%d" % n * 50_000) for n in range(10)])
        await remote.put([content(b"%d" % n) for n in range(250)])
        await remote.aclose()
    assert max(sizes) < 1_000_000


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")


@pytest.mark.usefixtures("keys")
async def test_a_bucket_whose_server_overwrites_without_comparing_is_refused() -> None:
    kept: dict[str, bytes] = {}

    def overwrites(asked: Asked) -> tuple[int, dict[str, str], bytes]:
        method, path, _, body = asked
        tag = {"etag": '"1"', "last-modified": "Sat, 21 Nov 2026 00:00:00 GMT"}
        if method == "PUT":
            kept[path] = body
            return 200, tag, b""
        if method == "DELETE" or method == "POST":
            kept.clear()
            return 204, {}, b""
        return (200, tag, kept[path]) if path in kept else (404, {}, b"")

    async with serve(overwrites) as url:
        with pytest.raises(RemoteRefused, match="overwrites where it was told to compare"):
            await S3Remote(f"s3://b/x?endpoint={url}&region=r").open()


@pytest.mark.usefixtures("keys")
@pytest.mark.parametrize(
    ("answer", "error"),
    [(says(403, b"<Error/>"), RemoteRefused), (says(401, b"<Error/>"), RemoteRefused)],
)
async def test_a_bucket_that_refuses_us_is_said_so(answer: Answer, error: type) -> None:
    async with serve(answer) as url:
        with pytest.raises(error, match=r"s3://b/x: "):
            await S3Remote(f"s3://b/x?endpoint={url}&region=r").get_ref("w")


@pytest.mark.usefixtures("keys")
async def test_a_ref_in_a_bucket_that_is_none_is_said_so_before_it_is_read() -> None:
    tag = {"etag": '"1"', "last-modified": "Sat, 21 Nov 2026 00:00:00 GMT"}
    for body, said in ((b"x" * 70_000, "too large"), (b"no id", "leads nowhere")):
        async with serve(lambda _asked, body=body: (200, tag, body)) as url:  # type: ignore[misc]
            with pytest.raises(RemoteDamaged, match=said):
                await S3Remote(f"s3://b/x?endpoint={url}&region=r").get_ref("w")
