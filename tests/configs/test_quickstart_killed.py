"""The quickstart batch, killed by SIGKILL at twenty random moments and started again each time.

A moment is a fact, not a time: the n-th change of what can be seen of a run from outside, which is
its marker, the files in its output directory, and what it has said. The seed is fixed; what runs
beside it on the machine is not, so that the moments differ from machine to machine.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

BATCHES = Path(__file__).resolve().parents[2] / "configs/batches"
KILLS = 20
BOUND = 10.0  # for what a killed run leaves to be gone
# What no two runs have in common; and how long a test took is part of what it printed.
PASSING = {"durations", "duration", "session_id", "conversation", "started", "ended"}
SECONDS = re.compile(r"in \d+\.\d+s")

Files = dict[str, bytes]


def comparable(value: Any) -> Any:
    """A result, but for what passes."""
    if isinstance(value, dict):
        return {name: comparable(part) for name, part in value.items() if name not in PASSING}
    if isinstance(value, list):
        return [comparable(part) for part in value]
    return SECONDS.sub("in a while", value) if isinstance(value, str) else value


def records(data: str) -> list[dict[str, Any]]:
    """The whole lines; the last one of a killed run may be cut."""
    return [json.loads(line) for line in data.splitlines(keepends=True) if line.endswith("\n")]


class Quickstart:
    """A copy of the batch with its data, a home, and one output directory after the other."""

    def __init__(self, place: Path, template: Any) -> None:
        shutil.copytree(BATCHES, place / "batches")
        self.place = place
        self.template = template
        self.markers = place / "home/.local/state/runner/runs"
        self.markers.mkdir(parents=True)
        self.run_ids: set[str] = set()

    @contextlib.contextmanager
    def start(self, name: str) -> Iterator[Any]:
        """Run the batch; what it says is added to a file. Its end is waited for."""
        kept = {
            name: value
            for name, value in os.environ.items()
            if name in ("PATH", "TMPDIR") or name.startswith("COVERAGE")
        }
        env = {**kept, "HOME": str(self.place / "home"), "LANG": "C.UTF-8"}
        args = "batch", "run", "batches/quickstart.toml", "-o", name, "--json"
        with open(self.place / f"{name}.said", "ab") as said, open(os.devnull, "r+b") as null:
            streams = null.fileno(), said.fileno(), null.fileno()
            process = self.template.fork(args, None, self.place, env, streams)
        try:
            yield process
        except BaseException:
            process.send_signal(signal.SIGKILL)
            raise
        finally:
            process.wait()

    def seen(self, name: str) -> list[tuple[str, int]]:
        """What can be seen from outside: names, and the sizes of files."""
        out = self.place / name
        self.run_ids.update(os.listdir(self.markers))
        found = [(f"{name}.said", (self.place / f"{name}.said").stat().st_size)]
        found += [(run_id, 0) for run_id in os.listdir(self.markers)]
        for directory in (out, out / ".runner", out / "work", out / "patches", out / "transcripts"):
            try:
                with os.scandir(directory) as entries:
                    found += [
                        (entry.path, entry.stat().st_size if entry.is_file() else 0)
                        for entry in entries
                    ]
            except FileNotFoundError:
                continue  # not made yet, or replaced while we looked
        return sorted(found)

    def changes(self, name: str, process: Any) -> Iterator[int]:
        """Count the changes of what can be seen, until the process has ended."""
        before, count = self.seen(name), 0
        while process.poll() is None:
            now = self.seen(name)
            if now != before:
                before, count = now, count + 1
                yield count
            time.sleep(0.001)

    def results(self, name: str) -> list[Any]:
        return [
            comparable(each) for each in records((self.place / name / "results.jsonl").read_text())
        ]

    def told(self, name: str) -> list[str]:
        """The ids of all results that were told, over all runs."""
        lines = records((self.place / f"{name}.said").read_text())
        return [line["id"] for line in lines if line["schema"].startswith("runner.result/")]

    def patches(self, name: str) -> Files:
        directory = self.place / name / "patches"
        return {file.name: file.read_bytes() for file in directory.iterdir()}

    def counts(self, name: str) -> dict[str, int]:
        counts: dict[str, int] = json.loads((self.place / name / "summary.json").read_text())[
            "counts"
        ]
        return counts

    def processes(self) -> list[int]:
        """What carries the id of a run of ours.

        Commands do in their environment; guardian and keepers, whose own is empty, as an argument.
        """
        ours = [run_id.encode() for run_id in self.run_ids]
        found = []
        for pid in filter(str.isdecimal, os.listdir("/proc")):
            try:
                text = Path(f"/proc/{pid}/environ").read_bytes()
                text += Path(f"/proc/{pid}/cmdline").read_bytes()
            except OSError:
                continue
            if any(run_id in text for run_id in ours):
                found.append(int(pid))
        return found


def until(fact: Callable[[], object]) -> None:
    give_up = time.monotonic() + BOUND
    while not fact():
        assert time.monotonic() < give_up
        time.sleep(0.005)


@pytest.fixture
def quickstart(tmp_path: Path, template: Any) -> Quickstart:
    if shutil.which("git") is None:
        pytest.skip("needs git: install it")
    if not sys.platform.startswith("linux"):
        pytest.skip("needs /proc, which Linux has")
    return Quickstart(tmp_path, template)


@pytest.mark.timeout(300)
def test_killed_twenty_times_it_ends_with_the_results_of_an_undisturbed_run(
    quickstart: Quickstart,
) -> None:
    with quickstart.start("calm") as process:
        whole = max(quickstart.changes("calm", process))
    assert process.returncode == 1  # one job fails honestly
    assert quickstart.processes() == []
    chance = random.Random(20)
    kills = batches = at_work = 0
    while kills < KILLS:  # a batch that is done is begun anew, so that each kill meets one at work
        batches += 1
        name, killed = f"out-{batches}", True
        while killed:
            moment = chance.randint(1, whole * 2 // 5) if kills < KILLS else whole * 100
            killed = False
            with quickstart.start(name) as process:
                for count in quickstart.changes(name, process):
                    if count == moment:
                        at_work += len(quickstart.processes()) > 0
                        process.send_signal(signal.SIGKILL)
                        kills, killed = kills + 1, True
                        break
            assert process.returncode == (-signal.SIGKILL if killed else 1)
            until(lambda: not quickstart.processes())

        assert quickstart.results(name) == quickstart.results("calm")
        assert quickstart.patches(name) == quickstart.patches("calm")
        assert quickstart.counts(name) == quickstart.counts("calm") == {"ok": 7, "failed": 1}
        told = quickstart.told(name)
        assert len(told) == len(set(told))  # no job is counted twice
    assert at_work > KILLS // 5  # it was worth it: programs were running
    assert os.listdir(quickstart.markers) == []
