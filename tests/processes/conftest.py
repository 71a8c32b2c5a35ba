"""What the tests of processes share: a host, an environment, and facts from /proc."""

from __future__ import annotations

import os
import random
import shutil
import sys
from collections.abc import AsyncIterator, Callable, Iterator

import pytest
import trio

from runner.processes import guardian_link
from runner.processes.environment import base_environment
from runner.processes.host import ProcessHost

if not sys.platform.startswith("linux"):
    pytest.skip("these tests read /proc, which Linux has", allow_module_level=True)

MEASURED = "COVERAGE_PROCESS_CONFIG"


@pytest.fixture(autouse=True)
def _measured_guardian(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let coverage see into the guardian, which is isolated from everything otherwise."""
    if MEASURED in os.environ:
        command = guardian_link.GuardianLink.command()
        isolated = [word for word in command if word not in ("-I", "-S")]
        monkeypatch.setattr(guardian_link.GuardianLink, "command", staticmethod(lambda: isolated))
        monkeypatch.setattr(guardian_link, "PASSED", (*guardian_link.PASSED, MEASURED))


@pytest.fixture
def env() -> dict[str, str]:
    return base_environment(os.environ)


@pytest.fixture
async def host() -> AsyncIterator[ProcessHost]:
    """A host that is closed afterwards, in time."""
    host = ProcessHost()
    yield host
    with trio.fail_after(20):
        await host.aclose()


@pytest.fixture
def token() -> str:
    """A number that nothing else on this machine has in its command line; `sleep` takes it."""
    return str(random.randrange(10**14, 10**15))


@pytest.fixture
def alive(token: str) -> Iterator[Callable[..., list[int]]]:
    """Find the living processes with the token in their command lines; zombies have none."""

    def find(wanted: str = token) -> list[int]:
        found = []
        for name in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{name}/cmdline", "rb") as file:
                    if wanted.encode() in file.read():
                        found.append(int(name))
            except OSError:
                pass
        return found

    yield find

    for pid in find():  # a failed test leaves no process either
        os.kill(pid, 9)


@pytest.fixture
def until() -> Callable[..., object]:
    """Wait for a fact, as long as is bearable."""

    async def wait(fact: Callable[[], object], within: float = 10) -> None:
        with trio.fail_after(within):
            while not fact():
                await trio.sleep(0.002)

    return wait


@pytest.fixture
def bash() -> str:
    if shutil.which("bash") is None:
        pytest.skip("needs bash: install it with the system's package manager")
    return "bash"
