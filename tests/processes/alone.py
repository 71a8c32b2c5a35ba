"""A supervisor that cannot be missed as usual: run by test_alone.py, never imported.

It says who is to live on, or "-", once its job runs, and waits to be killed.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import time
from pathlib import Path

import trio

from runner.processes.environment import base_environment
from runner.processes.host import ProcessHost

FIND = "guardian=$(cut -d ' ' -f 4 /proc/$PPID/stat)"
STOPS = {
    "the keeper": "kill -STOP $PPID",
    "the guardian": "kill -STOP $guardian",
    "keeper and guardian": "kill -STOP $guardian $PPID",
    "the keeper and kills the guardian": "kill -STOP $PPID; kill -KILL $guardian",
}


async def main(token: str, kind: str, up: Path) -> None:
    host = ProcessHost(run_id=token)
    env = base_environment(os.environ)
    await host.run(["true"], cwd="/", env=env)
    stays = "-"
    async with trio.open_nursery() as nursery:
        if kind == "forks":
            stays = str(fork())
        job = STOPS.get(kind, ":")
        script = f"{FIND}; env -i setsid sleep {token} & {job}; : >{up}; exec sleep {token}"
        nursery.start_soon(run, host, script, env)
        if kind == "kept":
            left = f"(env -i setsid sleep {token} &) & :"
            await host.run(["sh", "-c", left], cwd="/", env=env, kept=set())
        while not up.exists():
            await trio.sleep(0.001)
        if kind == "has children by multiprocessing":
            process = multiprocessing.get_context("fork").Process(target=time.sleep, args=(50,))
            process.start()
            stays = str(process.pid)
        if kind == "forks":
            await host.run(["true"], cwd="/", env=env)
        os.write(1, stays.encode() + b"\n")


def fork() -> int:
    pid = os.fork()
    if pid == 0:
        time.sleep(50)
        os._exit(0)
    return pid


async def run(host: ProcessHost, script: str, env: dict[str, str]) -> None:
    await host.run(["sh", "-c", script], cwd="/", env=env)


trio.run(main, sys.argv[1], sys.argv[2], Path(sys.argv[3]))
