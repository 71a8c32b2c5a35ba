"""(e) `runner --help` against `python -c "import click"`, as whole processes."""

from __future__ import annotations

import subprocess
import sys

import trio

from tests.benchmarks.measure import Row, ratios, times


async def start(*args: str) -> None:
    subprocess.run([sys.executable, *args], check=True, stdout=subprocess.DEVNULL)


def run() -> list[Row]:
    variants = {
        "help": lambda: start("-m", "runner", "--help"),
        "click": lambda: start("-c", "import click"),
    }
    found = trio.run(times, variants)
    return [
        Row(
            '(e) runner --help ÷ python -c "import click"',
            ratios(found["help"], found["click"]),
            2.2,
        ),
        Row("(e) runner --help", [seconds * 1e3 for seconds in found["help"]], unit="ms"),
    ]
