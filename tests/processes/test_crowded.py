"""Where no more processes can be started, that is the answer, and it is over when they can be.

The limit (RLIMIT_NPROC) is put on one of our processes at a time, and is nought, so that it is no
matter how many others there are. Root is exempt from it: then the process is somebody else's.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

from runner.errors import ExecFailed
from runner.processes import guardian_link
from runner.processes.host import ProcessHost

NOBODY = 65534
TOO_MANY = "there are too many processes"


@pytest.fixture
def bounded() -> list[str]:
    """How to run a program so that limits on processes hold for it: not as root.

    It may read what root may (the interpreter may be in a place of root's), and nothing else.
    """
    if os.geteuid() != 0:
        return []
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        pytest.skip("needs setpriv, to be somebody else than root: install util-linux")
    capabilities = [f"--{kind}-caps=-all,+dac_override" for kind in ("inh", "ambient")]
    return [setpriv, f"--reuid={NOBODY}", "--clear-groups", *capabilities]


@pytest.fixture
def guardian_is_bounded(bounded: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    command = [*bounded, *guardian_link.GuardianLink.command()]
    monkeypatch.setattr(guardian_link.GuardianLink, "command", staticmethod(lambda: command))


SET_LIMIT = """
import sys
from resource import RLIMIT_NPROC, prlimit
pid = int(sys.argv[1])
hard = prlimit(pid, RLIMIT_NPROC)[1]
prlimit(pid, RLIMIT_NPROC, (0 if sys.argv[2] == "none" else hard, hard))
"""


@pytest.fixture
def no_fork(bounded: list[str]) -> Callable[..., AbstractContextManager[None]]:
    """Let a process start no other; this takes its owner, as which even root has to act."""

    @contextmanager
    def hold(pid: int | None) -> Iterator[None]:
        assert pid is not None
        set_limit = [*bounded, sys.executable, "-I", "-S", "-c", SET_LIMIT, str(pid)]
        subprocess.run([*set_limit, "none"], check=True)
        yield
        subprocess.run([*set_limit, "all"], check=True)

    return hold


def children_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.fixture
def start(host: ProcessHost, env: dict[str, str]) -> Callable[..., Any]:
    """Start a program, in one of the two ways, and wait for its end; what it has printed."""

    async def run(*argv: str, beside: bool = False) -> bytes:
        with trio.fail_after(20):
            if not beside:
                return (await host.run(argv, cwd="/", env=env)).out.data()
            async with host.open_process(argv, cwd="/", env=env) as process:
                await process.wait()
                return bytes(await process.stdout.receive_some())

    return run


@pytest.mark.usefixtures("guardian_is_bounded")
@pytest.mark.parametrize("beside", [False, True])
async def test_a_guardian_that_cannot_fork_says_so_and_serves_on(
    beside: bool, host: ProcessHost, start: Any, no_fork: Any, until: Any
) -> None:
    await start("true")
    assert host._keepers.guardian is not None
    guardian = host._keepers.guardian.pid
    host._keepers._drop(host._keepers.idle.pop())  # so that the next command needs a new one
    await until(lambda: not children_of(guardian))
    with no_fork(guardian):
        for _ in range(3):
            with pytest.raises(ExecFailed, match=TOO_MANY) as caught:
                await start("echo", "x", beside=beside)
        error = caught.value
        assert host._keepers._links == {host._keepers.guardian}

    assert (error.op, error.path) == ("exec", "echo")
    assert "no process can look after it" in str(error)
    assert "ulimit -u" in error.hint
    assert await start("echo", "again", beside=beside) == b"again\n"
    assert host._keepers.guardian.pid == guardian
    assert children_of(guardian) == [keeper.pid for keeper in host._keepers.idle]


@pytest.mark.usefixtures("guardian_is_bounded")
@pytest.mark.parametrize("beside", [False, True])
async def test_a_keeper_that_cannot_start_a_program_says_so_and_starts_the_next(
    beside: bool, host: ProcessHost, start: Any, no_fork: Any
) -> None:
    await start("true")
    keeper = host._keepers.idle[0].pid
    assert keeper is not None
    with no_fork(keeper):
        for _ in range(3):
            with pytest.raises(ExecFailed, match=TOO_MANY) as caught:
                await start("echo", "x", beside=beside)
        error = caught.value
        assert children_of(keeper) == []

    assert (error.op, error.path) == ("exec", "echo")
    assert "ulimit -u" in error.hint
    assert await start("echo", "again", beside=beside) == b"again\n"
    assert [each.pid for each in host._keepers.idle] == [keeper]


@pytest.mark.usefixtures("guardian_is_bounded")
async def test_what_runs_goes_on_where_nothing_new_can_be_started(
    host: ProcessHost, env: dict[str, str], no_fork: Any
) -> None:
    async with host.open_process(["cat"], cwd="/", env=env) as process:
        assert host._keepers.guardian is not None
        with no_fork(host._keepers.guardian.pid), trio.fail_after(20):
            with pytest.raises(ExecFailed, match=TOO_MANY):
                await host.run(["true"], cwd="/", env=env)
            assert process.stdin is not None
            await process.stdin.send_all(b"still here")
            assert await process.stdout.receive_some() == b"still here"


async def test_a_supervisor_without_room_for_a_process_or_thread_starts_and_ends(
    bounded: list[str], token: str, alive: Callable[..., list[int]]
) -> None:
    program = Path(__file__).with_name("crowded.py")
    done = await trio.run_process(
        [*bounded, sys.executable, "-B", str(program), token],
        capture_stdout=True,
        stderr=subprocess.STDOUT,
    )

    failure, nothing, echo, nothing_again = done.stdout.decode().splitlines()
    assert failure.startswith(f"exec 'true': no process can look after it: {TOO_MANY}")
    assert "ulimit -u" in failure
    assert echo == "now it can"
    assert nothing == nothing_again == "descriptors left: 0"
    assert alive() == []
