"""A supervisor of held programs, to be killed: run by test_survivors.py, never imported.

It finds out once what works here and forks a new victim for each line "TOKEN COLD DIRECTORY". Its
argument, if any, says as JSON who it is, for whom the program bwrap makes the namespaces then.
"""

from __future__ import annotations

import json
import os
import signal
import sys

import trio

from runner.messages import Isolation
from runner.processes import guardian_link
from runner.processes.host import ProcessHost
from runner.processes.isolation import limiting, probe, users

JOBS = (
    "setsid sleep TOKEN & sleep TOKEN",
    "nohup sleep TOKEN >/dev/null 2>&1 & ( ( sleep TOKEN & ) & ) ; exit 0",
    "trap '' TERM INT HUP; env -i setsid sh -c 'trap \"\" TERM; sleep TOKEN' & while :; do :; done",
    "( setsid sh -c '(exec >&- 2>&- <&-; sleep TOKEN) &' & ) ; exec sleep TOKEN",
)
HELD = Isolation(mode="bwrap", required=True)
ENV = {"PATH": os.defpath, "HOME": "/nonexistent"}


async def find_out() -> None:
    host = ProcessHost()
    await host.choose(HELD)
    await host.aclose()


async def main(token: str, directory: str, *, cold: bool) -> None:
    host = ProcessHost(run_id=token)
    if not cold:
        await host.run(["true"], cwd="/", env=ENV)
    os.write(1, b"%d\n" % os.getpid())
    async with trio.open_nursery() as nursery:
        for number, job in enumerate(JOBS):
            work = session if number % 2 else exec_
            nursery.start_soon(work, host, job.replace("TOKEN", token), directory)


async def exec_(host: ProcessHost, script: str, directory: str) -> None:
    argv = ["sh", "-c", script]
    await host.run(argv, cwd=directory, env=ENV, timeout=50, isolation=HELD)


async def session(host: ProcessHost, script: str, directory: str) -> None:
    argv = ["sh", "-c", script]
    async with host.open_process(argv, cwd=directory, env=ENV, isolation=HELD):
        await trio.sleep_forever()


def become_somebody(how: dict[str, object]) -> None:
    guardian_link.HERE = how["here"]
    guardian_link.GuardianLink.command = staticmethod(lambda: how["command"])
    users.own_ids = lambda: (how["uid"], how["uid"])
    limiting._tree.append(None)
    identity = "\0".join((str(os.geteuid()), *how["command"]))
    probe._known["bwrap", identity] = probe.Probe(works=False, reason="refused")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        become_somebody(json.loads(sys.argv[1]))
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the victims
    trio.run(find_out)
    os.write(1, b"ready\n")
    for line in sys.stdin:
        token, cold, directory = line.split()
        if os.fork() == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            trio.run(lambda: main(token, directory, cold=cold == "1"))  # noqa: B023 - it has forked
            os._exit(0)
