"""The real servers that a workspace is synced with: a directory, a repository, Turso's, S3's."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest


def free_port() -> int:
    """A port that nobody listens at."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    """Until somebody listens there."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        if process.poll() is not None:
            raise AssertionError(f"{process.args} ended with {process.returncode}")
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise AssertionError(f"{process.args} does not listen")


def ended(process: subprocess.Popen[bytes]) -> None:
    """End a server that was started here, with what it has started."""
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


Start = Callable[[], "tuple[str, subprocess.Popen[bytes]]"]


@pytest.fixture
def turso(tmp_path: Path) -> Iterator[Callable[[], str]]:
    """Start Turso's own sync server; each call gives the URL of one with the same database."""
    program = os.environ.get("RUNNER_TEST_TURSODB") or shutil.which("tursodb")
    if not program:
        if os.environ.get("RUNNER_CI"):
            pytest.fail("tursodb is missing: @tursodatabase/cli-linux-x64-gnu of npm")
        pytest.skip(
            "needs tursodb: npm install @tursodatabase/cli-linux-x64-gnu, RUNNER_TEST_TURSODB"
        )
    started = []

    def start() -> str:
        port = free_port()
        argv = [program, str(tmp_path / "turso.db"), "--sync-server", f"127.0.0.1:{port}"]
        null = subprocess.DEVNULL
        process = subprocess.Popen(argv, stdin=null, stdout=null, stderr=null, process_group=0)
        started.append(process)
        wait_for(port, process)
        return f"http://127.0.0.1:{port}"

    yield start

    for each in started:
        ended(each)


@pytest.fixture(scope="session")
def moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The endpoint of a server that speaks as S3 does."""
    pytest.importorskip("moto", reason="needs moto: pip install -e '.[test-integrations]'")
    port = free_port()
    argv = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    log = tmp_path_factory.mktemp("moto") / "log"
    with log.open("wb") as out:
        process = subprocess.Popen(argv, stdout=out, stderr=out, process_group=0)
    try:
        wait_for(port, process)
        yield f"http://127.0.0.1:{port}"
    finally:
        ended(process)


@pytest.fixture
def bucket(moto: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of a place in a new bucket."""
    import urllib.request
    import uuid

    name = f"b-{uuid.uuid4().hex}"
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    urllib.request.urlopen(
        urllib.request.Request(f"{moto}/{name}", method="PUT"), timeout=30
    ).close()
    return f"s3://{name}/some/where?endpoint={moto}&region=us-east-1"


@pytest.fixture
def repository(tmp_path: Path) -> str:
    """A bare git repository."""
    path = str(tmp_path / "origin.git")
    subprocess.run(["git", "init", "-q", "--bare", path], check=True)
    return path
