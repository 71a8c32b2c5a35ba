"""What the tests of processes share: a host, an environment, and facts from /proc."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator

import pytest
import trio

from runner.processes import guardian, guardian_link
from runner.processes.environment import base_environment
from runner.processes.host import ProcessHost
from runner.processes.isolation import inside, users

if not sys.platform.startswith("linux"):
    pytest.skip("these tests read /proc, which Linux has", allow_module_level=True)

ORDINARY = 1_899_999_999 if os.geteuid() == 0 else os.geteuid()
PYTHON = "/usr/bin/python3"
GET_PYTHON = "programs inside see what stands in /usr only: install python3 from the distribution"
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


# ------------------------------------------------------------ isolation


@pytest.fixture(scope="session")
def python() -> str:
    """A Python that is there inside as well."""
    if not os.path.exists(PYTHON):
        pytest.skip(GET_PYTHON)
    return PYTHON


def _readable_copy(stack: contextlib.ExitStack) -> str:
    """What the guardian loads, where everybody can read it: a checkout may be root's alone."""
    base = stack.enter_context(tempfile.TemporaryDirectory(prefix="runner-copy-"))
    here = os.path.dirname(guardian_link.__file__)
    shutil.copytree(
        here,
        os.path.join(base, "runner", "processes"),
        ignore=shutil.ignore_patterns("__pycache__"),
        copy_function=shutil.copyfile,
    )
    for directory, _, _ in os.walk(base):
        os.chmod(directory, 0o755)
    return base


@contextlib.contextmanager
def _as_ordinary() -> Iterator[int]:
    """Have the guardian, and so all programs, run as an ordinary user."""
    with pytest.MonkeyPatch.context() as patch, contextlib.ExitStack() as stack:
        if os.geteuid() == 0:
            if shutil.which("setpriv") is None:
                pytest.skip("needs setpriv: apt-get install util-linux")
            ids = f"--reuid={ORDINARY}", f"--regid={ORDINARY}", "--clear-groups"
            command = ["setpriv", *ids, PYTHON, "-I", "-S", "-c", guardian.BOOT]
            patch.setattr(guardian_link, "HERE", _readable_copy(stack))
            patch.setattr(guardian_link.GuardianLink, "command", staticmethod(lambda: command))
            patch.setattr(users, "own_ids", lambda: (ORDINARY, ORDINARY))
            patch.setattr(inside, "_tree", [None])  # groups would be root's
        yield ORDINARY


@pytest.fixture(scope="session")
def as_ordinary() -> Callable[[], contextlib.AbstractContextManager[int]]:
    """While it is entered, programs are those of an ordinary user, whose uid it gives."""
    return _as_ordinary
