"""The lint of commands on the worst line of a megabyte that we know, and on an ordinary one."""

from __future__ import annotations

from functools import partial

import trio

from runner.scopes.safety import find_danger
from tests.benchmarks.measure import Row, times

SIZE = 1_000_000
SHAPES = (
    "a;",
    "$(",
    "'",
    "rm x;",
    "<<a ",
    "|sh x",
    "((",
    "rm -r a ",
    "<<E $(",
    "sudo ",
    "rm -r $",
    "sh#",
    "<<-E\n",
    "sudo",
    "é@",
)
ORDINARY = "git status && python -m pytest tests -q"
CALLS = 1000


async def look(line: str, times_: int = 1) -> None:
    for _ in range(times_):
        find_danger(line, "footgun")


def run() -> list[Row]:
    lines = {shape: "rm -r x;" + shape * (SIZE // len(shape)) for shape in SHAPES}
    variants = {shape: partial(look, line) for shape, line in lines.items()}
    found = trio.run(partial(times, {**variants, "ordinary": partial(look, ORDINARY, CALLS)}))
    ordinary = [seconds / CALLS * 1e6 for seconds in found.pop("ordinary")]
    worst = max(found.values(), key=sorted)
    return [
        Row("the lint on the worst of 1 MB", [each * 1e3 for each in worst], 50, unit="ms"),
        Row("the lint on an ordinary line", ordinary, unit="us"),
    ]
