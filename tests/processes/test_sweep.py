"""Sweeps by tag: what dead runs left is found, and nothing else is touched."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from runner.errors import ConfigError
from runner.processes import sweep
from runner.processes.sweep import RunMarker, sweep_run, sweep_stale_runs

Spawn = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def spawn(token: str) -> Iterator[Spawn]:
    """Start processes of nobody's run, with a tag or without."""
    started = []

    def start(tag: str | None, script: str = "") -> subprocess.Popen[bytes]:
        env = {"PATH": os.environ["PATH"], "A": "RUNNER_RUN=" + token}
        if tag is not None:
            env["RUNNER_RUN"] = tag
        process = subprocess.Popen(
            ["sh", "-c", f"{script} echo up; exec sleep {token}"], env=env, stdout=subprocess.PIPE
        )
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        return process

    yield start

    for process in started:
        process.kill()
        process.communicate()


def test_only_what_carries_exactly_the_tag_is_ended(spawn: Spawn, token: str) -> None:
    run = "run-" + token
    mine = [spawn(run), spawn(run, f"setsid sleep {token} &")]
    others = [spawn(None), spawn(run + "1"), spawn("x" + run), spawn("")]

    assert sweep_run(run) == 3
    assert [process.wait(10) for process in mine] == [-9, -9]
    assert [process.poll() for process in others] == [None] * 4
    assert sweep_run(run) == 0


def test_without_proc_nothing_is_found(spawn: Spawn, token: str, monkeypatch: Any) -> None:
    process = spawn("run-" + token)
    monkeypatch.setattr(sweep, "PROC", "/no-proc")

    assert sweep_run("run-" + token) == 0
    assert process.poll() is None


def test_what_is_below_a_spared_process_is_left_alone(spawn: Spawn, token: str) -> None:
    process = spawn("run-" + token)

    assert sweep_run("run-" + token, spare={process.pid}) == 0
    assert sweep_run("run-" + token, spare={os.getpid()}) == 0
    assert process.poll() is None
    assert sweep_run("run-" + token, spare={None, 999999999}) == 1


def test_of_a_run_only_what_has_the_other_tags_as_well_may_be_ended(
    spawn: Spawn, token: str
) -> None:
    run = "run-" + token
    mine, other, none = (
        spawn(run, f"export RUNNER_SESSION={session};" if session else "")
        for session in ("a.b", "a.bc", "")
    )
    mine_too = spawn(run, f"env RUNNER_SESSION=a.b sleep {token} &")

    tags = {"RUNNER_SESSION": "a.b"}
    sweep_run(run, tags=tags)
    assert -9 == mine.wait(10)
    assert [None, None, None] == [process.poll() for process in (other, none, mine_too)]
    assert sweep_run(run, tags=tags) == 0
    assert sweep_run(run) == 3


def test_we_are_never_swept_ourselves(token: str) -> None:
    run = "run-" + token
    script = f"from runner.processes.sweep import sweep_run; print(sweep_run({run!r}))"
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "RUNNER_RUN": run},
        capture_output=True,
        check=True,
    )

    assert done.stdout == b"0\n"


@pytest.mark.parametrize("run_id", ["", "a/b", "..", "a b", "é", "x" * 101])
def test_a_run_id_is_a_plain_name(run_id: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        sweep_run(run_id)
    with pytest.raises(ConfigError):
        RunMarker(tmp_path, run_id)


def test_dead_runs_are_swept_and_living_ones_are_not(
    spawn: Spawn, token: str, tmp_path: Path
) -> None:
    dead, living = "dead-" + token, "living-" + token
    left = spawn(dead)
    there = spawn(living)
    marker = RunMarker(tmp_path, living)
    hold = (
        "import sys, os; from runner.processes.sweep import RunMarker; m = RunMarker(*sys.argv[1:])"
    )
    killed = subprocess.Popen(
        [sys.executable, "-c", hold + "; print('up', flush=True); input()", str(tmp_path), dead],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert killed.stdout is not None
    assert killed.stdout.readline() == b"up\n"
    assert sweep_stale_runs(tmp_path) == {}
    killed.kill()
    killed.communicate()

    assert sweep_stale_runs(tmp_path) == {dead: 1}
    assert left.wait(10) == -9
    assert there.poll() is None
    assert os.listdir(tmp_path / "runs") == [living]
    marker.close()
    marker.close()
    assert os.listdir(tmp_path / "runs") == []
    assert sweep_stale_runs(tmp_path) == {}


def test_a_run_is_alive_once_only(tmp_path: Path) -> None:
    marker = RunMarker(tmp_path, "one")
    with pytest.raises(ConfigError, match="alive"):
        RunMarker(tmp_path, "one")
    marker.close()
    RunMarker(tmp_path, "one").close()


def test_a_sweep_never_takes_a_marker_in_the_moment_in_which_it_is_made(tmp_path: Path) -> None:
    def make(number: int) -> str:
        marker = RunMarker(tmp_path, f"run-{number}")
        swept = sweep_stale_runs(tmp_path)
        marker.close()
        return str(swept or "")

    with ThreadPoolExecutor(8) as threads:
        assert {*threads.map(make, range(400))} == {""}


def test_a_state_directory_that_cannot_be_used_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(ConfigError, match="cannot be made"):
        RunMarker(tmp_path / "file", "one")
    assert sweep_stale_runs(tmp_path / "file") == {}


def test_strange_files_among_the_markers_are_left_alone(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    runs.mkdir()
    (runs / "not.a.run").touch()
    (runs / "link").symlink_to(tmp_path)

    assert sweep_stale_runs(tmp_path) == {}
    assert sorted(os.listdir(runs)) == ["link", "not.a.run"]
