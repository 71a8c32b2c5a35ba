"""A supervisor that may start no process and no thread: run by test_crowded.py, never imported.

It goes through a host's life on such a machine, and prints what came of it, one fact a line.
"""

from __future__ import annotations

import os
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import trio

from runner.errors import ExecFailed
from runner.processes.environment import base_environment
from runner.processes.host import ProcessHost


@contextmanager
def crowded() -> Iterator[None]:
    """There are more processes of this user than it may have."""
    _, hard = resource.getrlimit(resource.RLIMIT_NPROC)
    resource.setrlimit(resource.RLIMIT_NPROC, (0, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NPROC, (hard, hard))


async def main(run_id: str) -> None:
    host = ProcessHost(run_id=run_id)
    env = base_environment(os.environ)
    files = len(os.listdir("/proc/self/fd"))
    with crowded():
        try:
            await host.run(["true"], cwd="/", env=env)
        except ExecFailed as error:
            print(error, error.hint, sep=" -- ")
    print("descriptors left:", len(os.listdir("/proc/self/fd")) - files)
    done = await host.run(["echo", "now it can"], cwd="/", env=env)
    print(done.out.data().decode().strip())
    with crowded():
        await host.aclose()
    print("descriptors left:", len(os.listdir("/proc/self/fd")) - files)


trio.run(main, sys.argv[1])
