"""A batch in the overlays of somebody who is not root: each attempt's holder goes with it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import trio

from runner.jobs.batch import run_plan
from runner.jobs.prepare import prepare
from runner.jobs.progress import AttemptEnded, Progress
from runner.runtime import open_runner

Seen = dict[str, Any]
BATCH = """\
name = "held"
id = "j{{ index }}"
prompt = "cat d/file; echo {{ id }} > d/file; touch added"
setup = ["test $(cat d/file) = old"]
verify = ["test $(cat d/file) = {{ id }}"]
keep = "always"
limits.concurrency = 2
workspace = {copy = "base", isolation = "workspace"}
data.rows = [{}, {}, {}]
"""


async def use(top: str, seen: Seen, _: Callable[[], None]) -> None:
    seen["trouble"] = []

    def see(told: Progress) -> None:
        if isinstance(told, AttemptEnded):
            seen["trouble"].append(told.error_text)

    async with open_runner(state=f"{top}/state") as r:
        plan = prepare(f"{top}/b.toml")
        report = await run_plan(plan, r, f"{top}/out", observer=see)
        seen["counts"], project = dict(report.counts), r.project(f"{top}/base")
        kept = await project.list()
        seen["names"] = [each.name for each in kept]
        if {each.way for each in kept} != {"overlay"}:
            seen["skip"] = await project.try_making()
            return
        seen["outside"] = [os.listdir(each.tree) for each in kept]
        seen["read"] = await (await project.get(kept[1].name)).read("d/file")
    with open(f"{top}/out/patches/j1.patch") as file:
        seen["patch"] = [line for line in file.read().splitlines() if line[0] in "+-"]


def test_it_works_and_keeps_as_that_of_root(as_somebody, top: Path, tmp_path: Path) -> None:
    for place in (tmp_path, top):
        (place / "base/d").mkdir(parents=True, exist_ok=True)
        (place / "base/d/file").write_text("old\n")
        (place / "b.toml").write_text(BATCH)
        for each in (place, *place.rglob("*")):  # what was made since it got an owner
            os.chown(each, top.stat().st_uid, top.stat().st_gid)
    trio.run(use, str(tmp_path), {}, lambda: None)  # what is loaded late cannot be read later

    seen = as_somebody(use)

    assert (seen["counts"], seen["trouble"]) == ({"ok": 3}, [])
    assert seen["names"] == ["held.j1.1", "held.j2.1", "held.j3.1"]
    assert seen["outside"] == [[], [], []]
    assert seen["read"] == "j2\n"
    assert seen["patch"] == ["--- a/d/file", "+++ b/d/file", "-old", "+j1"]
