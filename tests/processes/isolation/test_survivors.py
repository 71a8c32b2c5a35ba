"""No process survives its supervisor inside, whoever else is killed with it."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import trio

from runner.errors import ExecFailed
from runner.messages import Isolation
from runner.processes.host import ProcessHost

VICTIMS = 100
AT_ONCE = 4
BOUND = 5.0


@pytest.fixture
async def template(host: ProcessHost):
    """What victims are forked from; skipped where there are no namespaces."""
    try:
        await host.choose(Isolation(mode="bwrap", required=True))
    except ExecFailed as error:
        pytest.skip(str(error))
    process = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("victim.py"))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        bufsize=0,
    )
    assert await trio.to_thread.run_sync(process.stdout.readline) == b"ready\n"
    yield process
    process.communicate()


async def begin(template, directory, number: int) -> tuple[int, str]:
    token = str(random.randrange(10**14, 10**15))
    template.stdin.write(f"{token} {number % 2} {directory}\n".encode())
    await trio.lowlevel.wait_readable(template.stdout)
    return int(template.stdout.readline()), token


async def test_a_hundred_supervisors_are_killed_and_leave_nothing(
    template, tmp_path, alive, until
) -> None:
    seen = []
    numbers, turn = iter(range(VICTIMS)), trio.Lock()

    async def kill_many() -> None:
        for number in numbers:
            async with turn:
                pid, token = await begin(template, tmp_path, number)
            await trio.sleep(random.uniform(0, 0.2))  # the random moment is the point
            os.kill(pid, signal.SIGKILL)
            seen.append(len(alive(token)))
            await until(lambda: not alive(token), BOUND)  # noqa: B023 - it is waited for here

    with trio.fail_after(110):
        async with trio.open_nursery() as nursery:
            for _ in range(AT_ONCE):
                nursery.start_soon(kill_many)

    assert len(seen) == VICTIMS
    assert sum(there > 4 for there in seen) > VICTIMS / 5  # it was worth it: they had jobs


async def test_killed_with_the_guardian_nothing_is_left_either(
    template, tmp_path, alive, until
) -> None:
    """Then nobody but pid 1 inside can end it: by its lifeline."""
    with trio.fail_after(60):
        for number in range(0, 10, 2):
            pid, token = await begin(template, tmp_path, number)
            await until(lambda: len(alive(f"sleep\0{token}")) >= 4)  # noqa: B023
            guardian = children(pid)[0]
            os.kill(guardian, signal.SIGSTOP)
            os.kill(pid, signal.SIGKILL)
            os.kill(guardian, signal.SIGKILL)
            await until(lambda: not alive(token), BOUND)  # noqa: B023


async def test_pid_1_that_is_killed_takes_everything_with_it(host, tmp_path, token, alive) -> None:
    isolation = Isolation(mode="bwrap", required=True)
    argv, env = ["sh", "-c", f"setsid sleep {token} & sleep {token}"], {"PATH": os.defpath}
    try:
        async with host.open_process(argv, cwd=str(tmp_path), env=env, isolation=isolation) as one:
            os.kill(one._link.pid, signal.SIGKILL)
            assert await one.wait() == -signal.SIGKILL
            assert alive() == []
    except ExecFailed as error:
        pytest.skip(str(error))


async def test_a_program_cannot_end_who_looks_after_it(host, tmp_path) -> None:
    line = "kill -9 1; kill -STOP 1; kill -9 -1 2>/dev/null; echo still; exit 5"
    isolation = Isolation(mode="bwrap")

    done = await host.run(
        ["sh", "-c", line], cwd=str(tmp_path), env={"PATH": os.defpath}, isolation=isolation
    )

    if done.isolation.mode != "bwrap":
        pytest.skip("; ".join(done.isolation.lacking))
    assert (done.exit_code, done.out.data()) == (5, b"still\n")


def children(pid: int) -> list[int]:
    found = []
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/children") as file:
            found += [int(each) for each in file.read().split()]
    return found
