"""The pytest plugin: what it gives, and what it does not cost."""

from __future__ import annotations

import subprocess
import sys
import urllib.request
from importlib.metadata import entry_points

import trio

from runner.testing.model_server import Served


def test_the_model_server_serves_a_sync_test(model_server: Served) -> None:
    with urllib.request.urlopen(model_server.url) as answer:
        assert answer.status == 200

    assert [record.path for record in model_server.requests] == ["/"]


async def test_the_model_server_serves_an_async_test(model_server: Served) -> None:
    host, _, port = model_server.url.removeprefix("http://").partition(":")
    async with await trio.open_tcp_stream(host, int(port)) as stream:
        await stream.send_all(b"HEAD / HTTP/1.0\r\n\r\n")
        with trio.fail_after(20):
            assert (await stream.receive_some()).startswith(b"HTTP/1.1 200 OK")


def test_every_test_has_a_log_of_its_own(model_server: Served) -> None:
    assert model_server.requests == []


def test_the_plugin_is_registered_under_a_name_that_pytest_does_not_use_itself() -> None:
    names = [entry.name for entry in entry_points(group="pytest11") if "runner" in entry.value]

    assert names == ["trio_runner"]


def test_loading_the_plugin_imports_nothing_that_it_may_not_need() -> None:
    script = "import pytest, sys; before = set(sys.modules); import runner.testing.plugin; " + (
        "print(*sorted(set(sys.modules) - before))"
    )
    found = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )

    loaded = found.stdout.split()
    assert "runner.testing.plugin" in loaded
    assert not {"trio", "attrs", "attr", "rich", "click", "msgspec", "cattrs"} & set(loaded)
