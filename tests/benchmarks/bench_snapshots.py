"""Snapshots of live trees: what it takes to have one, against git's index and trees.

The next one: 100,000 files, ten of them edited since; by the kernel's hints, and by a scan; beside
`git add -A && git write-tree` after the same ten edits, with an index that knows all the others.
The first one: 20,000 files, 200 MB, into an empty store; beside `git add -A` into an empty
repository. Ours compresses and writes in one file what git writes in 20,000.
"""

from __future__ import annotations

import itertools
import os
import random
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from runner.workspaces.capturing import Capture
from runner.workspaces.store import Store
from tests.benchmarks.measure import CannotRun, Row, ratios

ROUNDS = 7
FIRST_ROUNDS = 3
WORDS = 20_000


def pool() -> bytes:
    """Text that compresses about as well as source code does."""
    chance = random.Random(5)
    letters = "etaoinshrdlucmfwypvbgkjqxz_.(),=:\n    "
    words = ["".join(chance.choices(letters, k=chance.randint(2, 9))) for _ in range(WORDS)]
    return " ".join(chance.choices(words, k=1_500_000)).encode()


def make(top: Path, count: int, size: int, directories: int) -> list[Path]:
    """Files of that size on the average, each another one."""
    chance, text, made = random.Random(7), pool(), []
    for number in range(directories):
        place = top / f"a{number % 40}" / f"b{number // 40}"
        place.mkdir(parents=True)
        for each in range(count // directories):
            at, length = chance.randrange(len(text) - 4 * size), chance.randint(1, 2 * size - 1)
            path = place / f"file_{each}.py"
            path.write_bytes(b"%d %d\n" % (number, each) + text[at : at + length])
            made.append(path)
    return made


class Git:
    """A repository of a tree that knows nothing of it: its directory is elsewhere."""

    def __init__(self, place: Path, tree: Path) -> None:
        self.environ = {
            **os.environ, "GIT_DIR": str(place), "GIT_WORK_TREE": str(tree),
            "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull,
        }  # fmt: skip
        self("init", "--quiet")

    def __call__(self, *arguments: str) -> None:
        argv = ["git", *arguments]
        subprocess.run(argv, env=self.environ, check=True, stdout=subprocess.DEVNULL)

    def snapshot(self) -> None:
        self("add", "-A")
        self("write-tree")


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def next_ones(place: Path) -> Iterator[Row]:
    tree = place / "tree"
    files = make(tree, 100_000, 1000, 2500)
    chance, numbers = random.Random(3), itertools.count()

    def edit() -> None:
        for path in chance.sample(files, 10):
            path.write_bytes(b"edited %d" % next(numbers))

    store, git = Store.open(str(place / "store")), Git(place / "git", tree)
    hinted = Capture(str(tree), store, "hinted")
    scanned = Capture(str(tree), store, "scanned", watch=False)
    found: dict[str, list[float]] = {"git": [], "hints": [], "scan": []}

    def ours(capture: Capture, how: str) -> None:
        captured = capture.take()
        assert (how, 10) == (captured.how, captured.hashed)

    variants = {
        "git": git.snapshot,
        "hints": lambda: ours(hinted, "hints"),
        "scan": lambda: ours(scanned, "scan"),
    }
    git.snapshot()
    assert hinted.take().root == scanned.take().root
    for _ in range(ROUNDS):
        for name in random.sample(sorted(variants), 3):
            # for each its own ten, and none that another one has left to it
            for capture in (hinted, scanned):
                capture.take()
            git.snapshot()
            edit()
            found[name].append(seconds(variants[name]))
    hinted.close()
    scanned.close()
    store.close()
    what = "snapshot of 100,000 files, 10 changed"
    theirs = "git add -A, write-tree"
    yield Row(f"{what}: by hints ÷ {theirs}", ratios(found["hints"], found["git"]), 0.05)
    yield Row(f"{what}: by a scan ÷ {theirs}", ratios(found["scan"], found["git"]), 1.2)
    for name, values in found.items():
        yield Row(f"{what}: {name}", [1000 * each for each in values], unit="ms")


def first_ones(place: Path) -> Iterator[Row]:
    tree = place / "tree"
    make(tree, 20_000, 10_000, 1000)
    found: dict[str, list[float]] = {"ours": [], "git": []}

    def ours(where: Path) -> None:
        store = Store.open(str(where / "store"))
        capture = Capture(str(tree), store, "first")
        assert 20_000 == capture.take().hashed
        capture.close()
        store.close()

    def theirs(where: Path) -> None:
        Git(where / "git", tree)("add", "-A")

    for number in range(FIRST_ROUNDS):
        for name, work in random.sample([("ours", ours), ("git", theirs)], 2):
            where = place / f"{name}{number}"
            where.mkdir()
            os.sync()  # what the one before has left to be written
            found[name].append(seconds(lambda: work(where)))  # noqa: B023 - called here
            shutil.rmtree(where)
    what = "first snapshot of 20,000 files, 200 MB"
    yield Row(f"{what} ÷ git add -A", ratios(found["ours"], found["git"]), 0.3)
    for name, values in found.items():
        yield Row(f"{what}: {name}", values, unit="s")


def run() -> list[Row]:
    if shutil.which("git") is None:
        raise CannotRun("git is not installed")
    rows = []
    for measured in (next_ones, first_ones):
        with tempfile.TemporaryDirectory() as place:
            rows += measured(Path(place))
    return rows
