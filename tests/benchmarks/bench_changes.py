"""A turn in a directory of 100,000 files: what it costs to know which files it changed.

Against agent_session's way (agent-session 0.1.0: an `rglob` with a stat of each file before and
after the turn; its own functions if it is installed, else the same said again), and against one
bare walk, `scandir` and `stat` of each file. Ours is a whole turn of a scripted agent, which edits a
file, where the kernel gives hints; and only the looking, with and without hints. In CPU time and
in time.
All files in one directory is the worst case for the latter.
"""

from __future__ import annotations

import importlib
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import trio

import runner
from runner.sessions.changes import Scanner
from runner.sessions.trees import Trees
from runner.testing.scripted import ScriptedAgent
from tests.benchmarks.measure import Row, ratios, times

DIRECTORIES = 1000
FILES = 100
ROUNDS = 7


def make(top: Path, directories: int, files: int) -> None:
    for one in range(directories):
        place = top / f"a{one % 10}" / f"b{one // 10 % 10}" / f"directory{one}"
        place.mkdir(parents=True)
        for two in range(files):
            (place / f"file_{two}.py").touch()


def bare(top: str) -> None:
    waiting = [top]
    while waiting:
        with os.scandir(waiting.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)
                else:
                    entry.stat(follow_symlinks=False)


def snapshot(root: Path) -> dict[Path, tuple[float, int]]:
    """As agent-session 0.1.0 does it."""
    found = {}
    for path in root.rglob("*"):
        if path.is_file():
            try:
                stat = path.stat()
            except FileNotFoundError:
                continue
            found[path.relative_to(root)] = (stat.st_mtime, stat.st_size)
    return found


def difference(before: dict[Path, Any], after: dict[Path, Any]) -> tuple[list[Path], list[Path]]:
    created = [path for path in after if path not in before]
    return sorted(created), sorted(
        path for path, meta in after.items() if path in before and before[path] != meta
    )


def agent_session() -> tuple[Callable[..., Any], Callable[..., Any], str]:
    try:
        module = importlib.import_module("agent_session.claude")
    except ImportError:
        return snapshot, difference, "agent_session's way"
    return module._snapshot_tree, module._diff_snapshots, "agent_session"


async def measure() -> list[Row]:
    take, diff, name = agent_session()
    rows = []
    with tempfile.TemporaryDirectory() as place:
        flat, deep = Path(place, "flat"), Path(place, "deep")
        make(deep, DIRECTORIES, FILES)
        make(flat, 1, DIRECTORIES * FILES)
        async with runner.open_runner(state=Path(place) / "state") as r:
            scope = r.scope(deep)
            async with r.session(scope, agent=ScriptedAgent(), durable=False) as session:
                for what, clock in (("CPU", time.process_time), ("time", time.perf_counter)):
                    rows += await compared(name, what, clock, session, take, diff, deep, flat)
    return rows


async def compared(
    name: str,
    what: str,
    clock: Callable[[], float],
    session: Any,
    take: Callable[..., Any],
    diff: Callable[..., Any],
    deep: Path,
    flat: Path,
) -> list[Row]:
    edited = deep / "a0" / "b0" / "directory0" / "file_0.py"

    async def turn() -> None:
        text = f"{time.time_ns():020}"
        answer = await session.send(f"!write {edited.relative_to(deep)}: {text}")
        assert [str(edited.relative_to(deep))] == [str(path) for path in answer.files_modified]

    async def theirs() -> None:
        before = take(deep)
        edited.write_text(str(time.time_ns()))
        assert ([], [edited.relative_to(deep)]) == diff(before, take(deep))

    def looking(top: Path, file: Path, *, watch: bool = False) -> Callable[[], Any]:
        trees = Trees(Scanner(str(top), trio.CapacityLimiter(1), watch=watch))

        async def look() -> None:
            before = await trees.before()
            file.write_text(str(time.time_ns()))
            found = await trees.compare(before)
            assert [str(file.relative_to(top))] == [str(path) for path in found.modified]

        return look

    async def walk_deep() -> None:
        bare(str(deep))

    async def walk_flat() -> None:
        bare(str(flat))

    found = await times(
        {
            "turn": turn,
            "theirs": theirs,
            "hinted": looking(deep, edited, watch=True),
            "deep": looking(deep, edited),
            "flat": looking(flat, next(iter(flat.glob("*/*/*/file_0.py")))),
            "bare deep": walk_deep,
            "bare flat": walk_flat,
        },
        rounds=ROUNDS,
        clock=clock,
    )
    return [
        Row(
            f"{what}: {name} before and after ÷ a whole turn, by hints",
            ratios(found["theirs"], found["turn"]),
            20.0,
            at_least=True,
        ),
        Row(
            f"{what}: looking at 1000 directories by hints ÷ one bare walk",
            ratios(found["hinted"], found["bare deep"]),
            0.02,
        ),
        Row(
            f"{what}: looking at 1000 directories without hints ÷ one bare walk",
            ratios(found["deep"], found["bare deep"]),
            1.2,
        ),
        Row(
            f"{what}: looking at one directory without hints ÷ one bare walk",
            ratios(found["flat"], found["bare flat"]),
            1.2,
        ),
        Row(f"{what}: a whole turn, by hints", [1000 * each for each in found["turn"]], unit="ms"),
    ]


def run() -> list[Row]:
    return trio.run(measure)
