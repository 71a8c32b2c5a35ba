"""(c) `scope.exec` of a program that writes 1 GB, against `cat` that reads the same from a pipe.

Its own process, so that what it adds to the memory is its own: the most that was resident during
the exec, less what was before.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import trio

import runner
from tests.benchmarks.measure import Row

SIZE = 1_000_000_000
ROUNDS = 5
COMMAND = f"head -c {SIZE} /dev/zero"


def resident(field: str) -> float:
    """MiB, of this process."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) / 1024
    return 0.0


async def measure() -> list[list[float]]:
    found: list[list[float]] = [[], [], []]
    with tempfile.TemporaryDirectory() as place:
        async with runner.open_runner(state=Path(place) / "state") as r:
            scope = r.scope(place)
            await scope.exec("true")
            for _ in range(ROUNDS):
                begin = time.perf_counter()
                subprocess.run(f"{COMMAND} | cat >/dev/null", shell=True, check=True)
                piped = time.perf_counter() - begin
                Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
                before = resident("VmRSS")
                begin = time.perf_counter()
                done = await scope.exec(COMMAND)
                ours = time.perf_counter() - begin
                assert done.omitted + len(done.stdout) >= SIZE
                found[0].append(piped / ours)
                found[1].append(resident("VmHWM") - before)
                found[2].append(SIZE / ours / 1e9)
    return found


def run() -> list[Row]:
    lines = subprocess.run(
        [sys.executable, "-m", __name__], check=True, capture_output=True, text=True
    ).stdout.splitlines()
    ratios, memory, speed = ([float(each) for each in line.split()] for line in lines)
    return [
        Row(
            "(c) exec of 1 GB: throughput ÷ that of `| cat >/dev/null`", ratios, 0.7, at_least=True
        ),
        Row("(c) memory that it adds", memory, 32, unit="MiB"),
        Row("(c) throughput", speed, unit="GB/s"),
    ]


if __name__ == "__main__":
    for values in trio.run(measure):
        print(*values)
