"""A workspace of 20,000 files (200 MB): what it costs to make one, against `git worktree add`.

The base is a git repository with all of its files committed, so both have the same to do. Each round
makes one by each way that works here, in shuffled order, on the same disk; what was made is taken
away in between, and written is what there is to write, which is no part of the figures.
"""

from __future__ import annotations

import os
import random
import resource
import shutil
import subprocess
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

from runner.workspaces.attaching import attach
from runner.workspaces.making import make
from runner.workspaces.probing import probe
from runner.workspaces.removing import remove
from runner.workspaces.ways import Way
from tests.benchmarks.measure import CannotRun, Row, ratios

DIRECTORIES = 1000
FILES = 20
SIZE = 9_856
ROUNDS = 3


def prepare(base: Path) -> None:
    for one in range(DIRECTORIES):
        place = base / f"a{one % 10}" / f"b{one // 10 % 10}" / f"directory{one}"
        place.mkdir(parents=True)
        for two in range(FILES):
            (place / f"file_{two}.py").write_bytes(os.urandom(SIZE))
    git(base, "init", "-q")
    git(base, "add", "-A")
    git(base, "commit", "-q", "-m", "base")


def git(base: Path, *words: str) -> None:
    names = ("-c", "user.name=n", "-c", "user.email=n@example.com", "-c", "gc.auto=0")
    subprocess.run(["git", *names, "-C", str(base), *words], check=True)


def cpu() -> float:
    """Seconds of processor time, ours and that of programs that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def run() -> list[Row]:
    if shutil.which("git") is None:
        raise CannotRun("needs git: apt-get install git")
    with tempfile.TemporaryDirectory(prefix="runner-making-") as top:
        base, workspaces = Path(top, "base"), Path(top, "workspaces")
        prepare(base)
        ways = [each.way for each in probe(str(base), str(workspaces)) if each.works]
        took: dict[tuple[str, str], list[float]] = defaultdict(list)
        for number in range(-1, ROUNDS):
            for name in random.sample(["git", *ways], 1 + len(ways)):
                os.sync()  # what the one before has written is not to be waited for by this one
                start = time.perf_counter(), cpu()
                undo = made(base, workspaces / f"{name}{number}", name)
                ends = time.perf_counter(), cpu()
                undo()
                if number >= 0:
                    took["time", name].append(ends[0] - start[0])
                    took["CPU", name].append(ends[1] - start[1])
    rows = []
    for way in ways:
        target = 0.05 if way is Way.OVERLAY else 1.2
        text = f"20,000 files by {way} ÷ git worktree add"
        rows.append(Row(f"time: {text}", ratios(took["time", way], took["time", "git"]), target))
        rows.append(Row(f"CPU: {text}", ratios(took["CPU", way], took["CPU", "git"])))
        rows.append(Row(f"time: 20,000 files by {way}", took["time", way], unit="s"))
    return rows


def made(base: Path, place: Path, way: str) -> Callable[[], None]:
    """Make one, ready for use; how it is taken away."""
    if way == "git":
        git(base, "worktree", "add", "-q", "--detach", str(place))
        return lambda: git(base, "worktree", "remove", "--force", str(place))
    attached = attach(str(place), make(str(base), str(place), way=Way(way)).way, str(base))

    def undo() -> None:
        attached.detach()
        remove(str(place))

    return undo
