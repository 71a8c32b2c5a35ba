"""Who is told what the programs of a scope reach for, where hosts are listed."""

from __future__ import annotations

import contextlib
import socket

import pytest

import runner
from runner import Isolation, LogEntry, NetworkDecision, OperationLog
from runner.backends.local import LocalBackend
from runner.errors import ExecFailed
from runner.scopes.reaching import Reaching, reaching

LISTED = Isolation(mode="bwrap", required=True, network=("localhost:*",))
# What a program says to the proxy: in the shell of every machine, there is no curl on all.
ASK = """
exec 3<>/dev/tcp/127.0.0.1/3128
printf 'CONNECT %s HTTP/1.1\\r\\n\\r\\n' "$1" >&3
head -n 1 <&3
"""


@pytest.fixture
def port():
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as server:
        yield server.getsockname()[1]


@pytest.fixture
async def r(tmp_path):
    async with runner.open_runner(state=tmp_path / "state") as r:
        yield r


async def ask(scope, target: str) -> str:
    await scope.write("ask", ASK)
    try:
        return (await scope.exec(["bash", "ask", target])).stdout
    except ExecFailed as error:
        pytest.skip(str(error))


def told(port: int) -> list[NetworkDecision]:
    return [
        NetworkDecision(host="example.org", port=443, allowed=False, reason="not on the list"),
        NetworkDecision(host="localhost", port=port, allowed=True, address="127.0.0.1"),
    ]


async def test_a_scope_tells_each_decision(r, tmp_path, port) -> None:
    decided: list[NetworkDecision] = []
    scope = r.scope(tmp_path / "work", isolation=LISTED, decided=decided.append)

    assert "403" in await ask(scope, "example.org:443")
    assert "200" in await ask(scope, f"localhost:{port}")

    assert decided == told(port)


async def test_each_decision_is_in_the_operation_log_with_who_asked(r, tmp_path, port) -> None:
    entries: list[LogEntry] = []
    log = OperationLog(entries, who="somebody")
    scope = r.scope(tmp_path / "work", isolation=LISTED, operation_log=log)

    await ask(scope, "example.org:443")
    with runner.asking_as("agent-7"):
        await ask(scope, f"localhost:{port}")

    connects = [each for each in entries if each.op == "connect"]
    assert [(e.subject, e.target, e.outcome, e.reason, e.who) for e in connects] == [
        ("example.org:443", None, "failed", "not on the list", "somebody"),
        (f"localhost:{port}", "127.0.0.1", "ok", "", "agent-7"),
    ]
    assert {each.scope for each in connects} == {str(tmp_path / "work")}


async def test_a_scope_inside_tells_its_own_and_those_around_it(r, tmp_path) -> None:
    outer: list[NetworkDecision] = []
    inner: list[NetworkDecision] = []
    entries: list[LogEntry] = []
    log = OperationLog(entries)
    scope = r.scope(tmp_path / "work", isolation=LISTED, decided=outer.append, operation_log=log)
    sub = scope.scope("sub", decided=inner.append)

    await ask(sub, "example.org:443")

    assert len(outer) == len(inner) == 1
    assert [each.scope for each in entries if each.op == "connect"] == [sub.path]


async def test_a_session_tells_each_decision(r, tmp_path) -> None:
    decided: list[NetworkDecision] = []
    scope = r.scope(tmp_path / "work", isolation=LISTED, decided=decided.append)
    await ask(scope, "example.org:443")

    async with r.session(scope, "shell") as session:
        await session.send("bash ask example.com:80")

    assert [each.host for each in decided] == ["example.org", "example.com"]


async def test_a_backend_by_itself_tells_each_decision(tmp_path) -> None:
    decided: list[NetworkDecision] = []
    backend = LocalBackend(tmp_path, isolation=LISTED, decided=decided.append)
    try:
        await ask(backend, "example.org:443")
    finally:
        await backend.aclose()

    assert [each.reason for each in decided] == ["not on the list"]


def test_one_that_fails_keeps_no_other_from_being_told(caplog) -> None:
    decided: list[NetworkDecision] = []

    def fail(_: NetworkDecision) -> None:
        raise RuntimeError("oh")

    Reaching(scope="s", decided=(fail, decided.append))(told(1)[0])

    assert len(decided) == 1
    assert "oh" in caplog.text


def test_without_a_list_of_hosts_scopes_share_their_ground() -> None:
    assert reaching("s", None, (), print) is None
    assert reaching("s", Isolation(network="none"), (), print) is None
    assert reaching("s", LISTED, ()) is None


def test_the_same_listeners_are_the_same_ground() -> None:
    class Unhashable(list):
        def __call__(self, decision: NetworkDecision) -> None:
            self.append(decision)

    one = Unhashable()

    assert reaching("s", LISTED, (), one) == reaching("s", LISTED, (), one)
    assert hash(reaching("s", LISTED, (), one)) == hash(reaching("s", LISTED, (), one))
    assert reaching("s", LISTED, (), one) != reaching("s", LISTED, (), Unhashable())
