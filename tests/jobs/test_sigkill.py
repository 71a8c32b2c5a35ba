"""A whole batch in a process of its own, killed at random moments and started again."""

from __future__ import annotations

import json
import os
import random
import select
import signal
import subprocess
import sys
import time

import pytest
import trio

from runner.runtime import open_runner
from runner.workspaces.mounts import mounted_in

# Everything is imported once, and a process forked for each line: one that is to be killed is at work.
MAIN = """
import json, os, sys, trio
from runner.jobs.batch import run_plan
from runner.jobs.prepare import prepare
from runner.runtime import open_runner

async def main(file, output, state):
    plan = prepare(file, output=output)
    async with open_runner(state=state) as runner:
        await run_plan(plan, runner, output)

for line in sys.stdin:
    pid = os.fork()
    if pid == 0:
        os.chdir(sys.argv[1])
        trio.run(main, *json.loads(line))
        sys.exit()
    print(pid, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
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


@pytest.fixture
def template(tmp_path):
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "bufsize": 0}
    with subprocess.Popen([sys.executable, "-c", MAIN, tmp_path], **pipes) as process:
        yield process
        process.stdin.close()


@pytest.fixture
def run(tmp_path, template):
    def run(out, kill_within=None):
        """Run it, and kill it after so many seconds; how it ended."""
        asked = ["b.toml", str(out), str(tmp_path / "state")]
        template.stdin.write(json.dumps(asked).encode() + b"\n")
        pid = int(template.stdout.readline())
        if not select.select([template.stdout], [], [], kill_within)[0]:
            os.kill(pid, signal.SIGKILL)
        return int(template.stdout.readline())

    return run


@pytest.mark.timeout(400)
def test_a_batch_killed_at_random_moments_ends_with_the_results_of_an_undisturbed_run(
    tmp_path, run
):
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "file").write_text("content\n")
    rows = "".join(f'[[data.rows]]\nname = "j{n:02}"\n' for n in range(1, 31))
    (tmp_path / "b.toml").write_text(BATCH + rows)

    chance = random.Random(2)
    kills = rounds = 0
    began = time.monotonic()
    assert run(tmp_path / "calm") == 0
    calm = time.monotonic() - began
    while kills < 20:  # a batch that is done is begun anew: every kill meets one at work
        rounds += 1
        out = tmp_path / f"out-{rounds}"
        while code := run(out, chance.uniform(0.02, calm / 6) if kills < 20 else None):
            assert code == -signal.SIGKILL
            kills += 1

        assert comparable(out) == comparable(tmp_path / "calm")
        assert contents(out / "patches") == contents(tmp_path / "calm" / "patches")
        assert contents(out / "work") == contents(tmp_path / "calm" / "work")
        assert processes_in(tmp_path) == []


KEPT = """\
name = "killed"
id = "{{ row.name }}"
prompt = "{% if index % 3 == 0 and attempt == 1 %}exit 1; {% endif %}echo {{ id }} > made"
setup = ["touch prepared"]
verify = ["test {{ index % 4 }} != 0"]
keep = "changed"
limits.concurrency = 3
retry.agent = 1
workspace = {copy = "src", isolation = "workspace"}
"""


@pytest.mark.timeout(400)
def test_a_batch_in_workspaces_killed_at_random_moments_keeps_what_it_should_and_nothing_else(
    tmp_path, run, killing
):
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "file").write_text("content\n")
    rows = "".join(f'[[data.rows]]\nname = "j{n:02}"\n' for n in range(1, 7))
    (tmp_path / "b.toml").write_text(KEPT + rows)

    chance, kills = random.Random(5), 0
    assert run(tmp_path / "calm") == 0
    # Later and later: on a slow machine, too, some meet attempts at work.
    while run(tmp_path / "out", chance.uniform(0.05, 0.2 + 0.2 * kills) if kills < 8 else None):
        kills += 1

    assert kills
    results = comparable(tmp_path / "out")
    names = {result.pop("workspace_name") for result in results}
    for result in (calmly := comparable(tmp_path / "calm")):
        names.add(result.pop("workspace_name"))
    for result in (*results, *calmly):
        del result["workspace"]
    assert results == calmly
    assert contents(tmp_path / "out" / "patches") == contents(tmp_path / "calm" / "patches")
    assert trio.run(left, tmp_path) == (names, True, True)
    assert len(names) == 12
    assert processes_in(tmp_path) == []
    assert mounted_in(str(tmp_path)) == []


async def left(path):
    """The workspaces that are there; whether only they have snapshots; whether all is well."""
    async with open_runner(state=path / "state") as runner:
        project = runner.project(path / "src")
        found = await project.list()
        snapshots = {each.workspace for each in await project.snapshots()}
        is_well = not (await project.check()).problems and (await project.audit.verify()).ok
        return {each.name for each in found}, snapshots == {each.id for each in found}, is_well
