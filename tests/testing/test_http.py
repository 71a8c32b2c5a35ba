"""HTTP/1.1: requests however they are split, and everything that is none."""

from __future__ import annotations

import socket
from contextlib import AbstractContextManager, suppress
from contextlib import nullcontext as works
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.testing.model.http import HttpError, Request, Requests
from runner.testing.model_server import Served

GET = b"GET /a?b HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST /p HTTP/1.1\r\nhost: x\r\nContent-Length: 5\r\nX-A: 1\r\nx-a: 2\r\n\r\nhello"
CHUNKED = (
    b"POST /c HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"4\r\nWiki\r\n5;ext=1\r\npedia\r\nA\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\n"
)
OLD = b"HEAD / HTTP/1.0\r\n\r\n"
PIPELINE = GET + b"\r\n" + POST + CHUNKED + GET + OLD


def read_all(requests: Requests) -> list[Request]:
    return list(iter(requests.next, None))


def read(data: bytes) -> list[Request]:
    requests = Requests()
    requests.feed(data)
    return read_all(requests)


def test_a_pipeline_of_requests_is_read_in_its_order() -> None:
    got = read(PIPELINE)

    assert [(r.method, r.target, r.body) for r in got] == [
        ("GET", "/a?b", b""),
        ("POST", "/p", b"hello"),
        ("POST", "/c", b"Wikipedia0123456789"),
        ("GET", "/a?b", b""),
        ("HEAD", "/", b""),
    ]
    assert [r.keep_alive for r in got] == [True, True, True, True, False]
    assert [r.chunks for r in got] == [True, True, True, True, False]
    assert got[0].path == "/a"
    assert got[1].headers == {"host": "x", "content-length": "5", "x-a": "1, 2"}


def test_requests_split_at_every_byte_are_the_same() -> None:
    for size in (1, 2, 3, 7):
        requests = Requests()
        got = []
        for start in range(0, len(PIPELINE), size):
            requests.feed(PIPELINE[start : start + size])
            got += read_all(requests)

        assert got == read(PIPELINE)
        assert not requests.in_request


@given(st.lists(st.integers(0, len(PIPELINE)), max_size=8))
def test_requests_split_anywhere_are_the_same(cuts: list[int]) -> None:
    requests = Requests()
    got = []
    edges = [0, *sorted(cuts), len(PIPELINE)]
    for start, end in pairwise(edges):
        requests.feed(PIPELINE[start:end])
        got += read_all(requests)

    assert got == read(PIPELINE)


@given(st.binary(max_size=200))
def test_any_bytes_are_requests_or_an_http_error(data: bytes) -> None:
    for bytes_ in (data, POST[:40] + data, CHUNKED[:70] + data):
        with suppress(HttpError):
            read(bytes_)


@pytest.mark.parametrize(
    ("connection", "version", "kept"),
    [("close", "1.1", False), ("Keep-Alive, TE", "1.0", True), ("x, CLOSE", "1.1", False)],
)
def test_the_connection_header_decides_whether_it_is_kept(
    connection: str, version: str, *, kept: bool
) -> None:
    (got,) = read(f"GET / HTTP/{version}\r\nHost: x\r\nConnection: {connection}\r\n\r\n".encode())

    assert got.keep_alive is kept


HEAD = b"POST / HTTP/1.1\r\nHost: x\r\n"
CHUNKS = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
BAD = [
    (b"nonsense\r\n\r\n", 400),
    (b"GET /\r\n\r\n", 400),
    (b"GET / HTTP/2.0\r\n\r\n", 400),
    (b"GET  / HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    (b"G\x00T / HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\n\r\n", 400),  # no Host
    (HEAD + b"Host: y\r\n\r\n", 400),
    (HEAD + b"no colon\r\n\r\n", 400),
    (HEAD + b"space : x\r\n\r\n", 400),
    (HEAD + b" folded: x\r\n\r\n", 400),
    (HEAD + b"a: x\x00y\r\n\r\n", 400),
    (HEAD + b"a: x\ny: z\r\n\r\n", 400),
    (HEAD + b"Content-Length: -1\r\n\r\n", 400),
    (HEAD + b"Content-Length: 1_0\r\n\r\n", 400),
    (HEAD + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
    (HEAD + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
    (HEAD + b"Content-Length: 99999999999\r\n\r\n", 413),
    (HEAD + b"Transfer-Encoding: gzip\r\n\r\n", 501),
    (HEAD + b"a: " + b"x" * 70_000 + b"\r\n\r\n", 431),
    (HEAD + b"a: " + b"x" * 70_000, 431),
    (CHUNKS + b"x\r\n", 400),
    (CHUNKS + b"-1\r\n", 400),
    (CHUNKS + b"ffffffff\r\n", 413),
    (CHUNKS + b"1\r\nabc\r\n", 400),
    (CHUNKS + b"1" * 70_000, 400),
]


@pytest.mark.parametrize(("data", "status"), BAD, ids=range(len(BAD)))
def test_what_is_no_request_is_an_error_with_its_status(data: bytes, status: int) -> None:
    with pytest.raises(HttpError) as caught:
        read(data)

    assert caught.value.status == status


@pytest.mark.parametrize(("size", "expected"), [(10, works()), (11, pytest.raises(HttpError))])
def test_bodies_up_to_the_limit_are_taken(
    size: int, expected: AbstractContextManager[object]
) -> None:
    for data in (
        HEAD + b"Content-Length: %d\r\n\r\n" % size + b"x" * size,
        CHUNKS + b"5\r\nxxxxx\r\n" + b"%x\r\n" % (size - 5) + b"x" * (size - 5) + b"\r\n0\r\n\r\n",
    ):
        requests = Requests(max_body=10)
        requests.feed(data)
        with expected:
            assert requests.next() is not None


# ---------------------------------------------------------------- over a socket


def dial(server: Served) -> socket.socket:
    host, _, port = server.url.removeprefix("http://").partition(":")
    return socket.create_connection((host, int(port)), timeout=20)


def exchange(server: Served, data: bytes, *, half_close: bool = False) -> bytes:
    """Send, and read until the server closes."""
    with dial(server) as sock:
        sock.sendall(data)
        if half_close:
            sock.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: sock.recv(1 << 16), b""))


LAST = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


def test_pipelined_requests_are_answered_in_order_on_one_connection(model_server: Served) -> None:
    answers = exchange(model_server, GET + b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" + LAST)

    assert [part[1:4] for part in answers.split(b"HTTP/1.1")[1:]] == [b"404", b"200", b"200"]


def test_head_has_the_length_and_no_body(model_server: Served) -> None:
    answer = exchange(model_server, b"HEAD / HTTP/1.0\r\n\r\n")

    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"content-length: 41" in head
    assert body == b""


def test_continue_is_sent_to_a_client_that_waits_for_it(model_server: Served) -> None:
    with dial(model_server) as sock:
        sock.sendall(HEAD + b"Expect: 100-continue\r\nConnection: close\r\n")
        sock.sendall(b"Content-Length: 2\r\n\r\n")
        assert sock.recv(1 << 16) == b"HTTP/1.1 100 Continue\r\n\r\n"
        sock.sendall(b"h")
        sock.sendall(b"i")
        assert sock.recv(1 << 16).startswith(b"HTTP/1.1 405 ")


def test_a_request_that_ends_in_the_middle_is_answered_400(model_server: Served) -> None:
    answer = exchange(model_server, POST[:-2], half_close=True)

    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"ends in the middle" in answer
    assert [(r.status, r.outcome) for r in model_server.requests] == [(400, "failed")]


def test_a_bad_request_is_answered_and_the_connection_closed(model_server: Served) -> None:
    answer = exchange(model_server, b"nonsense\r\n\r\n" + GET, half_close=True)

    assert answer.count(b"HTTP/1.1") == 1
    assert answer.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert b"connection: close" in answer


def test_a_client_of_http_1_0_gets_its_stream_without_chunks(model_server: Served) -> None:
    body = b'{"stream": true, "messages": [{"role": "user", "content": "!say hi"}]}'
    head = b"POST /v1/messages HTTP/1.0\r\nContent-Length: %d\r\n\r\n" % len(body)

    answer = exchange(model_server, head + body)

    head, _, stream = answer.partition(b"\r\n\r\n")
    assert b"transfer-encoding" not in head
    assert stream.startswith(b"event: message_start\n")
    assert stream.endswith(b'data: {"type": "message_stop"}\n\n')


def test_clients_that_leave_at_any_moment_do_no_harm(model_server: Served) -> None:
    for size in range(0, len(POST), 9):
        with dial(model_server) as sock:
            sock.sendall(POST[:size])

    assert exchange(model_server, LAST).startswith(b"HTTP/1.1 200 ")
