"""Pushing a tree of 5,000 files to a directory, beside `git push` to another repository.

The first push, and one after ten edits. What is pushed is in the store, and committed, before: git
makes a pack of differences on the way, ours are files of their own, each compressed by itself. Ours
waits for the disk; git too, for what it has packed.
"""

from __future__ import annotations

import os
import random
import shutil
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import trio

from runner.workspaces.capturing import Capture
from runner.workspaces.objects import ObjectId
from runner.workspaces.store import Store
from runner.workspaces.sync.files import FileRemote
from runner.workspaces.sync.transfer import upload
from tests.benchmarks.bench_snapshots import Git, make, seconds
from tests.benchmarks.bench_store import commit, edit
from tests.benchmarks.measure import CannotRun, Row, ratios

ROUNDS = 2
T = TypeVar("T")


async def in_thread(work: Callable[[], T]) -> T:
    return await trio.to_thread.run_sync(work)


async def push(store: Store, place: Path, root: ObjectId, before: ObjectId | None) -> float:
    start = time.perf_counter()
    remote = FileRemote(str(place))
    await remote.open()
    await upload(store, remote, root, () if before is None else (before,), in_thread)
    assert await remote.swap_ref("w", before, root)
    return time.perf_counter() - start


async def round_of(place: Path, number: int, files: list[Path], git: Git) -> dict[str, float]:
    """One round into new remotes, the two in turns."""
    tree, other, remote = place / "tree", place / f"git{number}", place / f"remote{number}"
    found: dict[str, float] = {}
    Git(other, tree)
    with_git = ("push", "--quiet", str(other), "HEAD:refs/heads/pushed")
    store = Store.open(str(place / f"store{number}"))
    capture, before = Capture(str(tree), store, "push"), None
    for which in ("first", "next"):
        for path in random.sample(files, 10):
            edit(path, random.Random())
        commit(git)
        root = capture.take().root

        async def ours(root: ObjectId = root, before: ObjectId | None = before) -> float:
            return await push(store, remote, root, before)

        async def theirs() -> float:
            return await in_thread(lambda: seconds(lambda: git(*with_git)))

        ways: list[tuple[str, Callable[[], Awaitable[float]]]] = [("ours", ours), ("git", theirs)]
        for name, way in random.sample(ways, 2):
            os.sync()  # what was before has left to be written
            found[f"{which} {name}"] = await way()
        before = root
    capture.close()
    store.close()
    return found


async def measure() -> list[Row]:
    with tempfile.TemporaryDirectory() as top:
        place = Path(top)
        files = make(place / "tree", 5000, 10_000, 250)
        git = Git(place / "git", place / "tree")
        rounds = [await round_of(place, number, files, git) for number in range(ROUNDS)]
    rows = []
    for which, what in (
        ("first", "first push of 5,000 files, 50 MB"),
        ("next", "push of 10 edits"),
    ):
        ours, theirs = ([each[f"{which} {name}"] for each in rounds] for name in ("ours", "git"))
        rows.append(Row(f"{what}, to a directory ÷ git push", ratios(ours, theirs)))
        rows.append(Row(f"{what}: ours", [1000 * each for each in ours], unit="ms"))
    return rows


def run() -> list[Row]:
    if shutil.which("git") is None:
        raise CannotRun("git is not installed")
    return trio.run(measure)
