"""A supervisor that is killed by SIGKILL, at any moment, leaves no process: 200 of 200.

The process tree of a victim is known by a token in all command lines: the guardian's and the
keepers' (the run id), and the jobs' (what they sleep on).
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio
from trio._core import _thread_cache

from runner.processes.host import ProcessHost

VICTIMS = 200
AT_ONCE = 4
BOUND = 5.0


async def kill_one(template: subprocess.Popen[bytes], number: int, alive: Any, until: Any) -> int:
    """Start a victim, kill it after 0 to 80 ms; how many processes it had then."""
    token = str(random.randrange(10**14, 10**15))
    assert template.stdin is not None
    assert template.stdout is not None
    template.stdin.write(f"{token} {number % 2}\n".encode())
    template.stdin.flush()
    await trio.lowlevel.wait_readable(template.stdout)
    pid = int(template.stdout.readline())
    await trio.sleep(random.uniform(0, 0.08))  # the random moment is the point
    os.kill(pid, signal.SIGKILL)
    there = len(alive(token))
    await until(lambda: not alive(token), BOUND)
    return there


async def test_two_hundred_supervisors_are_killed_and_leave_nothing(
    alive: Callable[..., list[int]], until: Any
) -> None:
    victim = str(Path(__file__).with_name("victim.py"))
    templates = [
        subprocess.Popen(
            [sys.executable, victim], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
        )
        for _ in range(AT_ONCE)
    ]
    seen: list[int] = []

    async def kill_many(template: subprocess.Popen[bytes]) -> None:
        for number in range(VICTIMS // AT_ONCE):
            seen.append(await kill_one(template, number, alive, until))  # noqa: PERF401

    try:
        with trio.fail_after(110):
            async with trio.open_nursery() as nursery:
                for template in templates:
                    nursery.start_soon(kill_many, template)
    finally:
        for template in templates:
            template.communicate()

    assert len(seen) == VICTIMS
    assert sum(there > 4 for there in seen) > VICTIMS / 3  # it was worth it: they had jobs


async def test_the_end_of_the_thread_that_started_it_is_not_its_own(
    host: ProcessHost, env: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A parent-death signal set by a thread of a pool would end it after trio's ten seconds; we use none."""
    monkeypatch.setattr(_thread_cache, "IDLE_TIMEOUT", 0.2)
    with trio.fail_after(30):
        done = await host.run(["sh", "-c", "sleep 1; echo lived"], cwd="/", env=env)

    assert (done.exit_code, done.out.data()) == (0, b"lived\n")
