"""A supervisor to be killed: run by test_sigkill.py, never imported.

It loads everything once and forks a new victim for each line "TOKEN COLD" that it reads, so that
200 of them cost seconds. A victim says its pid as it begins with its jobs. A cold one has no
guardian yet at that moment: it is killed while that starts.
"""

from __future__ import annotations

import os
import signal
import sys

import trio

from runner.processes.environment import base_environment
from runner.processes.host import ProcessHost

JOBS = (
    "setsid sleep TOKEN & sleep TOKEN",
    "nohup sleep TOKEN >/dev/null 2>&1 & ( ( sleep TOKEN & ) & ) ; exit 0",
    "trap '' TERM INT HUP; env -i setsid sh -c 'trap \"\" TERM; sleep TOKEN' & while :; do :; done",
    "( setsid sh -c '(exec >&- 2>&- <&-; sleep TOKEN) &' & ) ; exec sleep TOKEN",
)


async def main(token: str, *, cold: bool) -> None:
    host = ProcessHost(run_id=token)
    env = base_environment(os.environ)
    if not cold:
        await host.run(["true"], cwd="/", env=env)
    os.write(1, b"%d\n" % os.getpid())
    async with trio.open_nursery() as nursery:
        for number, job in enumerate(JOBS):
            script = job.replace("TOKEN", token)
            if number % 2:
                nursery.start_soon(session, host, script, env)
            else:
                nursery.start_soon(exec_, host, script, env)
        nursery.start_soon(keeping, host, JOBS[1].replace("TOKEN", token), env)


async def exec_(host: ProcessHost, script: str, env: dict[str, str]) -> None:
    await host.run(["sh", "-c", script], cwd="/", env=env, timeout=50)


async def keeping(host: ProcessHost, script: str, env: dict[str, str]) -> None:
    await host.run(["sh", "-c", script], cwd="/", env=env, kept=set())


async def session(host: ProcessHost, script: str, env: dict[str, str]) -> None:
    async with host.open_process(["sh", "-c", script], cwd="/", env=env):
        await trio.sleep_forever()


if __name__ == "__main__":
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the victims
    for line in sys.stdin:
        token, cold = line.split()
        if os.fork() == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            trio.run(lambda: main(token, cold=cold == "1"))  # noqa: B023 - it has forked
            os._exit(0)
