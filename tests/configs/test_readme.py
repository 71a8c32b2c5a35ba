"""What the README promises: its example runs, its tables name what there is."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import attrs
import pytest

from runner.cli.exits import TABLE
from runner.jobs.spec import Batch

REPOSITORY = Path(__file__).resolve().parents[2]
README = (REPOSITORY / "README.md").read_text()


def _block(name: str) -> str:
    found = re.search(rf"<!-- {name} -->\n```\w+\n(.*?)```\n<!-- /{name} -->", README, re.DOTALL)
    assert found is not None
    return found[1]


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git: install it")
def test_the_embedding_example_runs(tmp_path) -> None:
    (tmp_path / "configs").symlink_to(REPOSITORY / "configs")
    (tmp_path / "example.py").write_text(_block("example"))

    done = subprocess.run(
        [sys.executable, "-W", "error", "example.py"],
        cwd=tmp_path,
        env={**os.environ, "HOME": str(tmp_path), "XDG_STATE_HOME": str(tmp_path / "state")},
        capture_output=True,
        check=False,
        text=True,
        timeout=100,
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "{'ok': 7, 'failed': 1}\n"
    assert (tmp_path / "work" / "shop" / "two.txt").read_text() == "one\n"


def test_every_key_of_a_batch_file_is_in_the_table() -> None:
    rows = re.findall(r"^\| (`.*?) \|", README, re.MULTILINE)
    named = {name for row in rows for name in re.findall(r"`(\w+)`", row)}

    assert {field.name for field in attrs.fields(Batch)} <= named


def test_every_exit_code_is_in_the_table() -> None:
    section = README[README.index("| exit code | |") : README.index("## Batch files")]

    for codes, _ in TABLE:
        for code in codes.split(", "):
            assert re.search(rf"^\| .*\b{code}\b.* \|", section, re.MULTILINE), code


def test_every_file_that_is_named_is_there() -> None:
    links = re.findall(r"\]\((?!https:)([^)]+)\)", README)

    assert len(links) >= 6
    assert [link for link in links if not (REPOSITORY / link).exists()] == []


def test_the_picture_shows_the_quickstart() -> None:
    picture = (REPOSITORY / "configs" / "pictures" / "quickstart.svg").read_text()

    assert picture.startswith("<svg")
    for word in ("quickstart", "leap-years", "idle", "verified"):
        assert word in picture


def test_the_test_command_installs_what_the_tests_need() -> None:
    extras = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    named = re.search(r"-e '\.\[(.*?)\]'", _block("test"))
    assert named is not None

    assert set(named[1].split(",")) == {"test", "test-integrations"}
    assert set(named[1].split(",")) <= set(extras["optional-dependencies"])
