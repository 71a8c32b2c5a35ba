"""What ten snapshots take on the disk, beside what git's pack of the same ten commits takes.

In each after the first, ten files have another line. Of real files (the standard library) and of
generated ones, of which each is another. For information, with a hundred: git keeps differences,
and we keep each content whole. The store is measured as its file is, closed; git's objects after
`git gc`, which spends many times longer on them.
"""

from __future__ import annotations

import random
import shutil
import sysconfig
import tempfile
from collections.abc import Iterator
from pathlib import Path

from runner.workspaces.capturing import Capture
from runner.workspaces.store import Store
from tests.benchmarks.bench_snapshots import Git, make
from tests.benchmarks.measure import CannotRun, Row

SNAPSHOTS = 10


def copy_library(top: Path) -> list[Path]:
    library = Path(sysconfig.get_path("stdlib"))
    leave_out = shutil.ignore_patterns("site-packages", "__pycache__", "*.so", "*.a", "config-*")
    shutil.copytree(library, top, ignore=leave_out)
    return sorted(path for path in top.rglob("*.py") if not path.is_symlink())


def edit(path: Path, chance: random.Random) -> None:
    lines = path.read_bytes().split(b"\n")
    lines[chance.randrange(len(lines))] = b"changed %d here" % chance.randrange(10**9)
    path.write_bytes(b"\n".join(lines))


def commit(git: Git) -> None:
    git("add", "-A")
    git("-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "gc.auto=0", "commit", "-qm", "one")


def sizes(place: Path, files: list[Path], edited: int) -> tuple[float, float]:
    """Of ours and theirs, in MB."""
    tree, chance = place / "tree", random.Random(3)
    store, git = Store.open(str(place / "store" / "store.db")), Git(place / "git", tree)
    capture = Capture(str(tree), store, "ten", watch=False)
    for number in range(SNAPSHOTS):
        if number:
            for path in chance.sample(files, edited):
                edit(path, chance)
        capture.take()
        commit(git)
    capture.close()
    store.close()
    git("gc", "--quiet")
    ours = sum(each.stat().st_size for each in (place / "store").iterdir())
    objects = (place / "git" / "objects").rglob("*")
    return ours / 1e6, sum(each.stat().st_size for each in objects if each.is_file()) / 1e6


def run() -> list[Row]:
    if shutil.which("git") is None:
        raise CannotRun("git is not installed")
    return [
        row
        for what, edited, target in (
            ("5,000 generated files", 10, 1.2),
            ("the standard library", 10, 1.2),
            ("the standard library", 100, None),
        )
        for row in compared(what, edited, target)
    ]


def compared(what: str, edited: int, target: float | None) -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as place:
        tree = Path(place, "tree")
        made = copy_library(tree) if "library" in what else make(tree, 5000, 10_000, 250)
        ours, theirs = sizes(Path(place), made, edited)
    of = f"ten snapshots of {what}, {edited} edits each"
    yield Row(f"{of} ÷ git, packed", [ours / theirs], target)
    yield Row(f"{of}: ours", [ours], unit="MB")
