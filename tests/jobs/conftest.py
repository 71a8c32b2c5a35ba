from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import trio

from runner.jobs.batch import run_plan
from runner.jobs.prepare import prepare
from runner.runtime import open_runner


class Shop:
    """A directory with a batch file in it, and an output directory beside it."""

    def __init__(self, root):
        self.root = root
        self.out = root / "out"
        self.told = []

    def write(self, files):
        for name, content in files.items():
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else content.encode())

    def plan(self, text, *overrides, **options):
        (self.root / "b.toml").write_text(text)
        return prepare(self.root / "b.toml", overrides, **options)

    async def run(self, text, *overrides, select=None, **options):
        """Carry a batch out with a runner of its own; everything told is kept in `told`."""
        plan = self.plan(text, *overrides, select=select)

        def tell(told):
            self.told.append(told)
            if "observer" in options:
                options["observer"](told)

        with trio.fail_after(60):
            async with open_runner(state=self.root / "state") as runner:
                return await run_plan(plan, runner, self.out, **{**options, "observer": tell})

    def results(self):
        lines = (self.out / "results.jsonl").read_text().splitlines()
        return {each["id"]: each for each in map(json.loads, lines)}

    def transcript(self, job):
        lines = (self.out / "transcripts" / f"{job}.jsonl").read_text().splitlines()
        return [json.loads(line) for line in lines]

    def work(self):
        """What is left of workspaces."""
        found = self.out / "work"
        return sorted(os.listdir(found)) if found.exists() else []

    def told_of(self, kind):
        return [each for each in self.told if isinstance(each, kind)]


@pytest.fixture
def shop(tmp_path):
    return Shop(Path(os.path.realpath(tmp_path)))
