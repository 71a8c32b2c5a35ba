"""A whole batch in a process of its own, killed at random moments and started again."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time

import pytest

MAIN = """
import sys, trio
from runner.jobs.batch import run_plan
from runner.jobs.prepare import prepare
from runner.runtime import open_runner

async def main(file, output, state):
    plan = prepare(file, output=output)
    async with open_runner(state=state) as runner:
        report = await run_plan(plan, runner, output)
    print(dict(report.counts))

trio.run(main, *sys.argv[1:])
"""

BATCH = """\
name = "killed"
id = "{{ row.name }}"
prompts = [
    "echo $$ $(date +%N) > /dev/null; echo {{ id }} > made; sleep 0.0{{ index % 7 }}",
    "echo more >> made; {% if index % 5 == 0 %}exit 4{% endif %}",
]
verify = ["{% if index % 4 == 0 %}test {{ attempt }} = 2{% else %}grep -q more made{% endif %}"]
setup = ["touch prepared"]
workspace.copy = "src"
limits.concurrency = 3
retry.verify = 1
"""

RANDOM = {"durations", "session_id", "conversation", "started", "ended", "turns", "checks"}


def comparable(out):
    """The results, but for durations, times and ids."""
    with open(os.path.join(out, "results.jsonl")) as file:
        results = [json.loads(line) for line in file]
    for result in results:
        turns = [(turn["ok"], turn["error"], turn["exit_code"]) for turn in result["turns"]]
        checks = [(check["command"], check["ok"]) for check in result["checks"]]
        result |= {"turns": turns, "checks": checks}
        for key in RANDOM - {"turns", "checks"}:
            del result[key]
    return results


def contents(directory):
    found = {}
    for at, _, names in os.walk(directory):
        for name in names:
            with open(os.path.join(at, name), "rb") as file:
                found[os.path.relpath(os.path.join(at, name), directory)] = file.read()
    return found


def processes_in(directory):
    """Processes whose working directory is inside a directory."""
    found = []
    for pid in filter(str.isdecimal, os.listdir("/proc")):
        try:
            cwd = os.readlink(f"/proc/{pid}/cwd")
        except OSError:
            continue
        if cwd.startswith(str(directory)):
            found.append(int(pid))
    return found


@pytest.mark.timeout(400)
def test_a_batch_killed_at_random_moments_ends_with_the_results_of_an_undisturbed_run(tmp_path):
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "file").write_text("content\n")
    rows = "".join(f'[[data.rows]]\nname = "j{n:02}"\n' for n in range(1, 31))
    (tmp_path / "b.toml").write_text(BATCH + rows)

    def run(out):
        argv = [sys.executable, "-c", MAIN, "b.toml", str(out), str(tmp_path / "state")]
        return subprocess.Popen(argv, cwd=tmp_path, stdout=subprocess.PIPE, text=True)

    began = time.monotonic()
    with run(tmp_path / "calm") as process:
        assert process.wait() == 0
    calm = time.monotonic() - began
    chance = random.Random(2)
    kills = rounds = 0
    while kills < 20:  # a batch that is done is begun anew: every kill meets one at work
        rounds += 1
        out = tmp_path / f"out-{rounds}"
        while True:
            with run(out) as process:
                try:
                    process.wait(chance.uniform(0.2, 0.3 + calm / 3) if kills < 20 else None)
                except subprocess.TimeoutExpired:
                    process.send_signal(signal.SIGKILL)
                    kills += 1
                process.wait()
                assert process.returncode in (0, -signal.SIGKILL)
            if process.returncode == 0:
                break

        assert comparable(out) == comparable(tmp_path / "calm")
        assert contents(out / "patches") == contents(tmp_path / "calm" / "patches")
        assert contents(out / "work") == contents(tmp_path / "calm" / "work")
        assert processes_in(tmp_path) == []
