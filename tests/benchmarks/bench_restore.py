"""A restore of ten files in a tree of 20,000, beside `git checkout <tree> -- .` of the same ten.

Ours is measured with and without the capture before it, which says what is there to be restored
from: by the kernel's hints, and by a scan. git looks at all files of its index.
"""

from __future__ import annotations

import itertools
import os
import random
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from runner.workspaces.capturing import Capture
from runner.workspaces.objects import ObjectId
from runner.workspaces.restoring import restore
from runner.workspaces.store import Store
from tests.benchmarks.measure import CannotRun, Row, ratios

ROUNDS = 11
DIRECTORIES, IN_EACH, SIZE, EDITED = 1000, 20, 4000, 10


def make(top: Path) -> list[Path]:
    chance, made = random.Random(7), []
    for number in range(DIRECTORIES):
        place = top / f"a{number % 40}" / f"b{number // 40}"
        place.mkdir(parents=True)
        for each in range(IN_EACH):
            path = place / f"file_{each}.py"
            path.write_bytes(chance.randbytes(chance.randint(1, SIZE)).hex().encode())
            made.append(path)
    return made


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


class Git:
    def __init__(self, place: Path, tree: Path) -> None:
        self.environ = {
            **os.environ, "GIT_DIR": str(place), "GIT_WORK_TREE": str(tree),
            "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull,
        }  # fmt: skip
        self.tree = tree
        self("init", "--quiet")
        self("add", "-A")
        self.first = self("write-tree").strip()

    def __call__(self, *arguments: str) -> str:
        argv = ["git", *arguments]
        done = subprocess.run(
            argv, env=self.environ, cwd=self.tree, check=True, stdout=subprocess.PIPE, text=True
        )
        return done.stdout

    def restore(self) -> None:
        self("checkout", "--quiet", self.first, "--", ".")


def compare(place: Path) -> list[Row]:  # noqa: C901 - what it measures, in one place
    ours, theirs = place / "workspace/tree", place / "git-tree"
    files = [path.relative_to(ours) for path in make(ours)]
    shutil.copytree(ours, theirs)
    store, git = Store.open(str(place / "store")), Git(place / "git", theirs)
    hinted = Capture(str(ours), store, "hinted")
    scanned = Capture(str(ours), store, "scanned", watch=False)
    first = hinted.take().root
    assert first == scanned.take().root
    chance, numbers = random.Random(3), itertools.count()
    found: dict[str, list[float]] = {}

    def edit(tree: Path) -> None:
        for path in chance.sample(files, EDITED):
            (tree / path).write_bytes(b"edited %d" % next(numbers))

    def back(before: ObjectId) -> None:
        restore(store, "w", str(ours), before, first)

    def measure(name: str) -> float:
        if name == "git":
            edit(theirs)
            return seconds(git.restore)
        for capture in (hinted, scanned):
            assert capture.take().root == first
        edit(ours)
        if name == "alone":
            before = hinted.take().root
            return seconds(lambda: back(before))
        capture = hinted if name == "hints" else scanned
        return seconds(lambda: back(capture.take().root))

    for number in range(-1, ROUNDS):
        for name in random.sample(["git", "alone", "hints", "scan"], 4):
            took = measure(name)
            if number >= 0:
                found.setdefault(name, []).append(took)
    hinted.close()
    scanned.close()
    store.close()
    return rows(found)


def rows(found: dict[str, list[float]]) -> list[Row]:
    what = f"restore of {EDITED} files of {DIRECTORIES * IN_EACH:,}"
    return [
        Row(f"{what} ÷ git checkout <tree> -- .", ratios(found["alone"], found["git"]), 0.2),
        Row(f"{what}, captured by hints ÷ it", ratios(found["hints"], found["git"]), 0.2),
        Row(f"{what}, captured by a scan ÷ it", ratios(found["scan"], found["git"])),
        *(Row(f"{what}: {name}", [1000 * t for t in found[name]], unit="ms") for name in found),
    ]


def run() -> list[Row]:
    if shutil.which("git") is None:
        raise CannotRun("there is no git program")
    with tempfile.TemporaryDirectory() as place:
        return compare(Path(place))
