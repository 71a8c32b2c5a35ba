"""Searching and listing a local scope against ripgrep and the bare system calls.

`rg` is given what runner must know, too: line numbers for grep; its output goes through a pipe and
is read. Both look at the same files in the page cache.
"""

from __future__ import annotations

import os
import random
import subprocess
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

import trio

from runner.backends.local import LocalBackend
from runner.backends.ripgrep.command import RipgrepFailed, program
from tests.benchmarks.measure import CannotRun, Row, ratios, times

SIZES = (20_000, 100_000)
IN_ONE = 100  # files in a directory
ROUNDS = 9
COMMON = 184_000  # matching lines in the smaller tree
ENDINGS = ("py", "txt", "md", "js", "c")


def grow(top: Path, count: int) -> None:
    """A tree of small files; line 1 and lines 10 to 17 of each hold the common word."""
    rng = random.Random(count)
    for number in range(count // IN_ONE):
        place = top / f"d{number // 10:03}" / f"s{number % 10}"
        place.mkdir(parents=True)
        for each in range(IN_ONE):
            lines = [f"line {line} alpha beta {rng.random()}\n" for line in range(18)]
            if each % 5 == 0:  # so that there are 9.2 common lines in a file
                lines.append("line 1 once more\n")
            (place / f"file_{each}.{rng.choice(ENDINGS)}").write_text("".join(lines))


def rg(top: Path, *argv: str) -> Callable[[], Awaitable[object]]:
    """Ripgrep in a directory, its output read through a pipe."""
    command = [program(), "--no-config", "--no-ignore", *argv, "./"]

    async def run() -> None:
        subprocess.run(command, cwd=top, stdout=subprocess.PIPE, check=False)

    return run


async def searching(top: Path, count: int) -> list[Row]:
    backend = LocalBackend(top)
    common = await backend.grep("line 1", limit=10**7)
    assert count != SIZES[0] or len(common.matches) == COMMON, len(common.matches)
    del common
    found = await times(
        {
            "grep rare": lambda: backend.grep("a needle in here", literal=True),
            "rg rare": rg(top, "-n", "-F", "-e", "a needle in here"),
            "glob": lambda: backend.glob("**/*.py", limit=10**7),
            "rg glob": rg(top, "--files", "-g", "*.py"),
            "grep common": lambda: backend.grep("line 1", limit=10**7),
            "rg common": rg(top, "-n", "-e", "line 1"),
        },
        rounds=ROUNDS,
    )
    await backend.aclose()
    return [
        Row(
            f"grep of a rare literal in {count:,} files ÷ rg",
            ratios(found["grep rare"], found["rg rare"]),
            1.3,
        ),
        Row(
            f"grep of a common pattern in {count:,} files ÷ rg",
            ratios(found["grep common"], found["rg common"]),
            4 if count == SIZES[0] else None,
        ),
        Row(
            f"glob **/*.py in {count:,} files ÷ rg --files -g",
            ratios(found["glob"], found["rg glob"]),
            1.5,
        ),
        Row(f"glob **/*.py in {count:,} files", [s * 1e3 for s in found["glob"]], unit="ms"),
    ]


async def listing(top: Path) -> list[Row]:
    place = top / "many"
    place.mkdir()
    for number in range(10_000):
        (place / f"entry_{number:05}").touch()
    backend = LocalBackend(top)

    async def scandir() -> None:
        with os.scandir(place) as entries:
            for each in entries:
                each.stat(follow_symlinks=False)

    found = await times({"ls": lambda: backend.ls("many"), "scandir": scandir}, rounds=ROUNDS)
    await backend.aclose()
    return [
        Row("ls of 10,000 entries ÷ scandir + stat", ratios(found["ls"], found["scandir"]), 2),
        Row("ls of 10,000 entries", [s * 1e3 for s in found["ls"]], unit="ms"),
    ]


def run() -> list[Row]:
    try:
        program()
    except RipgrepFailed as reason:
        raise CannotRun(str(reason)) from None
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as place:
        for count in SIZES:
            top = Path(place) / str(count)
            top.mkdir()
            grow(top, count)
            rows += trio.run(searching, top, count)
        rows += trio.run(listing, Path(place))
    return rows
