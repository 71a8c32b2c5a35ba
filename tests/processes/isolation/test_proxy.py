"""The way out through a list of hosts: what goes through, what does not, and that all is told."""

from __future__ import annotations

from functools import partial

import attrs
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from runner.messages import Isolation
from runner.messages.isolation import NetworkDecision
from runner.processes.isolation.proxy import Refused, parse_head

FETCH = """\
import urllib.request, sys
for url in sys.argv[1:]:
    try:
        print(urllib.request.urlopen(url, timeout=10).read().decode())
    except Exception as error:
        print(getattr(error, 'code', '') or error)
"""
TUNNEL = """\
import socket, sys
sock = socket.create_connection(("127.0.0.1", 3128), 10)
sock.sendall(f"CONNECT {sys.argv[1]} HTTP/1.1\\r\\n\\r\\n".encode())
print(sock.recv(1000).split(b"\\r\\n")[0].decode())
sock.sendall(b"ping"); sock.shutdown(socket.SHUT_WR)
print(sock.recv(1000).decode())
"""


@attrs.frozen
class Server:
    port: int
    heads: list[bytes]


@pytest.fixture
async def server(nursery) -> Server:
    """An HTTP server on loopback that keeps what it was asked, and an echo for anything else."""
    heads: list[bytes] = []

    async def answer(stream: trio.SocketStream) -> None:
        async with stream:
            data = await stream.receive_some(65536)
            heads.append(data)
            if data.startswith((b"GET", b"POST")):
                await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood")
            else:
                await stream.send_all(b"pong:" + data)

    listeners = await nursery.start(partial(trio.serve_tcp, answer, 0, host="127.0.0.1"))
    return Server(listeners[0].socket.getsockname()[1], heads)


def listed(*hosts: str) -> Isolation:
    return Isolation(mode="bwrap", required=True, network=hosts)


async def test_what_is_listed_is_reached_and_the_rest_is_not(room, python, server) -> None:
    told: list[NetworkDecision] = []
    urls = [f"http://{name}:{server.port}/x?y" for name in ("localhost", "127.0.0.1", "[::1]")]
    urls += [f"http://other.invalid:{server.port}/", f"http://localhost:{server.port + 1}/"]
    # what programs ask directly for local names is not asked of the proxy, so ask for no exception
    done = await room.run(
        *("env", "-u", "no_proxy", "-u", "NO_PROXY", python, "-c", FETCH, *urls),
        isolation=listed(f"localhost:{server.port}", f"gone.invalid:{server.port}"),
        decided=told.append,
    )

    assert done.out.data().decode().split() == ["good", "403", "403", "403", "403"], done
    assert done.isolation.network == "proxy"
    assert [(each.host, each.allowed, each.reason) for each in told] == [
        ("localhost", True, ""),
        ("127.0.0.1", False, "not on the list"),
        ("::1", False, "not on the list"),
        ("other.invalid", False, "not on the list"),
        ("localhost", False, "not on the list"),
    ]
    head = server.heads[0].split(b"\r\n")
    assert head[0] == b"GET /x?y HTTP/1.1"
    assert f"Host: localhost:{server.port}".encode() in head
    assert not any(each.lower().startswith(b"proxy") for each in head)


async def test_a_tunnel_carries_both_ways(room, python, server) -> None:
    target = f"127.0.0.1:{server.port}"

    done = await room.run(python, "-c", TUNNEL, target, isolation=listed(target))

    assert done.out.data().decode().splitlines() == [
        "HTTP/1.1 200 Connection established",
        "pong:ping",
    ]


async def test_a_listed_name_that_leads_into_our_own_network_is_refused(
    room, python, server, monkeypatch
) -> None:
    """DNS rebinding: who owns the name decides where it leads."""
    real = trio.socket.getaddrinfo

    async def rebound(host, port, **options):
        return await real("127.0.0.1" if host == "evil.example" else host, port, **options)

    monkeypatch.setattr(trio.socket, "getaddrinfo", rebound)
    told: list[NetworkDecision] = []

    done = await room.run(
        *(python, "-c", TUNNEL, f"evil.example:{server.port}"),
        isolation=listed(f"evil.example:{server.port}"),
        decided=told.append,
    )

    assert done.out.data().startswith(b"HTTP/1.1 403")
    assert told[0].reason == "not a public address"
    assert server.heads == []


async def test_a_name_that_nobody_knows_and_a_port_where_nobody_is(room, python) -> None:
    async def first_line(target: str) -> bytes:
        done = await room.run(python, "-c", TUNNEL, target, isolation=listed(target))
        return done.out.data().split(b"\n")[0]

    assert (await first_line("nobody.invalid:443")).startswith(b"HTTP/1.1 502")
    assert (await first_line("127.0.0.1:9")).startswith(b"HTTP/1.1 504")


async def test_a_callback_that_fails_harms_nobody(room, python, server, caplog) -> None:
    target = f"127.0.0.1:{server.port}"

    def fail(_: NetworkDecision) -> None:
        raise ValueError

    done = await room.run(python, "-c", TUNNEL, target, isolation=listed(target), decided=fail)

    assert b"pong:ping" in done.out.data()
    assert "callback" in caplog.text


async def test_nothing_else_has_a_route(room, python, server) -> None:
    program = f"import socket; socket.create_connection(('127.0.0.1', {server.port}), 5)"
    lookup = "import socket; socket.getaddrinfo('example.org', 80)"

    direct = await room.run(python, "-c", program, isolation=listed("example.org"))
    named = await room.run(python, "-c", lookup, isolation=listed("example.org"))

    assert b"refused" in direct.err.data()
    assert named.exit_code == 1


# ------------------------------------------------------------ heads of requests


def test_what_goes_on_to_a_server() -> None:
    head = b"POST http://a.b:81/c?d HTTP/1.1\r\nHost: evil\r\nProxy-Authorization: x\r\nContent-Length: 3\r\nX: y"

    request = parse_head(head, b"abcdef")

    assert (request.host, request.port, request.body, request.rest) == ("a.b", 81, 3, b"abcdef")
    assert request.head == (
        b"POST /c?d HTTP/1.1\r\nHost: a.b:81\r\nContent-Length: 3\r\nX: y\r\nConnection: close\r\n\r\n"
    )


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"GET / HTTP/1.1",
        b"GET http://a/ HTTP/2",
        b"GET https://a/ HTTP/1.1",
        b"GET ftp://a/ HTTP/1.1",
        b"GET http://u:p@a/ HTTP/1.1",
        b"GET http://a:x/ HTTP/1.1",
        b"CONNECT a HTTP/1.1",
        b"CONNECT a:1/x HTTP/1.1",
        b"CONNECT u@a:1 HTTP/1.1",
        b"CONNECT a:99999 HTTP/1.1",
        b"GET http://a/ HTTP/1.1\r\nTransfer-Encoding: chunked",
        b"GET http://a/ HTTP/1.1\r\nContent-Length: 3\r\nContent-Length: 4",
        b"GET http://a/ HTTP/1.1\r\nContent-Length: -1",
        b"GET http://a/ HTTP/1.1\r\n Host: b",
        b"GET http://a/ HTTP/1.1\r\nno colon",
    ],
)
def test_what_is_no_request_for_a_proxy_is_refused(head) -> None:
    with pytest.raises(Refused):
        parse_head(head)


@given(st.binary(max_size=200))
def test_no_bytes_break_the_reader(data) -> None:
    for head in (data, b"GET http://a/" + data, b"CONNECT " + data + b" HTTP/1.1"):
        try:
            request = parse_head(head)
        except Refused:
            continue
        assert request.host
