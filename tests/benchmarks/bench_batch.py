"""(c) 2,000 jobs of `true` through `run_batch`, durable, against `xargs -P2 -n1 true`.

The jobs are measured in one directory that they share, as xargs has it, and each in an empty
workspace of its own, which costs making and removing it.
"""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import trio

import runner
from runner.jobs.spec import Limits, Workspace
from tests.benchmarks.measure import CannotRun, Row, ratios, times

JOBS = 2000
ROUNDS = 3


async def measure() -> list[Row]:
    with tempfile.TemporaryDirectory() as place:
        numbers = itertools.count()
        Path(place, "shared").mkdir()

        async def batch(workspace: Workspace) -> None:
            record = runner.Batch(
                name="true",
                prompt="true",
                repeat=JOBS,
                workspace=workspace,
                limits=Limits(concurrency=4),
            )
            async with runner.open_runner(state=Path(place) / "state") as r:
                report = await r.run_batch(record, output=Path(place) / f"out{next(numbers)}")
            assert report.counts == {"ok": JOBS}

        async def xargs() -> None:
            lines = "".join(f"{number}\n" for number in range(JOBS))
            argv = ["xargs", "-P2", "-n1", shutil.which("true") or "true"]
            subprocess.run(argv, input=lines, text=True, check=True)

        found = await times(
            {
                "shared": lambda: batch(Workspace(in_place=os.path.join(place, "shared"))),
                "own": lambda: batch(Workspace(empty=True)),
                "xargs": xargs,
            },
            rounds=ROUNDS,
        )
    return [
        Row(
            f"(c) throughput of {JOBS} jobs in one directory ÷ xargs -P2",
            ratios(found["xargs"], found["shared"]),
            0.5,
            at_least=True,
        ),
        Row(
            f"(c) throughput of {JOBS} jobs in workspaces of their own ÷ xargs -P2",
            ratios(found["xargs"], found["own"]),
        ),
        Row("(c) jobs a second, in one directory", [JOBS / s for s in found["shared"]], unit="/s"),
        Row("(c) jobs a second, in workspaces", [JOBS / s for s in found["own"]], unit="/s"),
        Row("(c) xargs, a second", [JOBS / s for s in found["xargs"]], unit="/s"),
    ]


def run() -> list[Row]:
    if shutil.which("xargs") is None:
        raise CannotRun("it needs xargs (findutils)")
    return trio.run(measure)
