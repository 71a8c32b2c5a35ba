"""(b) `scope.exec("true")` against `subprocess.run(["sh", "-c", "true"])`, one after the other."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

import trio

import runner
from tests.benchmarks.measure import Row, ratios, times

EXECS = 20  # in each round


async def measure() -> list[Row]:
    with tempfile.TemporaryDirectory() as place:
        async with runner.open_runner(state=Path(place) / "state") as r:
            scope = r.scope(place)

            async def ours() -> None:
                for _ in range(EXECS):
                    await scope.exec("true")

            async def theirs(*, capture_output: bool = False) -> None:
                for _ in range(EXECS):
                    subprocess.run(["sh", "-c", "true"], check=True, capture_output=capture_output)

            found = await times(
                {
                    "scope": ours,
                    "subprocess": theirs,
                    "capturing": lambda: theirs(capture_output=True),
                }
            )
    return [
        Row(
            '(b) scope.exec("true") ÷ subprocess.run(["sh", "-c", "true"])',
            ratios(found["scope"], found["subprocess"]),
            1.3,
        ),
        Row(
            "(b) the same ÷ subprocess.run(..., capture_output=True)",
            ratios(found["scope"], found["capturing"]),
        ),
        Row('(b) scope.exec("true")', [s / EXECS * 1e3 for s in found["scope"]], unit="ms"),
    ]


def run() -> list[Row]:
    return trio.run(measure)
