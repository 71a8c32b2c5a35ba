"""The quickstart batch, as the README's first line runs it; the same with the real claude."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
JOBS = "cents totals best-discount leap-years slugs empty-shelves rename tax".split()

needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="needs git: install it")


def _runner(home: Path, *args: str, **env: str) -> subprocess.CompletedProcess[str]:
    kept = {
        name: value
        for name, value in os.environ.items()
        if name in ("PATH", "TMPDIR") or name.startswith("COVERAGE")
    }
    home.mkdir(exist_ok=True)
    return subprocess.run(
        [sys.executable, "-m", "runner", *args],
        cwd=REPOSITORY,
        env={**kept, "HOME": str(home), "LANG": "C.UTF-8", **env},
        capture_output=True,
        check=False,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=110,
    )


def _results(out: Path) -> dict[str, dict[str, object]]:
    lines = (out / "results.jsonl").read_text().splitlines()
    results = [json.loads(line) for line in lines]
    return {result["id"]: result for result in results}


@needs_git
def test_seven_jobs_are_verified_one_after_a_second_attempt_and_one_fails(tmp_path) -> None:
    out = tmp_path / "out"

    ended = _runner(
        tmp_path / "home", "batch", "run", "configs/batches/quickstart.toml", "-o", str(out)
    )

    results = _results(out)
    assert (ended.returncode, ended.stderr) == (1, "")
    assert list(results) == JOBS
    assert {name: result["state"] for name, result in results.items()} == {
        **dict.fromkeys(JOBS, "ok"),
        "tax": "failed",
    }
    assert {name for name, result in results.items() if result["attempts"] != 1} == {"leap-years"}
    assert results["leap-years"]["attempt_states"] == ["unverified", "ok"]
    assert "nobody has told me the rate for books" in results["tax"]["error_text"]
    assert results["rename"]["files"]["renamed"] == [["till/util.py", "till/text.py"]]
    assert "quickstart: 7 ok, 1 failed" in ended.stdout


@needs_git
def test_every_patch_applies_to_the_project_and_makes_its_test_pass(tmp_path) -> None:
    out = tmp_path / "out"
    _runner(tmp_path / "home", "batch", "run", "configs/batches/quickstart.toml", "-o", str(out))
    project = tmp_path / "project"
    shutil.copytree(REPOSITORY / "configs/batches/quickstart/project", project)

    for name, result in _results(out).items():
        patch = out / str(result["patch"])
        if name != "tax":
            subprocess.run(["git", "apply", patch], cwd=project, check=True)

    tests = [sys.executable, "-B", "-m", "unittest", "-q"]
    done = subprocess.run(tests, cwd=project, check=False, capture_output=True, text=True)
    assert done.returncode == 1
    failed = [line for line in done.stderr.splitlines() if line.startswith(("FAIL:", "ERROR:"))]
    assert failed
    assert all("test_tax" in line for line in failed)


@needs_git
@pytest.mark.real_agents
def test_the_same_with_the_real_claude_and_no_key(tmp_path, claude_program, model_server) -> None:
    out = tmp_path / "out"

    ended = _runner(
        tmp_path / "home",
        *("batch", "run", "configs/batches/claude-offline.toml", "-o", str(out)),
        *("-c", f"agent.env.ANTHROPIC_BASE_URL={model_server.url}"),
        *("-c", f"agent.program={claude_program}"),
    )

    results = _results(out)
    assert ended.returncode == 9, ended.stderr
    assert {name: result["state"] for name, result in results.items()} == {
        **dict.fromkeys(JOBS, "ok"),
        "tax": "unverified",
    }
    assert results["leap-years"]["attempts"] == 2
    assert results["cents"]["final_message"] == "cents: I have run the script."
