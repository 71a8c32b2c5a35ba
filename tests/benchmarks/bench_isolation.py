"""(i) A program held inside against bare bubblewrap with the same namespaces, one after the other."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile

import trio

from runner.messages import Isolation
from runner.processes.host import ProcessHost
from tests.benchmarks.measure import CannotRun, Row, ratios, times

PROGRAMS = 20  # in each round
BARE = (
    *(
        "bwrap",
        "--unshare-user",
        "--unshare-ipc",
        "--unshare-pid",
        "--unshare-uts",
        "--unshare-net",
    ),
    *("--unshare-cgroup-try", "--new-session", "--cap-drop", "ALL", "--clearenv"),
    *("--ro-bind", "/usr", "/usr", "--symlink", "usr/bin", "/bin", "--symlink", "usr/lib", "/lib"),
    *("--symlink", "usr/lib64", "/lib64", "--ro-bind", "/etc/passwd", "/etc/passwd"),
    *("--ro-bind", "/etc/ssl", "/etc/ssl", "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp"),
)


async def measure() -> list[Row]:
    if shutil.which("bwrap") is None:
        raise CannotRun("no bwrap to measure against: apt-get install bubblewrap")
    env = {"PATH": os.defpath, "HOME": "/nonexistent"}
    host = ProcessHost()
    with tempfile.TemporaryDirectory() as scope:
        bare = [*BARE, "--bind", scope, scope, "--chdir", scope, "true"]

        async def held(isolation: Isolation | None) -> None:
            for _ in range(PROGRAMS):
                done = await host.run(["true"], cwd=scope, env=env, isolation=isolation)
                assert done.exit_code == 0

        async def by_bwrap() -> None:
            for _ in range(PROGRAMS):
                subprocess.run(bare, check=True, env=env)

        try:
            found = await times(
                {
                    "inside": lambda: held(Isolation(mode="bwrap", required=True)),
                    "bwrap": by_bwrap,
                    "none": lambda: held(None),
                }
            )
        finally:
            await host.aclose()
    inside, bwrap, none = (found[name] for name in ("inside", "bwrap", "none"))
    return [
        Row("(i) host.run held inside ÷ bare bwrap", ratios(inside, bwrap), 1.5),
        Row(
            "(i) what holding adds ÷ bare bwrap",
            ratios([a - b for a, b in zip(inside, none, strict=True)], bwrap),
            1.5,
        ),
        Row("(i) host.run held inside", [s / PROGRAMS * 1e3 for s in inside], unit="ms"),
        Row("(i) bare bwrap", [s / PROGRAMS * 1e3 for s in bwrap], unit="ms"),
    ]


def run() -> list[Row]:
    return trio.run(measure)
